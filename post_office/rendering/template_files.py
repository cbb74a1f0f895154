"""Templates made of files, which Django's template engines find: post_office/orders/shipped/ with

subject.txt, body.txt and body.html, or some of them; in German subject.de.txt, body.de.txt and
body.de.html. A file without a language is the one for all languages that have none of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.template import Engine, TemplateDoesNotExist, TemplateSyntaxError, engines

from ..conf import conf
from ..exceptions import InvalidTemplate
from ..models import EmailTemplate
from . import languages

FOLDER = "post_office"
# By field of EmailTemplate.
FILES = {"subject": ("subject", "txt"), "content": ("body", "txt"), "html_content": ("body", "html")}

_FIELDS = {file: field for field, file in FILES.items()}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-@][A-Za-z0-9]+)*")
_FILE = re.compile(rf"(?P<stem>subject|body)(\.(?P<language>{_LANGUAGE.pattern}))?\.(?P<type>txt|html)")


def read(name: str, language: str = "") -> EmailTemplate | None:
    """Return a template that is not saved, with the texts of files, or None where there are none.

    Each text is looked for in the language, in more general ones, and without one. The language of the
    template is the most special one that was found, "" where that is none.

    Raises:
        InvalidTemplate: A file does not compile; names it.
    """
    if not is_name(name) or (language and not is_language(language)):
        return None
    for backend in backends():
        found = {field: _read(backend, name, field, language) for field in FILES}
        if any(found.values()):
            break
    else:
        return None
    known = {each[0] for each in found.values() if each}
    texts = {field: each[1] if each else "" for field, each in found.items()}
    texts["subject"] = texts["subject"].strip()
    of = next(code for code in languages.chain(language) if code in known)
    template = EmailTemplate(name=name, language=of, **texts)
    template.found_by = backend.name
    return template


def is_name(name: str) -> bool:
    """Return whether this may be the name of a template made of files: no way out of the folder."""
    steps = name.split("/")
    return not any(step in ("", ".", "..") or set(step) & set("\\\0#") for step in steps)


def is_language(code: str) -> bool:
    """Return whether this may be the language in the name of a file."""
    return bool(_LANGUAGE.fullmatch(code))


def path_of(name: str, field: str, language: str = "") -> str:
    """Return where a text of a template is, as the engines and people know it."""
    stem, kind = FILES[field]
    return f"{FOLDER}/{name}/" + ".".join([stem, *([language] if language else []), kind])


def backends() -> list[Any]:
    """Return the engines that speak Django's template language, that of TEMPLATE_ENGINE first."""
    known = [backend for backend in engines.all() if isinstance(getattr(backend, "engine", None), Engine)]
    return sorted(known, key=lambda backend: backend.name != conf.TEMPLATE_ENGINE)


def _read(backend: Any, name: str, field: str, language: str) -> tuple[str, str] | None:
    """Return a text and its language."""
    for code in languages.chain(language):
        path = path_of(name, field, code)
        try:
            return code, backend.engine.get_template(path).source
        except TemplateDoesNotExist:
            continue
        except TemplateSyntaxError as fault:
            raise InvalidTemplate("template", path, fault) from fault
    return None


# --- all of them, as far as they are on disk ----------------------------------------------------


def on_disk() -> dict[str, dict[str, dict[str, Path]]]:
    """Return all templates made of files: name → language → field of EmailTemplate → path."""
    found: dict[str, dict[str, dict[str, Path]]] = {}
    for folder in _folders():
        for path in sorted(folder.rglob("*")):
            name = path.parent.relative_to(folder).as_posix()
            if name != "." and path.is_file():
                _add(found.setdefault(name, {}), path)
    return {name: found[name] for name in sorted(found) if found[name]}


def languages_of(name: str) -> set[str]:
    """Return the languages in which there are files of this template; the default is ""."""
    found: dict[str, dict[str, Path]] = {}
    for folder in _folders():
        place = folder / name
        for path in place.iterdir() if place.is_dir() else ():
            _add(found, path)
    return set(found)


def _folders() -> Iterator[Path]:
    """Yield the folders post_office in all folders where templates are, the first to be asked first."""
    for backend in backends():
        for loader in backend.engine.template_loaders:
            # Loaders that know no folders cannot be asked what they have.
            for folder in loader.get_dirs() if hasattr(loader, "get_dirs") else ():
                yield Path(folder) / FOLDER


def _add(found: dict[str, dict[str, Path]], path: Path) -> None:
    match = _FILE.fullmatch(path.name)
    field = _FIELDS.get((match["stem"], match["type"])) if match else None
    if match and field:
        found.setdefault(match["language"] or languages.DEFAULT, {}).setdefault(field, path)
