"""The translations: complete, compiled, and the ones that readers get."""

import ast
import gettext
import io
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import django
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from post_office import mail
from post_office.models import STATUS, Email
from tests import services

PACKAGE = Path(__file__).resolve().parents[2] / "post_office"
LANGUAGES = ["cs", "de", "es", "it", "pl", "ru"]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
HOW_TO_MEND = "make messages, translate, make messages."


@dataclass
class Entry:
    """One text of a .po file. The key is that of the compiled file."""

    key: str = ""
    plural: str = ""
    texts: dict[int, str] = field(default_factory=dict)
    flags: str = ""


def entries(path: Path) -> Iterator[Entry]:
    """Read a .po file without its header. Each keyword stands at the beginning of a line."""
    for block in re.split(r"\n\s*\n", path.read_text().strip()):
        entry, context, last = Entry(), "", ""
        for line in block.splitlines():
            assert not line.startswith("#~"), f"{path}: an obsolete entry"
            if line.startswith("#"):
                entry.flags += line[1:] if line.startswith("#,") else ""
                continue
            keyword, text = re.fullmatch(r"(?:(\S+) )?(\".*\")", line).groups()  # type: ignore[union-attr]
            last, text = keyword or last, ast.literal_eval(text)
            if last == "msgctxt":
                context += text
            elif last == "msgid":
                entry.key += text
            elif last == "msgid_plural":
                entry.plural += text
            else:
                number = int(last[7:-1] or 0)
                entry.texts[number] = entry.texts.get(number, "") + text
        if entry.key:
            entry.key = f"{context}\x04{entry.key}" if context else entry.key
            yield entry


def catalog(language: str) -> Path:
    return PACKAGE / "locale" / language / "LC_MESSAGES" / "django.po"


def compiled(language: str) -> gettext.GNUTranslations:
    with catalog(language).with_suffix(".mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def test_the_languages_are_those_of_old() -> None:
    assert sorted(os.listdir(PACKAGE / "locale")) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    found = list(entries(catalog(language)))
    plural_forms = int(re.search(r"nplurals=(\d)", catalog(language).read_text())[1])  # type: ignore[index]
    assert len(found) > 100
    for entry in found:
        assert "fuzzy" not in entry.flags, entry.key
        assert len(entry.texts) == (plural_forms if entry.plural else 1), entry.key
        assert all(text.strip() for text in entry.texts.values()), entry.key
        for text in entry.texts.values():
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(entry.key)), entry.key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_file_is_that_of_the_source(language: str) -> None:
    expected: dict[str | tuple[str, int], str] = {}
    for entry in entries(catalog(language)):
        for number, text in entry.texts.items():
            expected[(entry.key, number) if entry.plural else entry.key] = text
    stored = {key: text for key, text in compiled(language)._catalog.items() if key}  # type: ignore[attr-defined]
    assert stored == expected, HOW_TO_MEND


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_header_names_nobody_and_no_day(language: str) -> None:
    header = catalog(language).read_text().split("\n\n")[0]
    assert f"Language: {language}\\n" in header
    assert not re.search(r"@|\d{4}-\d\d|Translator|Team|Bugs-To|FIRST AUTHOR|Copyright", header)


def test_every_text_of_the_package_is_in_the_catalogues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("xgettext"):
        reason = "gettext is not installed, so the texts of the package cannot be listed"
        (pytest.fail if services.required() else pytest.skip)(reason)
    shutil.copytree(PACKAGE, tmp_path / "post_office", ignore=shutil.ignore_patterns("locale", "__pycache__"))
    (tmp_path / "post_office" / "locale").mkdir()
    monkeypatch.chdir(tmp_path / "post_office")
    call_command("makemessages", locale=LANGUAGES[:1], stdout=io.StringIO())
    listed = tmp_path / "post_office" / "locale" / LANGUAGES[0] / "LC_MESSAGES" / "django.po"
    for language in LANGUAGES:
        texts = {entry.key for entry in entries(catalog(language))}
        assert texts == {entry.key for entry in entries(listed)}, HOW_TO_MEND


@pytest.mark.django_db
def test_the_admin_speaks_the_readers_language(admin_client: Client) -> None:
    mail.send("ann@example.com", "me@example.com", subject="Hello")
    with translation.override("en"):  # the request leaves its own language active
        response = admin_client.get("/admin/post_office/email/", headers={"Accept-Language": "de"})
    page = response.content.decode()
    for text in (
        "Ausgewählte E-Mails erneut einreihen",
        "Empfänger",
        "Fällig",
        "Vorlage",
        "Nicht eingerichtet",
    ):
        assert text in page


PLURALS = [
    ("cs", 3, "3 e-maily jsou zrušeny."),
    ("de", 2, "2 E-Mails sind abgebrochen."),
    ("es", 1, "1 correo está cancelado."),
    ("it", 0, "0 email sono annullate."),
    ("pl", 5, "5 wiadomości zostało anulowanych."),
    ("ru", 21, "21 письмо отменено."),
]


@pytest.mark.parametrize(
    ("language", "number", "expected"), PLURALS, ids=[language for language, *_ in PLURALS]
)
def test_numbers_take_the_form_of_their_language(language: str, number: int, expected: str) -> None:
    with translation.override(language):
        singular, plural = "%(count)d email is canceled.", "%(count)d emails are canceled."
        assert translation.ngettext(singular, plural, number) % {"count": number} == expected


# Texts that Django has, too. Ours replace them in all its pages, so they are translated as there; any other
# such text wants another wording, or a context.
SHARED = {"Description", "Email address", "File", "Home", "Text", "Time", "Value must be valid JSON.", "now"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_of_django_itself_gets_other_words(language: str) -> None:
    own = {entry.key for entry in entries(catalog(language))}
    for path in Path(django.__file__).parent.glob(f"**/locale/{language}/LC_MESSAGES/django.mo"):
        with path.open("rb") as file:
            theirs = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        assert own & set(theirs) <= SHARED, path


def test_a_status_is_shown_in_the_readers_language() -> None:
    with translation.override("pl"):
        assert Email(status=STATUS.sent).get_status_display() == "wysłano"
