"""The systems that are measured, each with its environment and database, driven as its users do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

from . import environments
from .environments import Environment
from .plan import CACHE, HERE, ROOT, Plan, say
from .sinks import Flow, Sink

PROJECT = HERE / "project"
LABELS = {"sqlite": "SQLite (WAL)", "postgres": "PostgreSQL", "mariadb": "MariaDB"}


@dataclass(frozen=True, kw_only=True)
class System:
    """Something that queues mail, or none that does."""

    # As the settings call it.
    key: str
    name: str
    environment: Environment
    # Its command that delivers what is queued; {processes} and the like are filled in.
    deliver: tuple[str, ...] = ()


OURS = System(
    key="ours",
    name="post_office",
    environment=environments.OURS,
    deliver=("manage.py", "send_queued_mail", "--processes={processes}", "--verbosity=0"),
)
POST_OFFICE = System(
    key="post_office",
    name="django-post_office 3.12.0",
    environment=environments.POST_OFFICE,
    deliver=("manage.py", "send_queued_mail", "--processes={processes}", "--verbosity=0"),
)
MAILER = System(
    key="mailer",
    name="django-mailer 2.3.2",
    environment=environments.MAILER,
    deliver=("manage.py", "send_mail", "--verbosity=0"),
)


@dataclass(kw_only=True)
class Site:
    """A project that uses one system on one database."""

    plan: Plan
    system: System
    database: str
    # POST_OFFICE's settings that differ from the defaults.
    settings: dict[str, Any]
    # Told from others of the same system by a word; that database stays between two runs.
    purpose: str = ""

    @property
    def name(self) -> str:
        """Return the name of its database."""
        version = self.plan.django.replace(".", "")
        name = "_".join(part for part in ("bench", self.system.key, version, self.purpose) if part)
        return str(CACHE / "databases" / f"{name}.sqlite3") if self.database == "sqlite" else name

    def start(self, *arguments: str, sink: Sink | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start a program of the project: its file, and what it is told."""
        python = self.system.environment.python(self.plan.python, self.plan.django)
        return subprocess.Popen(
            [python, *arguments],
            cwd=PROJECT,
            env=self._variables(sink),
            stdin=subprocess.DEVNULL,
            text=True,
            **options,
        )

    def _fail(self, arguments: Sequence[str], process: subprocess.Popen[str], errors: str) -> None:
        """End the run with what a program said, where it failed."""
        if process.returncode:
            command = " ".join(arguments)
            raise SystemExit(f"{errors}{self.system.name}: {command} ended with {process.returncode}.")

    def run(self, *arguments: str, sink: Sink | None = None) -> str:
        """Run a program of the project to its end, and return what it prints."""
        process = self.start(*arguments, sink=sink, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate()
        self._fail(arguments, process, errors)
        return str(output)

    def ask(self, *arguments: str, sink: Sink | None = None) -> Any:
        """Run a program that prints JSON in its last line, and return that."""
        return json.loads(self.run(*arguments, sink=sink).splitlines()[-1])

    def begin(self) -> None:
        """Give it an empty database, as new."""
        (CACHE / "databases").mkdir(parents=True, exist_ok=True)
        if self.database == "mariadb":
            self._migrate(self)
            return
        empty = Site(plan=self.plan, system=self.system, database=self.database, settings={}, purpose="empty")
        if empty.name not in _made_empty:
            self._migrate(empty)
            _made_empty.add(empty.name)
        self.run("server.py", "copy", self.name, empty.name)

    @staticmethod
    def _migrate(site: Site) -> None:
        site.run("server.py", "create", site.name)
        site.run("manage.py", "migrate", "--verbosity=0")

    def migrations(self) -> list[str]:
        """Return the names of ours: a database that was made by others is of no use."""
        return sorted(file.name for file in (ROOT / "post_office" / "migrations").glob("0*.py"))

    def end(self) -> None:
        """Drop its database."""
        self.run("server.py", "drop", self.name)

    def queue(self, number: int) -> float:
        """Queue mail by the system's public functions. Returns how many seconds it took."""
        return float(self.ask("queue_mail.py", str(number))["seconds"])

    def drain(self, sink: Sink, number: int, processes: int) -> Flow:
        """Deliver what was queued by the system's own command, and watch it arrive."""
        arguments = [part.format(processes=processes) for part in self.system.deliver]
        return self.flow(sink, number, arguments)

    def flow(self, sink: Sink, number: int, arguments: Sequence[str]) -> Flow:
        """Run a program that sends so many mails, and watch them arrive."""
        with TemporaryFile("w+") as errors:
            process = self.start(*arguments, sink=sink, stdout=subprocess.DEVNULL, stderr=errors)
            flow = sink.watch(lambda: process.poll() is None)
            errors.seek(0)
            self._fail(arguments, process, errors.read())
        if flow.mails != number:
            say(f"{self.system.name}: {flow.mails} mails arrived and not {number}.")
        return flow

    def _variables(self, sink: Sink | None) -> dict[str, str]:
        temporary = CACHE / "temporary"  # for lock files
        temporary.mkdir(parents=True, exist_ok=True)
        return {
            **self.system.environment.variables(),
            "DJANGO_SETTINGS_MODULE": "settings",
            "BENCH_SYSTEM": self.system.key,
            "BENCH_DATABASE": self.database,
            "BENCH_NAME": self.name,
            "BENCH_PORT": str(sink.port if sink else 0),
            "BENCH_EXTRA": json.dumps(self.settings),
            "TMPDIR": str(temporary),
        }


# Databases that this run has migrated; those of earlier runs may be of another version.
_made_empty: set[str] = set()


def site(plan: Plan, system: System, database: str, purpose: str = "", **settings: Any) -> Site:
    return Site(plan=plan, system=system, database=database, settings=settings, purpose=purpose)


def answers(plan: Plan, database: str) -> bool:
    """Return whether there is such a server."""
    process = site(plan, OURS, database).start(
        "server.py", "version", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.communicate()
    return process.returncode == 0


def version(plan: Plan, database: str) -> str:
    return site(plan, OURS, database).run("server.py", "version").strip()


def packages(plan: Plan, system: System) -> dict[str, str]:
    """Return the versions of what is installed in a system's environment, by name."""
    python = system.environment.python(plan.python, plan.django)
    listed = subprocess.check_output([python, "-m", "pip", "list", "--format=json"], text=True)
    return {package["name"].lower(): package["version"] for package in json.loads(listed)}
