"""`mail_templates`: lists, imports, exports and compares; a second time it does nothing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from post_office.models import EmailTemplate, TemplateVersion
from tests.integration.files import Folder

pytestmark = pytest.mark.django_db


def run(*arguments: Any) -> list[str]:
    out = io.StringIO()
    call_command("mail_templates", *map(str, arguments), stdout=out, no_color=True)
    return out.getvalue().splitlines()


def fail(*arguments: Any) -> tuple[int, str]:
    out = io.StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("mail_templates", *map(str, arguments), stdout=out, no_color=True)
    return int(str(stopped.value.code)), out.getvalue()


def rows() -> dict[tuple[str, str], tuple[str, str, str]]:
    return {
        (row.name, row.language): (row.subject, row.content, row.html_content)
        for row in EmailTemplate.objects.all()
    }


@pytest.fixture(autouse=True)
def files(folder: Folder) -> Folder:
    folder.write("post_office/orders/shipped/subject.txt", "Shipped\n")
    folder.write("post_office/orders/shipped/body.txt", "Dear\n{{ name }}\n")
    folder.write("post_office/orders/shipped/subject.de.txt", "Versandt\n")
    return folder


@pytest.fixture
def imported(files: Folder) -> Folder:
    run("import")
    return files


def test_files_become_rows_once() -> None:
    assert run("import", "--dry-run") == ["would create orders/shipped", "would create orders/shipped (de)"]
    assert rows() == {}
    assert run("import") == ["create orders/shipped", "create orders/shipped (de)"]
    assert rows() == {
        ("orders/shipped", ""): ("Shipped", "Dear\n{{ name }}", ""),
        ("orders/shipped", "de"): ("Versandt", "", ""),
    }
    german = EmailTemplate.objects.get(language="de")
    assert german.default_template == EmailTemplate.objects.get(language="")
    assert run("import") == ["There is nothing to do."]


@pytest.mark.usefixtures("imported")
def test_rows_that_were_edited_are_kept_unless_told_otherwise() -> None:
    EmailTemplate.objects.filter(language="").update(content="Dear\r\n{{ name }} \r\n")  # as a form saves it
    assert run("import") == ["There is nothing to do."]
    EmailTemplate.objects.filter(language="").update(content="Edited")
    assert run("import") == ["keep orders/shipped: content differ"]
    assert run("import", "--overwrite", "--dry-run") == ["would update orders/shipped"]
    assert rows()["orders/shipped", ""][1] == "Edited"
    assert run("import", "--overwrite") == ["update orders/shipped"]
    assert rows()["orders/shipped", ""][1] == "Dear\n{{ name }}"
    kept = TemplateVersion.objects.filter(language="").order_by("id").values_list("content", "saved_by")
    assert list(kept)[-2:] == [("Edited", ""), ("Dear\n{{ name }}", "mail_templates import")]


def test_what_cannot_be_a_row_is_refused_and_the_rest_done(files: Folder) -> None:
    files.write("post_office/broken/body.txt", "{% nope %}")
    files.write("post_office/foreign/body.de.txt", "Hallo")
    files.write("post_office/long/subject.txt", "x" * 256)
    with pytest.raises(CommandError, match=r"^3 of them cannot be done\.$"):
        run("import")
    assert {name for name, _language in rows()} == {"orders/shipped"}


def test_rows_become_files_once(tmp_path: Path) -> None:
    template = EmailTemplate.objects.create(name="a/b", subject="Hi", content="Grüße\r\n\r\n{{ name }}")
    template.translated_templates.create(language="pt-br", html_content="<p>Oi</p>")
    out = tmp_path / "out"
    with pytest.raises(CommandError, match="is not a folder"):
        run("export", out)
    out.mkdir()
    place = out / "post_office" / "a" / "b"
    expected = [f"create {place / name}" for name in ("subject.txt", "body.txt", "body.pt-br.html")]
    assert run("export", out, "--dry-run") == [f"would {step}" for step in expected]
    assert not place.exists()
    assert run("export", out) == expected
    assert (place / "body.txt").read_bytes() == "Grüße\n\n{{ name }}\n".encode()
    assert run("export", out) == ["There is nothing to do."]


def test_files_that_differ_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    template = EmailTemplate.objects.create(name="a", subject="Hi", content="text")
    run("export", tmp_path)
    place = tmp_path / "post_office" / "a"
    template.subject, template.content = "Hello", ""
    template.save()
    reason = "the database has another text"
    assert run("export", tmp_path) == [
        f"keep {place / name}: {reason}" for name in ("subject.txt", "body.txt")
    ]
    assert run("export", tmp_path, "--overwrite") == [
        f"update {place / 'subject.txt'}",
        f"delete {place / 'body.txt'}",
    ]
    assert [path.name for path in place.iterdir()] == ["subject.txt"]


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "a\\b", "..", "a//b"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    EmailTemplate.objects.create(name=name, subject="Hi")
    (tmp_path / "out").mkdir()
    with pytest.raises(CommandError, match="1 of them cannot be done"):
        run("export", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("imported")
def test_database_and_files_are_compared(files: Folder) -> None:
    assert run("diff") == []
    EmailTemplate.objects.filter(language="").update(content="Hello\n{{ name }}")
    EmailTemplate.objects.create(name="own", subject="s")
    files.write("post_office/new/body.txt", "b")
    code, out = fail("diff")
    assert code == 1
    assert out.splitlines() == [
        "--- files: orders/shipped, content",
        "+++ database: orders/shipped, content",
        "@@ -1,2 +1,2 @@",
        "-Dear",
        "+Hello",
        " {{ name }}",
        "only in files: new",
        "only in database: own",
    ]
    code, out = fail("diff", "--json", "orders/shipped", "own")
    assert json.loads(out) == {
        "differing": [
            {
                "name": "orders/shipped",
                "language": "",
                "field": "content",
                "lines": ["@@ -1,2 +1,2 @@", "-Dear", "+Hello", " {{ name }}"],
            }
        ],
        "alone": [{"name": "own", "language": "", "in": "database"}],
    }


def test_templates_are_listed_with_the_languages_they_lack(files: Folder) -> None:
    files.write("post_office/neutral/body.txt", "{{ text }}")
    run("import", "orders/shipped")
    EmailTemplate.objects.filter(language="de").update(subject="Verschickt")
    EmailTemplate.objects.create(name="own").translated_templates.create(language="id")
    assert json.loads("\n".join(run("list", "--json"))) == [
        {"name": "neutral", "in": ["files"], "languages": [""], "missing": [], "differing": []},
        {
            "name": "orders/shipped",
            "in": ["database", "files"],
            "languages": ["", "de"],
            "missing": ["id"],
            "differing": ["de"],
        },
        {"name": "own", "in": ["database"], "languages": ["", "id"], "missing": ["de"], "differing": []},
    ]
    assert run("list", "orders/shipped") == [
        "orders/shipped: database and files",
        "  languages: default, de",
        "  missing: id",
        "  differing: de",
    ]


@pytest.mark.parametrize("verb", ["list", "diff", "import"])
def test_a_name_that_there_is_not_is_told(verb: str) -> None:
    with pytest.raises(CommandError, match=r"^There is no template named 'nothing'\.$"):
        run(verb, "orders/shipped", "nothing")
