"""Which language's text serves a reader of another: pt-br, else pt, else the default text."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.conf.locale import LANG_INFO

from ..conf import conf

DEFAULT = ""  # the language of the text that is there for all


def serving(language: str) -> list[str]:
    """Return the languages whose text a mail in this one may have, the best first; see LANGUAGE_FALLBACK."""
    return chain(language) if conf.LANGUAGE_FALLBACK else [language]


def chain(language: str) -> list[str]:
    """Return a language, the more general ones behind it, and the default: "zh-tw", "zh-hant", "zh", ""."""
    codes = [language, language.lower()]
    codes += LANG_INFO.get(language.lower(), {}).get("fallback", [])
    for code in list(codes):
        while "-" in code:
            code = code.rpartition("-")[0]
            codes.append(code)
    return [*dict.fromkeys(code for code in codes if code), DEFAULT]


def missing(present: Collection[str]) -> list[str]:
    """Return the LANGUAGES of which a template with texts in `present` has none.

    The default text counts as one in LANGUAGE_CODE. With LANGUAGE_FALLBACK, a general language serves the
    special ones, but the default serves no other.
    """
    if not settings.USE_I18N:
        return []
    there = set(present)
    if DEFAULT in there:
        there |= set(chain(settings.LANGUAGE_CODE))
    return [code for code, _name in settings.LANGUAGES if not there & {*serving(code)} - {DEFAULT}]
