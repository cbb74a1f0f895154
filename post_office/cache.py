"""The old import path of the templates' cache: one entry for each name and language."""

from __future__ import annotations

from typing import Any

from .models import EmailTemplate
from .rendering import templates


def __getattr__(name: str) -> Any:
    # Read from the settings, so not known when this module is imported.
    if name == "cache_backend":
        return templates.cache()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_cache_key(name: str, language: str = "") -> str:
    """Return the key of a template; without a language, of the default one."""
    return templates.cache_key(name, language)


def set(name: str, content: EmailTemplate, language: str = "") -> None:
    """Keep a template; saving one does this by itself at its next use."""
    templates.cache().set(get_cache_key(name, language), content)


def get(name: str, language: str = "") -> EmailTemplate | None:
    """Return a template that is kept, or None; see `post_office.utils.get_email_template`."""
    template: EmailTemplate | None = templates.cache().get(get_cache_key(name, language))
    return template


def delete(name: str, language: str = "") -> bool:
    """Forget a template, and tell whether it was kept.

    Needed after changes that bypass `save()`, such as an `update()`.
    """
    return templates.cache().delete(get_cache_key(name, language))
