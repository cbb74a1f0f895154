"""Notifications of PostgreSQL: sent with the transaction that queues mail, heard at its commit."""

from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import wait
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_office import mail
from post_office.queue.notifications import Listener, _take_notifications
from tests.acceptance.patience import PATIENCE
from tests.acceptance.test_database import cut_other_connections

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    listener.open()
    yield listener
    listener.close()


@pytest.fixture
def _postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL has notifications.")


def send(**arguments: Any) -> None:
    mail.send("ann@example.com", "shop@example.com", **arguments)


def notifying(captured: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in captured.captured_queries if "pg_notify" in query["sql"]]


@pytest.mark.usefixtures("_postgresql")
def test_a_commit_is_heard_and_a_rollback_is_not(listener: Listener) -> None:
    with transaction.atomic():
        send()
        transaction.set_rollback(True)
    with transaction.atomic():
        send()
        assert not listener.heard()
        send()
    assert wait([listener.fileno()], PATIENCE)
    assert listener.heard()
    assert not listener.heard()


@pytest.mark.usefixtures("_postgresql")
def test_a_listener_whose_connection_was_cut_says_so_and_can_listen_again(listener: Listener) -> None:
    cut_other_connections()

    def hear_until_the_end() -> None:
        while wait([listener.fileno()], PATIENCE):
            listener.heard()

    with pytest.raises(DatabaseError):
        hear_until_the_end()
    assert not listener.is_open()
    listener.open()
    send()
    assert wait([listener.fileno()], PATIENCE)
    assert listener.heard()


def test_elsewhere_a_listener_stays_deaf_and_nothing_is_sent(listener: Listener) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has notifications.")
    assert not listener.is_open()
    with CaptureQueriesContext(connection) as captured:
        send()
    assert notifying(captured) == []


@pytest.mark.usefixtures("_postgresql")
def test_only_mail_that_is_due_is_announced(listener: Listener, settings: Any) -> None:
    with CaptureQueriesContext(connection) as captured:
        send(scheduled_time=timezone.now() + timedelta(hours=1))
    assert notifying(captured) == []
    with CaptureQueriesContext(connection) as captured:
        mail.send_many({"recipients": "ann@example.com", "sender": "me@example.com"} for _ in range(10))
    assert len(notifying(captured)) == 1


@pytest.mark.usefixtures("_postgresql")
def test_notifications_can_be_turned_off(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "NOTIFY": False}
    with CaptureQueriesContext(connection) as captured:
        send()
    assert notifying(captured) == []
    listener = Listener()
    listener.open()
    assert not listener.is_open()


class Psycopg2Connection:
    """What Django may have instead of psycopg's: it keeps the notifications that `poll` finds in a list."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.notifies: list[str] = []

    def poll(self) -> None:
        self.notifies += self.arrived
        self.arrived.clear()


def test_notifications_are_heard_by_the_older_driver_too() -> None:
    connection = Psycopg2Connection()
    assert not _take_notifications(connection)
    connection.arrived = ["post_office", "post_office"]
    assert _take_notifications(connection)
    assert not _take_notifications(connection)
