"""Connections to a real server: how many, for how much mail, and for how long."""

import gc
import logging
import threading
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from post_office import mail
from post_office.delivery import senders
from post_office.delivery.attempts import Job, prepare
from post_office.delivery.connections import connections
from post_office.delivery.pooling import ASK_AFTER, Held, Shared
from post_office.delivery.receipts import Receipt
from post_office.delivery.senders import Senders
from post_office.models import Email
from post_office.signals import email_sent
from tests.acceptance.patience import wait_until
from tests.acceptance.project import smtp_backend
from tests.acceptance.scripted_server import ScriptedServer, take_one_and_part_badly
from tests.acceptance.smtp_server import SMTPServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        yield server


@pytest.fixture
def backend(server: SMTPServer, settings: Any) -> Iterator[Any]:
    """Say something of the backend."""

    def say(**options: Any) -> None:
        settings.POST_OFFICE = {"BACKENDS": {"default": {**smtp_backend(server), **options}}}

    say()
    yield say
    connections.close()


def queue(count: int, **arguments: Any) -> list[Email]:
    draft = {"recipients": "ann@example.com", "sender": "me@example.com", **arguments}
    return mail.send_many([draft] * count)


@pytest.mark.parametrize("most", [1, 2])
def test_a_process_has_no_more_connections_than_its_backend_says(
    most: int, server: SMTPServer, backend: Any
) -> None:
    backend(MAX_CONNECTIONS=most)
    server.seconds_per_mail = 0.01
    queue(40)
    assert mail.send_queued() == (40, 0, 0)
    assert server.most_connections_at_once <= most
    assert server.connections <= most
    assert set(server.message_ids().values()) == {1}


def test_without_a_limit_each_thread_has_its_own(server: SMTPServer, backend: Any) -> None:
    server.hold_after(0)
    queue(20)

    def let_go_when_all_threads_wait() -> None:
        server.wait_until_accepted(5)
        server.let_go()

    watcher = threading.Thread(target=let_go_when_all_threads_wait)
    watcher.start()
    assert mail.send_queued() == (20, 0, 0)
    watcher.join()
    assert server.connections == 5


def test_a_backend_with_few_connections_keeps_no_mail_of_others_waiting(
    server: SMTPServer, backend: Any, settings: Any
) -> None:
    settings.POST_OFFICE = {
        "BACKENDS": {"default": "locmem", "slow": {**smtp_backend(server), "MAX_CONNECTIONS": 1}}
    }
    server.hold_after(0)
    slow = queue(8, backend="slow", priority="high")
    others = queue(2)
    order: list[Email] = []

    def note(emails: list[Email], **facts: Any) -> None:
        order.extend(emails)
        if set(others) <= set(order):
            server.let_go()

    # What is wrong is seen in the order, and not by waiting without end.
    rescue = threading.Timer(20, server.let_go)
    rescue.start()
    email_sent.connect(note)
    try:
        assert mail.send_queued() == (10, 0, 0)
    finally:
        email_sent.disconnect(note)
        rescue.cancel()
    assert set(order[:2]) == set(others)
    assert set(order[2:]) == set(slow)
    assert server.most_connections_at_once == 1


def test_a_connection_carries_no_more_mails_than_its_backend_says(server: SMTPServer, backend: Any) -> None:
    backend(MAX_MESSAGES=3, MAX_CONNECTIONS=1)
    queue(10)
    assert mail.send_queued() == (10, 0, 0)
    assert server.connections == 4


def look_up() -> Held:
    connections["default"]
    return connections._held["default"]


@pytest.mark.parametrize(
    ("options", "opened_before", "used_before", "stays"),
    [
        ({}, 0, 0, True),
        ({}, 3600, 59, True),
        ({}, 3600, 61, False),
        ({"IDLE_TIMEOUT": timedelta(seconds=5)}, 6, 6, False),
        ({"MAX_CONNECTION_AGE": timedelta(minutes=5)}, 299, 0, True),
        ({"MAX_CONNECTION_AGE": timedelta(minutes=5)}, 301, 0, False),
    ],
)
def test_a_connection_is_used_until_it_is_too_old(
    options: dict[str, Any], opened_before: int, used_before: int, stays: bool, backend: Any
) -> None:
    backend(**options)
    held = look_up()
    held.opened_at -= opened_before
    held.used_at -= used_before
    assert (look_up() is held) is stays


def test_a_thread_with_nothing_to_do_closes_what_is_too_old(server: SMTPServer, backend: Any) -> None:
    held = look_up()
    connections.close_old()
    assert connections.all() == [held.backend]
    held.used_at -= 61
    connections.close_old()
    assert connections.all() == []


def test_what_is_shared_is_closed_when_it_is_too_old(backend: Any) -> None:
    shared = Shared()
    young, old = look_up(), Held("default", connections["default"])
    old.used_at -= 61
    shared.put(old)
    shared.put(young)
    shared.close(only_old=True)
    assert shared.take("default") is young
    assert shared.take("default") is None


def test_a_connection_that_was_idle_is_asked_before_it_is_used(server: SMTPServer, backend: Any) -> None:
    held = look_up()
    held.used_at -= ASK_AFTER + 1
    assert look_up() is held
    held.backend.connection.sock.shutdown(2)  # type: ignore[attr-defined]
    # not after a moment
    assert look_up() is held
    held.used_at -= ASK_AFTER + 1
    assert look_up() is not held


@pytest.mark.parametrize("options", [{}, {"MAX_CONNECTIONS": 1}], ids=str)
def test_a_worker_with_nothing_to_do_closes_its_connections_in_time(
    options: dict[str, Any], server: SMTPServer, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "LOOK_AT_IDLE", 0.01)
    backend(IDLE_TIMEOUT=timedelta(seconds=0.05), **options)
    (email,) = queue(1)
    threads = Senders(1, lambda job, courier: courier.attempt(job))
    job = prepare(email, "default")
    assert isinstance(job, Job)
    threads.give(job)
    wait_until(lambda: server.accepted and not server.connections_now, "the connection is closed")
    assert [result for _, result in threads.finish()] == [Receipt(accepted=("ann@example.com",))]


def test_a_connection_that_cannot_be_closed_costs_no_mail(backend: Any, settings: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "post_office")
    with ScriptedServer(take_one_and_part_badly) as scripted:
        settings.POST_OFFICE = {"BACKENDS": {"default": smtp_backend(scripted)}}
        queue(1)
        assert mail.send_queued() == (1, 0, 0)
    assert "Closing the connection to backend default failed" in caplog.text


def test_everything_is_closed_at_the_end(server: SMTPServer, backend: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for options in ({}, {"MAX_CONNECTIONS": 2}, {"MAX_MESSAGES": 2}):
            backend(**options)
            server.hang_ups["bob@example.com"] = 1
            server.hang_ups_before_data["eve@example.com"] = 1
            queue(5)
            queue(1, recipients="bob@example.com")
            queue(1, recipients="eve@example.com")
            mail.send_queued()
            mail.send("ann@example.com", "me@example.com", priority="now")
        gc.collect()
    assert [str(warning.message) for warning in caught if "unclosed" in str(warning.message)] == []
    assert connections.all() == []
