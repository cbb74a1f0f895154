"""Which template serves a name and a language: one of the database, else one made of files.

Templates are looked up through the cache, by a key that is exact, and forgotten there when they are
saved or deleted. That one is absent is kept for a minute only, and where another serves: rows may come
without a signal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import transaction
from django.db.models.signals import post_delete, post_init, post_save

from ..conf import conf
from ..models import EmailTemplate
from . import languages, template_files

ABSENT = "absent"
ABSENT_FOR = 60  # seconds


def find(name: str, language: str = "") -> EmailTemplate:
    """Return the template of this name for mail in this language, of the database or made of files.

    One that is made of files is not saved, and has no key.

    Raises:
        EmailTemplate.DoesNotExist: There is none; LANGUAGE_FALLBACK says which other languages will do.
        EmailTemplate.MultipleObjectsReturned: Two default templates bear this name.
        InvalidTemplate: A file does not compile.
    """
    template, absent = _in_database(name, languages.serving(language))
    if template is None:
        template = template_files.read(name, language)
        if template is None or _is_lacking(template, language):
            raise EmailTemplate.DoesNotExist(_no_such_template(name, language, or_file=True))
    _note(absent)
    return template


def find_layout(name: str, language: str) -> EmailTemplate | None:
    """Return the template that others extend or include in mail in this language.

    One without texts in this language will do: many layouts have no words.
    """
    template, absent = _in_database(name, languages.chain(language))
    template = template or template_files.read(name, language)
    if template is not None:
        _note(absent)
    return template


def _is_lacking(template: EmailTemplate, language: str) -> bool:
    """Return whether files are there in other languages and not in this one, where that matters."""
    if template.language == language or conf.LANGUAGE_FALLBACK:
        return False
    return bool(template_files.languages_of(template.name) - {languages.DEFAULT})


def get_email_template(name: str, language: str = "") -> EmailTemplate:
    """Return the template of the database of this name, for mail in this language.

    Raises:
        EmailTemplate.DoesNotExist: There is none; LANGUAGE_FALLBACK says which other languages will do.
        EmailTemplate.MultipleObjectsReturned: Two default templates bear this name.
    """
    template, absent = _in_database(name, languages.serving(language))
    if template is None:
        raise EmailTemplate.DoesNotExist(_no_such_template(name, language))
    _note(absent)
    return template


def translation_of(template: EmailTemplate, language: str) -> EmailTemplate:
    """Return this template for mail in another language. Raises `EmailTemplate.DoesNotExist`."""
    if not language or template.language == language:
        return template
    codes = languages.serving(language)
    known = {each.language: each for each in template.translated_templates.filter(language__in=codes)}
    if not template.language:
        known.setdefault(languages.DEFAULT, template)
    found = next((known[code] for code in codes if code in known), None)
    if found is None:
        raise EmailTemplate.DoesNotExist(_no_such_template(template.name, language))
    return found


def _in_database(name: str, codes: Sequence[str]) -> tuple[EmailTemplate | None, list[str]]:
    """Return the template in the first language that has one, and the keys of those found absent now."""
    keys = {code: cache_key(name, code) for code in codes}
    known = cache().get_many(keys.values()) if _cache_is_on() else {}
    absent: list[str] = []
    for code, key in keys.items():
        found = known.get(key)
        if isinstance(found, EmailTemplate):
            return found, absent
        if found == ABSENT:
            continue
        template = _load(name, code)
        if template is not None:
            if _cache_is_on():
                cache().set(key, template)
            return template, absent
        if _cache_is_on():
            absent.append(key)
    return None, absent


def _note(absent: Sequence[str]) -> None:
    if absent:
        cache().set_many(dict.fromkeys(absent, ABSENT), ABSENT_FOR)


def _load(name: str, language: str) -> EmailTemplate | None:
    try:
        return EmailTemplate.objects.get(name=name, language=language)
    except EmailTemplate.DoesNotExist:
        return None


def _no_such_template(name: str, language: str, *, or_file: bool = False) -> str:
    wanted = f" in language {language!r}" if language else ""
    file = f", and no file {template_files.path_of(name, 'subject', language)}" if or_file else ""
    return f"template: there is no EmailTemplate named {name!r}{wanted}{file}."


# --- the cache ----------------------------------------------------------------------------------


def cache() -> BaseCache:
    """Return the cache named post_office in CACHES, or the default one."""
    return caches["post_office" if "post_office" in settings.CACHES else "default"]


def cache_key(name: str, language: str = "") -> str:
    """Return the exact key of a name and a language, in characters that any cache accepts."""
    digest = hashlib.sha256(f"{name}\0{language}".encode()).hexdigest()
    return f"post_office:template:{digest}"


def _cache_is_on() -> bool:
    return bool(
        getattr(settings, "POST_OFFICE_CACHE", True) and getattr(settings, "POST_OFFICE_TEMPLATE_CACHE", True)
    )


def connect() -> None:
    """Connect what must happen when a template is saved or deleted."""
    post_init.connect(_remember, sender=EmailTemplate, dispatch_uid="post_office.remember_template")
    post_save.connect(_forget, sender=EmailTemplate, dispatch_uid="post_office.forget_saved_template")
    post_delete.connect(_forget, sender=EmailTemplate, dispatch_uid="post_office.forget_deleted_template")


def _remember(sender: type[EmailTemplate], instance: Any, **kwargs: Any) -> None:
    """Note the name under which a loaded template may be cached, for when it is renamed."""
    if not instance.get_deferred_fields() & {"name", "language"}:
        instance._cached_as = (instance.name, instance.language)


def _forget(sender: type[EmailTemplate], instance: Any, using: str, **kwargs: Any) -> None:
    names = {(instance.name, instance.language), getattr(instance, "_cached_as", ("", ""))}
    keys = [cache_key(*name) for name in names]
    cache().delete_many(keys)
    # Another process may read the old row and cache it again until this transaction commits.
    transaction.on_commit(partial(cache().delete_many, keys), using=using)
    instance._cached_as = (instance.name, instance.language)
