"""A database that fails in the middle of a run: what a server took is written down all the same."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import connection

from tests.acceptance.patience import wait_until
from tests.acceptance.project import Project, assert_all_sent, queue
from tests.acceptance.smtp_server import SMTPServer

COMPLAINT = "The database did not let us "
OTHER_CONNECTIONS = {
    "postgresql": """
        SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    """,
    "mysql": """
        SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()
    """,
}
END_CONNECTION = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}


@pytest.mark.parametrize("processes", [1, 2])
def test_outcomes_are_written_after_the_connection_was_lost(
    project: Project, server: SMTPServer, processes: int
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost.")
    emails = queue(100)
    run = project.start_and_hold(processes)
    assert cut_other_connections() >= processes
    server.let_go()
    finished = run.finish()

    assert finished.code == 0
    assert [line for line in finished.complaints if COMPLAINT not in line] == []
    assert finished.summary == (100, 100, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)


def test_outcomes_are_written_after_the_database_was_locked_for_long(
    project: Project, server: SMTPServer
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite has a lock on all of the database.")
    project.settings["SQLITE_TIMEOUT"] = 0.1
    emails = queue(100)
    run = project.start_and_hold(1)
    with locked_database():
        server.let_go()
        wait_until(lambda: run.said(f"{COMPLAINT}write outcomes, trying again"), "the run meets the lock")
    finished = run.finish()

    assert finished.code == 0
    assert [line for line in finished.complaints if COMPLAINT not in line] == []
    assert finished.summary == (100, 100, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)


def other_connections() -> list[Any]:
    """Return the connections that others have to the test's database."""
    with connection.cursor() as cursor:
        cursor.execute(OTHER_CONNECTIONS[connection.vendor])
        return list(cursor.fetchall())


def cut_other_connections() -> int:
    """End them. Returns how many there were."""
    others = other_connections()
    with connection.cursor() as cursor:
        for other in others:
            cursor.execute(END_CONNECTION[connection.vendor], other)
    return len(others)


@contextmanager
def locked_database() -> Iterator[None]:
    with closing(
        sqlite3.connect(connection.settings_dict["NAME"], timeout=20, isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
