"""Six claimers on SQLite, and an application that holds its lock for ten seconds: no outcome is lost."""

import sqlite3
import threading
from contextlib import closing

import pytest
from django.db import connection

from post_office.models import STATUS, Email
from tests.acceptance.project import Project, assert_all_sent, queue
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import kept

SIZE = 5000
DISPATCHERS, PROCESSES = 3, 2
TIMES = 3  # that the application does so
SECONDS = 10.0
# How much of that a connection waits for the lock; Django's own default is the half, too.
PATIENCE = 0.5


def run(project: Project, size: int = SIZE, seconds: float = SECONDS) -> Figures:
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite has a lock on all of the database.")
    server = project.server
    project.settings["SQLITE_TIMEOUT"] = PATIENCE * seconds
    emails = queue(size)
    watch = Watch(server)
    with kept(project, DISPATCHERS, PROCESSES) as keeper:
        for number in range(TIMES):
            keeper.wait_for(lambda: len(server.accepted), size * (number + 1) // (TIMES + 2), "mails arrive")
            write_for(seconds, str(number))
        keeper.wait_for(Email.objects.filter(status=STATUS.sent).count, size, "mails are sent")
        figures = watch.figures(emails, f"each mail once; the lock was held {TIMES} × {seconds:g} s")
    assert (figures.once, figures.repeated, figures.lost) == (size, 0, 0), figures
    assert keeper.restarts == 0
    assert_all_sent(emails)
    return figures


def write_for(seconds: float, what: str) -> None:
    """Write in a transaction that takes its time."""
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name, timeout=60, isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        application.execute("INSERT INTO auth_group (name) VALUES (?)", [f"torture {what}"])
        threading.Event().wait(seconds)
        application.execute("COMMIT")
