"""A project as its operator sees it: commands run in processes of their own, ended by signals or not at all.

The processes share the test's database, its folder for files and its SMTP server.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGSTOP, Signals
from typing import IO, Any, NamedTuple

import pytest
from django.db import connection

from post_office import mail
from post_office.conf import PostOfficeSettings
from post_office.models import STATUS, Email, Log, Worker
from tests.acceptance.patience import PATIENCE, wait_until
from tests.acceptance.scripted_server import ScriptedServer
from tests.acceptance.smtp_server import HOST, SMTPServer

ROOT = Path(__file__).resolve().parents[2]
THREADS = PostOfficeSettings.THREADS_PER_PROCESS
# How many mails the server answers before it holds a run. A worker claims two for each thread at first. So
# with fewer answers than threads, it holds mail that is in flight and mail that is not.
ANSWERED = THREADS - 1
# Warnings are errors in the processes, too, but for the one that pyproject.toml explains.
WARNINGS = "error,ignore:The EMAIL_BACKEND setting is deprecated:PendingDeprecationWarning"
SUMMARY = re.compile(r"^(\d+) attempted, (\d+) sent, (\d+) failed, (\d+) requeued, \d+\.\d seconds$", re.M)


def queue(count: int, **arguments: Any) -> list[Email]:
    """Queue so many mails, to reader0@example.com, reader1@example.com and so on."""
    common = {"sender": "shop@example.com", "subject": "News", "message": "Nothing new.", **arguments}
    return mail.send_many({"recipients": f"reader{number}@example.com", **common} for number in range(count))


def sent() -> set[str]:
    """Return the Message-IDs of the mails that the database calls sent."""
    return set(Email.objects.filter(status=STATUS.sent).values_list("message_id", flat=True))


def assert_all_sent(emails: list[Email]) -> None:
    """Check that the database says of every mail, and of no other, that it was sent, and how."""
    assert sent() == {email.message_id for email in emails}
    assert not Email.objects.exclude(worker=None, claimed_at=None, claims=0).exists()
    logged = Log.objects.values_list("email__message_id", "status")
    assert sorted(logged) == sorted((email.message_id, STATUS.sent) for email in emails)
    assert not Worker.objects.exists()


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command came to."""

    code: int
    output: str
    errors: str

    @property
    def complaints(self) -> list[str]:
        """What it wrote to the standard error beside news."""
        return [line for line in self.errors.splitlines() if not line.startswith("[INFO]")]

    @property
    def summary(self) -> "Summary":
        (numbers,) = SUMMARY.findall(self.output)
        return Summary(*(int(number) for number in numbers))


class Summary(NamedTuple):
    """How many mails a run attempted, sent, failed and requeued, as it says itself."""

    attempted: int
    sent: int
    failed: int
    requeued: int


class Run:
    """A command in a process and a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, errors: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._output, self.errors = output, errors

    def said(self, words: str) -> bool:
        return words in self._output.read_text() + self.errors.read_text()

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def finish(self) -> Finished:
        """Wait for its end."""
        __tracebackhide__ = True
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"It goes on and on:\n{self._output.read_text()}{self.errors.read_text()}")
        return Finished(code=code, output=self._output.read_text(), errors=self.errors.read_text())

    def send_signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def signal_group(self, number: Signals) -> None:
        """Signal the process and all that it started, as a terminal or a service manager does."""
        os.killpg(self.pid, number)

    def suspend(self) -> None:
        """Stop all of the group; return when every thread stands still, which the signal only asks for."""
        self.signal_group(SIGSTOP)
        wait_until(lambda: not self.running_threads(), "every thread stands still")

    def running_threads(self) -> set[int]:
        """Return the threads of the group that are not stopped."""
        running = set()
        for pid in self.group():
            for stat in Path(f"/proc/{pid}/task").glob("[0-9]*/stat"):
                if stat.read_text().rpartition(")")[2].split()[0] != "T":
                    running.add(int(stat.parent.name))
        return running

    def kill_group(self) -> None:
        """End the process and all that it started, without a chance to say or do anything."""
        # Not by the number of the group: that may be another's when the group is empty.
        for pid in self.group():
            os.kill(pid, SIGKILL)
        self.process.wait(PATIENCE)
        wait_until(lambda: not self.group(), "the process group has ended")

    def group(self) -> set[int]:
        """Return the processes that live in the group."""
        members = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # proc(5): after the name in brackets: state, parent, group, session.
                state, _parent, group, session, *_ = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if state not in "ZX" and int(group) == int(session) == self.pid:
                members.add(int(stat.parent.name))
        return members


class Project:
    """Starts management commands, and ends those that still run when the test is over.

    Attributes:
        post_office: The project's POST_OFFICE, with spans of time in seconds.
        settings: Its other settings, where they differ from the tests' own.
    """

    def __init__(self, folder: Path, server: SMTPServer) -> None:
        self.folder = folder
        self.server = server
        self.post_office: dict[str, Any] = {"BACKENDS": {"default": smtp_backend(server)}}
        self.settings: dict[str, Any] = {}
        self.warnings = WARNINGS
        # What starts its programs, where they are not to be started directly.
        self.starter: list[str] = []
        self._runs: list[Run] = []

    def start(self, *arguments: str | Path, errors_to: IO[bytes] | int | None = None) -> Run:
        """Start `django-admin` with these arguments.

        Args:
            errors_to: Where the standard error goes; into a file of the run's own otherwise.
        """
        return self.start_program("django", *arguments, errors_to=errors_to)

    def start_program(
        self, module: str, *arguments: str | Path, errors_to: IO[bytes] | int | None = None
    ) -> Run:
        """Start `python -m module` with these arguments."""
        number = len(self._runs)
        output, errors = self.folder / f"{number}.output", self.folder / f"{number}.errors"
        with output.open("wb") as output_file, errors.open("wb") as errors_file:
            process = subprocess.Popen(
                [*self.starter, sys.executable, "-m", module, *(str(argument) for argument in arguments)],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output_file,
                stderr=errors_file if errors_to is None else errors_to,
                start_new_session=True,
            )
        self._runs.append(Run(process, output, errors))
        return self._runs[-1]

    def start_and_hold(self, processes: int) -> Run:
        """Start a run; return when ANSWERED mails are settled and each thread waits for an answer."""
        self.server.hold_after(ANSWERED)
        run = self.start("send_queued_mail", "--processes", str(processes))
        self.server.wait_until_accepted(ANSWERED + processes * THREADS)
        wait_until(lambda: len(sent()) == ANSWERED, "what the server has answered is settled")
        return run

    def run(self, *arguments: str | Path) -> Finished:
        """Start `django-admin` with these arguments and wait for its end."""
        return self.start(*arguments).finish()

    def visit(self, *paths: str) -> list[str]:
        """Request these paths of the shop from a process of its own. Returns the status codes."""
        return self.start_program("tests.acceptance.visitor", *paths).finish().output.split()

    def end(self) -> None:
        for run in self._runs:
            run.kill_group()

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.project_settings",
            "PROJECT_SETTINGS": json.dumps({**self.settings, "POST_OFFICE": self.post_office}),
            "DATABASE_NAME": str(connection.settings_dict["NAME"]),  # the test database
            "PYTHONWARNINGS": self.warnings,
            "TMPDIR": str(self.folder),  # for the default lock file
        }


def smtp_backend(server: SMTPServer | ScriptedServer) -> dict[str, Any]:
    """Return an entry of BACKENDS that delivers to this server."""
    return {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {"host": HOST, "port": server.port},
    }
