"""Templates of the database beside those made of files: compared, brought in, written out.

Two texts are the same that differ in the ends of their lines, or in space around them: forms and editors
change both. What is done twice does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ValidationError

from ..models import EmailTemplate
from . import languages, template_files, versions
from .template_files import FILES

Key = tuple[str, str]  # name and language
Texts = dict[str, str]  # by field of EmailTemplate

AUTHOR = "mail_templates import"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One language of a template, as far as it is in the database and in files."""

    name: str
    language: str
    in_database: Texts | None
    in_files: Texts | None

    @property
    def differing(self) -> list[str]:
        """The texts that are not the same on both sides; none where one side has nothing at all."""
        if self.in_database is None or self.in_files is None:
            return []
        return [field for field in FILES if self.in_database[field] != self.in_files[field]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was done, or would be.

    Attributes:
        verb: "create", "update", "delete"; "keep", for what is different and was to be left;
            "refuse", for what is impossible.
        what: A template, or a file.
        reason: Why, of the last two.
    """

    verb: str
    what: str
    reason: str = ""


def pairs(names: Collection[str] = ()) -> list[Pair]:
    """Return all templates, or those of these names, by name and language."""
    database, files = _in_database(names), _in_files(names)
    return [
        Pair(name=name, language=language, in_database=database.get(key), in_files=files.get(key))
        for key in sorted({*database, *files})
        for name, language in [key]
    ]


def missing_languages(of_one_name: Collection[Pair]) -> list[str]:
    """Return the LANGUAGES that a template lacks. Files without any language are for all of them."""
    known = {pair.language for pair in of_one_name}
    if known == {languages.DEFAULT} and all(pair.in_database is None for pair in of_one_name):
        return []
    return languages.missing(known)


def bring_in(names: Collection[str] = (), *, overwrite: bool, dry_run: bool) -> Iterator[Step]:
    """Make rows of files. Yields each step after it was done.

    Args:
        overwrite: Rows that say something else are changed, which makes a version of each.
        dry_run: Nothing is done.
    """
    to_come: set[str] = set()
    for pair in pairs(names):
        title = title_of(pair.name, pair.language)
        if pair.in_files is None or pair.in_database == pair.in_files:
            continue
        if pair.in_database is not None and not overwrite:
            yield Step(verb="keep", what=title, reason=f"{' and '.join(pair.differing)} differ")
            continue
        template = _row_for(pair)
        if pair.language and template.default_template is None and pair.name not in to_come:
            yield Step(verb="refuse", what=title, reason="there is no default text to translate")
            continue
        for field, text in pair.in_files.items():
            setattr(template, field, text)
        try:
            template.full_clean(exclude={"default_template"}, validate_unique=False)
        except ValidationError as fault:
            yield Step(verb="refuse", what=title, reason=" ".join(fault.messages))
            continue
        if not pair.language:
            to_come.add(pair.name)
        if not dry_run:
            with versions.saved_by(AUTHOR):
                template.save()
        yield Step(verb="create" if pair.in_database is None else "update", what=title)


def write_out(folder: Path, names: Collection[str] = (), *, overwrite: bool, dry_run: bool) -> Iterator[Step]:
    """Make files of rows, in `folder`/post_office. Yields each step after it was done.

    Args:
        folder: One in which Django's engines look for templates.
        overwrite: Files that say something else are changed, and those of texts that are empty deleted.
        dry_run: Nothing is done.
    """
    for (name, language), texts in sorted(_in_database(names).items()):
        if not template_files.is_name(name) or (language and not template_files.is_language(language)):
            title = title_of(name, language)
            yield Step(verb="refuse", what=title, reason="no folder or file may have this name")
            continue
        for field, text in texts.items():
            path = folder / template_files.path_of(name, field, language)
            there = normal(path.read_text(encoding="utf-8")) if path.is_file() else ""
            if there == text:
                continue
            verb = "delete" if not text else "update" if there else "create"
            if verb != "create" and not overwrite:
                yield Step(verb="keep", what=str(path), reason="the database has another text")
                continue
            if not dry_run:
                _write(path, text)
            yield Step(verb=verb, what=str(path))


def title_of(name: str, language: str) -> str:
    return f"{name} ({language})" if language else name


def normal(text: str) -> str:
    """Return a text without what forms and editors change."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _write(path: Path, text: str) -> None:
    if not text:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _row_for(pair: Pair) -> EmailTemplate:
    rows = EmailTemplate.objects.filter(name=pair.name).order_by("pk")
    row = rows.filter(language=pair.language).first()
    if row is not None:
        return row
    default = rows.filter(language="", default_template=None).first() if pair.language else None
    return EmailTemplate(name=pair.name, language=pair.language, default_template=default)


def _in_database(names: Collection[str]) -> dict[Key, Texts]:
    rows = EmailTemplate.objects.order_by("-pk")
    if names:
        rows = rows.filter(name__in=names)
    return {
        (row.name, row.language): {field: normal(getattr(row, field)) for field in FILES}
        for row in rows.defer("sample_context")
    }


def _in_files(names: Collection[str]) -> dict[Key, Texts]:
    return {
        (name, language): {
            field: normal(paths[field].read_text(encoding="utf-8")) if field in paths else ""
            for field in FILES
        }
        for name, by_language in template_files.on_disk().items()
        if not names or name in names
        for language, paths in by_language.items()
    }
