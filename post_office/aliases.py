"""Aliases: which there are, how the backend of each is configured, and which one delivers.

With `compat`, the only place that knows BACKENDS from MAILERS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.module_loading import import_string

from . import compat
from .conf import conf
from .exceptions import SelfReferringBackend, UnknownBackend

DEFAULT_ALIAS = "default"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
# Backends of Django that may be named by the last part of their path.
SHORT_NAMES = ("smtp", "console", "filebased", "locmem", "dummy")
# A mark on classes that put mail into this queue; found on subclasses, too, and under any path.
QUEUES_MAIL = "queues_in_post_office"


def backends() -> dict[str, dict[str, Any]]:
    """Return {alias: {"BACKEND": dotted path, "OPTIONS": {...}}} of BACKENDS.

    Without BACKENDS, that is EMAIL_BACKEND as "default", or SMTP where that is this queue.
    """
    configured = {alias: _normalised(entry) for alias, entry in conf.BACKENDS.items()}
    if configured or compat.mailers_are_configured():
        return configured
    path = full_path(conf.EMAIL_BACKEND or compat.legacy_email_backend())
    return {DEFAULT_ALIAS: {"BACKEND": SMTP if _is_queue(path) else path, "OPTIONS": {}}}


def aliases() -> list[str]:
    """Return the aliases to which mail can be sent."""
    known = dict.fromkeys(backends())
    if compat.mailers_are_configured():
        known |= dict.fromkeys(compat.mailers())
    return list(known)


def served_aliases(only: Sequence[str] | None) -> list[str]:
    """Return what the mail of these backends, or of all, has as its alias: "" where it names none."""
    chosen = aliases() if only is None else only
    return ["", *chosen] if default_alias() in chosen else list(chosen)


def default_alias() -> str:
    """Return the alias that delivers mail which names none."""
    return delivering_alias(conf.DEFAULT_MAILER or DEFAULT_ALIAS)


def delivering_alias(alias: str) -> str:
    """Return the alias that delivers what is sent by this one.

    That is itself; or, for a mailer of MAILERS that queues mail here, the one in its option `using`,
    or else DEFAULT_MAILER. Where this goes in a circle, what is returned queues mail, too.
    """
    passed: set[str] = set()
    while alias not in passed and (options := _options_of_queue(alias)) is not None:
        passed.add(alias)
        alias = options.get("using") or conf.DEFAULT_MAILER or DEFAULT_ALIAS
    return alias


def is_queue(alias: str) -> bool:
    """Return whether mail of an alias would be put into this queue again; BACKENDS come before MAILERS."""
    return _options_of_queue(alias) is not None


def _options_of_queue(alias: str) -> dict[str, Any] | None:
    """Return the options of a mailer of MAILERS that queues mail here, None for any other alias."""
    mailer = None if alias in conf.BACKENDS else queueing_mailers().get(alias)
    return None if mailer is None else dict(mailer.get("OPTIONS", {}))


def queueing_mailers() -> dict[str, dict[str, Any]]:
    """Return those entries of MAILERS that put mail into this queue."""
    return {
        alias: entry for alias, entry in compat.mailers().items() if _is_queue(entry.get("BACKEND", SMTP))
    }


def validate_alias(alias: str) -> str:
    """Return the alias that delivers what is queued for this one; an empty one stands for the default.

    Raises:
        UnknownBackend: None is configured under it.
        SelfReferringBackend: It would queue the mail again.
    """
    if not alias:
        return alias
    if alias not in aliases():
        raise UnknownBackend(alias)
    delivering = delivering_alias(alias)
    if is_queue(delivering):
        raise SelfReferringBackend(alias)
    return delivering


def is_for_development(alias: str) -> bool:
    """Return whether the backend of an alias is one of Django's that deliver nothing."""
    entry = backends().get(alias) or compat.mailers().get(alias) or {}
    development = [f"django.core.mail.backends.{name}.EmailBackend" for name in SHORT_NAMES if name != "smtp"]
    return entry.get("BACKEND", SMTP) in development


def _normalised(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        entry = {"BACKEND": entry}
    return {"BACKEND": full_path(entry.get("BACKEND", SMTP)), "OPTIONS": entry.get("OPTIONS", {})}


def full_path(name: str) -> str:
    """Return the dotted path that a short name such as "smtp" or "smtp.EmailBackend" stands for."""
    module, _, backend_class = name.partition(".")
    if module in SHORT_NAMES and backend_class in ("", "EmailBackend"):
        return f"django.core.mail.backends.{module}.EmailBackend"
    return name


def queues_mail(backend_class: type) -> bool:
    return bool(getattr(backend_class, QUEUES_MAIL, False))


def _is_queue(path: str) -> bool:
    """Return whether the backend at a path queues mail. A check names one that cannot be imported."""
    try:
        return queues_mail(import_string(path))
    except ImportError:
        return False
