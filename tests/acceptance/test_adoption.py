"""Databases of django-post_office 3.12.0 come along, whatever class keeps their contexts.

The published package itself makes and fills them, as a program; ours migrates them, reads them, delivers
what is due and cleans up.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from tests import settings
from tests.acceptance import peer
from tests.acceptance.patience import PATIENCE
from tests.acceptance.smtp_server import HOST, Accepted, SMTPServer

PROJECT = Path(__file__).parent / "old_project"
ROOT = Path(__file__).resolve().parents[2]
DATABASE = os.environ.get("DATABASE", "sqlite")
# Where a database is made and dropped from.
LOBBY = {"postgres": "postgres", "mariadb": ""}
CREATE = {"postgres": "CREATE DATABASE {}", "mariadb": "CREATE DATABASE {} CHARACTER SET utf8mb4"}
NUMBERS = itertools.count()
CLOSED_PORT = 1
# The class named on both sides, and whether the project has made a migration of its own for it. The old
# package's migrations make a column of JSON whatever the class is; pickles do not fit into that.
CONTEXT_CLASSES = [
    pytest.param(("", False), id="unset"),
    pytest.param(("django.db.models.JSONField", False), id="django"),
    pytest.param(("jsonfield.JSONField", False), id="jsonfield in a JSON column"),
    pytest.param(("jsonfield.JSONField", True), id="jsonfield in its own column"),
    pytest.param(("picklefield.fields.PickledObjectField", True), id="picklefield"),
]


class OldProject:
    """A project that comes from django-post_office, with a database, a folder for files and a mail server."""

    def __init__(
        self, folder: Path, database: dict[str, Any], server: SMTPServer, context_class: str
    ) -> None:
        self.folder = folder
        self.database = database
        self.server = server
        self.old_settings: dict[str, Any] = {}
        self.post_office = {"CONTEXT_FIELD_CLASS": context_class} if context_class else {}

    def run_old(self, *command: str) -> str:
        """Run Python with the old package, which delivers into its own memory; return what it prints."""
        locmem = "django.core.mail.backends.locmem.EmailBackend"
        return self._run(
            peer.PYTHON,
            command,
            **self.old_settings,
            EMAIL_BACKEND="post_office.EmailBackend",
            EMAIL_HOST=HOST,
            EMAIL_PORT=CLOSED_PORT,
            POST_OFFICE={
                **self.post_office,
                "MAX_RETRIES": 3,
                "BACKENDS": {
                    "default": locmem,
                    "second": locmem,
                    "unreachable": "django.core.mail.backends.smtp.EmailBackend",
                },
            },
        )

    def make_own_migration(self) -> None:
        """Make the migration that the old one lacks for this class, as projects do that name one."""
        package = self.run_old("-c", "import post_office; print(*post_office.__path__)").strip()
        shutil.copytree(Path(package) / "migrations", self.folder / "own_migrations")
        self.old_settings["MIGRATION_MODULES"] = {"post_office": "own_migrations"}
        assert "context" in self.run_old("-m", "django", "makemigrations", "post_office")

    def run_ours(self, *command: str, **more_settings: Any) -> str:
        """Run Python with this package, which delivers to the mail server; return what it prints."""
        smtp = {"BACKEND": "smtp", "OPTIONS": {"host": HOST, "port": self.server.port}}
        backends = dict.fromkeys(("default", "second", "unreachable"), smtp)
        post_office = {**self.post_office, "BACKENDS": backends}
        return self._run(sys.executable, command, POST_OFFICE=post_office, **more_settings)

    def _run(self, python: str | Path, command: tuple[str, ...], **its_settings: Any) -> str:
        its_settings |= {"DATABASES": {"default": self.database}, "MEDIA_ROOT": str(self.folder / "media")}
        ours = python == sys.executable
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {
            "DJANGO_SETTINGS_MODULE": "old_settings",
            "OLD_PROJECT": json.dumps(its_settings),
            "TMPDIR": str(self.folder),  # for lock files
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(self.folder), *([str(ROOT)] if ours else [])]),
            "PYTHONWARNINGS": "error" if ours else "ignore",
        }
        finished = subprocess.run(
            [python, *command],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        if finished.returncode:
            raise Refused(finished.stdout + finished.stderr)
        return finished.stdout


class Refused(AssertionError):
    """A command ended with an error; holds what it said."""


@contextmanager
def empty_database(folder: Path) -> Iterator[dict[str, Any]]:
    """Make a database of the kind that this run is about, and drop it in the end."""
    server = {key: value for key, value in settings.servers[DATABASE].items() if key != "TEST"}
    if DATABASE == "sqlite":
        yield {**server, "NAME": str(folder / "old.sqlite3")}
        return
    name = f"{server['NAME']}_adopted{next(NUMBERS)}"
    lobby = ConnectionHandler({"default": {**server, "NAME": LOBBY[DATABASE]}})["default"]
    with lobby.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(CREATE[DATABASE].format(name))
        try:
            yield {**server, "NAME": name}
        finally:
            cursor.execute(f"DROP DATABASE {name}")
            lobby.close()


@pytest.fixture(scope="module")
def old_project(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Callable[..., Any]]:
    """Return a context manager that makes a project with an empty database."""
    peer.require(DATABASE)

    @contextmanager
    def make(context_class: str = "") -> Iterator[OldProject]:
        folder = tmp_path_factory.mktemp("old_project")
        with django_db_blocker.unblock(), empty_database(folder) as database, SMTPServer() as server:
            yield OldProject(folder, database, server, context_class)

    return make


# --- everything comes along -------------------------------------------------------------------


class Arrived:
    """A mail as its reader gets it."""

    def __init__(self, mail: Accepted) -> None:
        self.recipients = mail.recipients
        self.message: EmailMessage = message_from_bytes(mail.content, policy=policy.default)  # type: ignore[assignment]
        self.subject = str(self.message["Subject"])

    def body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return part.get_content().strip() if part else ""

    def part(self, name: str) -> EmailMessage:
        """Return the part with this file name."""
        (found,) = [part for part in self.message.walk() if part.get_filename() == name]
        return found  # type: ignore[return-value]


class Adopted:
    """What became of a database: as the old code left it, and as ours found it and went on with it."""

    def __init__(self, project: OldProject) -> None:
        self.left = json.loads(project.run_old(str(PROJECT / "fill.py")))
        self.migrated = project.run_ours("-m", "django", "migrate")
        self.files_before = files_in(project.folder / "media")
        self.report = json.loads(project.run_ours(str(PROJECT / "take_over.py")))
        self.files_after = files_in(project.folder / "media")
        self.arrived = [Arrived(mail) for mail in project.server.accepted]

    def arrival(self, subject: str) -> Arrived:
        """Return the one mail with this subject that the server got."""
        (found,) = [mail for mail in self.arrived if mail.subject == subject]
        return found


@pytest.fixture(scope="module", params=CONTEXT_CLASSES)
def adopted(request: Any, old_project: Any) -> Iterator[Adopted]:
    context_class, has_own_migration = request.param
    with old_project(context_class) as project:
        if has_own_migration:
            project.make_own_migration()
        yield Adopted(project)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_row_reads_as_it_was_left(adopted: Adopted) -> None:
    assert "0002_claims... OK" in adopted.migrated
    assert "0001_initial" not in adopted.migrated
    for model, rows in adopted.left.items():
        assert len(rows) > 2, "the old code has left nothing to compare"
        for row in rows:
            if row.get("subject") == "'due: comma in a name'":
                # The old code reads half a name and half an address.
                row["to"] = """['"Doe, John" <john@example.com>']"""
        assert adopted.report["adopted"][model] == rows


def test_what_is_due_is_delivered_once_and_nothing_else_is(adopted: Adopted) -> None:
    stored = [row["subject"].strip("'") for row in adopted.left["Email"]]
    due = [subject for subject in stored if subject.startswith("due")] + RENDERED_ON_DELIVERY
    arrived = [mail.subject for mail in adopted.arrived if "new@example.com" not in mail.recipients]
    assert len(due) > 20
    assert sorted([*arrived, "due: nobody"]) == sorted(due)
    assert adopted.report["delivery"].startswith(f"{len(due)} attempted, {len(due)} sent, 0 failed")
    assert adopted.report["statuses"]["expired"] == ["kept: expired"]
    waiting = adopted.report["statuses"]["queued"] + adopted.report["statuses"]["requeued"]
    assert waiting == ["kept: queued long ago for tomorrow", "kept: scheduled for tomorrow"]


# Their subjects are empty in the database.
RENDERED_ON_DELIVERY = ["due: welcome Zoë", "due: willkommen Jörg", "due: without context"]


def test_mail_is_rendered_with_the_context_that_the_old_code_stored(adopted: Adopted) -> None:
    english, german, plain = (adopted.arrival(subject) for subject in RENDERED_ON_DELIVERY)
    assert english.body("plain") == "Hello Zoë"
    assert english.body("html") == "<p>Hello Zoë</p>"
    assert german.body("plain") == "Hallo Jörg"
    assert plain.body("plain") == "Hello"


def test_addresses_headers_and_texts_arrive(adopted: Adopted) -> None:
    mail = adopted.arrival("due: addresses ✉ 😀")
    assert mail.recipients == ["ann@example.com", "bob@example.com", "carl@example.com", "dora@example.com"]
    assert mail.message["From"] == "The Shop <shop@example.com>"
    assert mail.message["To"] == "Ann Smith <ann@example.com>, bob@example.com"
    assert mail.message["Reply-To"] == "desk@example.com"
    assert mail.message["X-Shop"] == "17"
    assert (mail.body("plain"), mail.body("html")) == ("Grüße", "<p>Grüße 😀</p>")
    assert adopted.arrival("due: comma in a name").recipients == ["john@example.com"]
    assert adopted.arrival("due: with an id").message["Message-ID"] == "<17@shop.example.com>"
    assert all(mail.message["Message-ID"] for mail in adopted.arrived)


def test_attachments_arrive(adopted: Adopted) -> None:
    mail = adopted.arrival("due: attachments")
    assert mail.part("plain.txt").get_content().strip() == "plain"
    data = mail.part("data.bin")
    assert (data.get_content_type(), data.get_content()) == ("application/x-shop", bytes(range(256)))
    invitation = mail.part("invitation.ics")
    assert (invitation.get_content_type(), invitation["X-Kind"]) == ("text/calendar", "invitation")
    assert invitation.get_content().strip() == "BEGIN:VCALENDAR"

    mail = adopted.arrival("due: inline image")
    assert mail.message["Reply-To"] == "r@example.com"
    logo = mail.part("logo.png")
    assert (logo["Content-ID"], logo.get_content_type()) == ("<logo>", "image/png")
    assert logo.get_content() == b"\x89PNG not really \x00\xff"


def test_clean_up_deletes_old_mail_with_its_log_and_files_and_no_other(adopted: Adopted) -> None:
    stored = [row["subject"].strip("'") for row in adopted.left["Email"]]
    old = [subject for subject in stored if subject.startswith("old")]
    assert len(old) == 3
    staying = [subject for subject in stored if subject not in old]
    assert len(adopted.report["left"]) == len(staying)
    # Those without were to be rendered on delivery, which has been since.
    assert {*staying} - {""} <= {*adopted.report["left"]}
    assert adopted.report["logs"] == []
    assert adopted.files_after == set(adopted.report["files"])
    assert len(adopted.files_before - adopted.files_after) == len(old)


def test_new_mail_goes_into_the_old_columns(adopted: Adopted) -> None:
    assert adopted.report["new"] == [2, 0, 0]
    assert adopted.arrival("due: welcome Eve").body("plain") == "Hello Eve"


def test_migrations_that_were_made_for_the_class_of_contexts_must_go(old_project: Any) -> None:
    with old_project("picklefield.fields.PickledObjectField") as project:
        project.make_own_migration()
        with pytest.raises(Refused, match=r"post_office.E008.*\n.*HINT: Take it out"):
            project.run_ours("-m", "django", "migrate", **project.old_settings)


# --- beside the old code, and back to it ------------------------------------------------------

QUEUE = "import django; django.setup(); from post_office import mail; mail.send({!r}, 'me@example.com')"
DELIVER = "import django; django.setup(); from post_office import mail; print(mail.send_queued())"


def test_the_old_code_goes_on_queueing_and_delivering_on_a_migrated_database(old_project: Any) -> None:
    with old_project() as project:
        project.run_old("-m", "django", "migrate")
        project.run_ours("-m", "django", "migrate")
        assert "No migrations to apply" in project.run_old("-m", "django", "migrate")
        project.run_old("-c", QUEUE.format("ann@example.com"))
        assert project.run_old("-c", DELIVER) == "(1, 0, 0)\n"
        project.run_old("-c", QUEUE.format("bob@example.com"))
        assert project.run_ours("-c", DELIVER) == "(1, 0, 0)\n"
        assert project.server.recipients() == ["bob@example.com"]


def test_a_project_can_go_back(old_project: Any) -> None:
    with old_project() as project:
        project.run_old("-m", "django", "migrate")
        project.run_ours("-m", "django", "migrate")
        project.run_ours("-c", QUEUE.format("ann@example.com"))
        project.run_ours("-m", "django", "migrate", "post_office", "0001_initial")
        assert "No migrations to apply" in project.run_old("-m", "django", "migrate")
        assert project.run_old("-c", DELIVER) == "(1, 0, 0)\n"


def test_a_database_part_way_through_the_old_migrations_is_refused_with_the_way_out(old_project: Any) -> None:
    with old_project() as project:
        project.run_old("-m", "django", "migrate", "post_office", "0009")
        with pytest.raises(Refused) as refusal:
            project.run_ours("-m", "django", "migrate")
        assert "post_office.E004" in str(refusal.value)
        assert "9 of 14 are applied, the last is 0009_requeued_mode" in str(refusal.value)
        assert "install django-post_office==3.12.0, run 'manage.py migrate post_office'" in str(refusal.value)
        # And that is the way out.
        project.run_old("-m", "django", "migrate", "post_office")
        project.run_ours("-m", "django", "migrate")
