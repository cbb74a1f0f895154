"""One worker, and what the world does to it."""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.db import OperationalError, connection
from django.utils import timezone

from post_office import mail
from post_office.delivery.worker import WorkerLoop
from post_office.models import STATUS, Email, Worker
from post_office.queue import claims, liveness, outcomes
from tests.backends import LocmemBackend


class InterferingBackend(LocmemBackend):
    """Does something to the world before it delivers."""

    interfere: Any = None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        if InterferingBackend.interfere:
            InterferingBackend.interfere()
        return super().send_messages(email_messages)


@pytest.fixture
def interference(settings: Any) -> Iterator[type[InterferingBackend]]:
    settings.POST_OFFICE = {"BACKENDS": {"default": f"{__name__}.InterferingBackend"}}
    yield InterferingBackend
    InterferingBackend.interfere = None


def queue(count: int) -> list[Email]:
    return mail.send_many([{"recipients": "ann@example.com", "sender": "me@example.com"}] * count)


@pytest.mark.django_db(transaction=True)
def test_an_outcome_is_not_lost_while_another_program_locks_the_database(
    interference: Any, caplog: Any
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("other databases lock rows")
    queue(3)
    locked, release = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with sqlite3.connect(str(connection.settings_dict["NAME"]), isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            locked.set()
            release.wait(30)
            other.execute("COMMIT")
        other.close()

    program = threading.Thread(target=hold_the_lock)

    def lock_once() -> None:
        interference.interfere = None
        program.start()
        locked.wait(30)

    interference.interfere = lock_once
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 50")

    class UnlockWhenNoticed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "did not let us write outcomes" in record.getMessage():
                release.set()

    handler = UnlockWhenNoticed()
    logging.getLogger("post_office").addHandler(handler)
    try:
        assert mail.send_queued() == (3, 0, 0)
    finally:
        logging.getLogger("post_office").removeHandler(handler)
        release.set()
        program.join()
    assert len(django_mail.outbox) == 3
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}
    assert "did not let us write outcomes" in caplog.text


@pytest.mark.django_db
def test_a_worker_that_was_taken_for_dead_writes_nothing_and_starts_anew(
    interference: Any, settings: Any, caplog: Any
) -> None:
    """It wakes up while a mail is in flight; its successor has that mail by then."""
    settings.POST_OFFICE = {**settings.POST_OFFICE, "THREADS_PER_PROCESS": 1}
    (taken,) = queue(1)
    loop = WorkerLoop(log_level=2)
    successor = liveness.register(timezone.now())
    beats = iter([True, False])
    beaten = threading.Event()

    def be_slow() -> None:
        interference.interfere = None
        beaten.wait(30)

    interference.interfere = be_slow
    step = loop._step

    def step_and_die() -> bool:
        if loop._senders.in_hand and next(beats, False):
            liveness.free(loop.row.pk)
            claims.claim_one(Email.objects.get(pk=taken.pk), successor, timezone.now())
            loop._beat_at = 0.0  # the next beat is due
            beaten.set()
        return step()

    loop._step = step_and_die  # type: ignore[method-assign]
    loop.should_stop = lambda: not loop._held and beaten.is_set()
    total = loop.run()
    assert (total.sent, total.lost) == (0, 1)
    assert Email.objects.get(pk=taken.pk).worker_id == successor.pk
    assert "was taken for dead" in caplog.text
    assert list(Worker.objects.all()) == [successor]


@pytest.mark.django_db
def test_a_worker_told_to_stop_releases_what_is_not_in_flight(interference: Any, settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "THREADS_PER_PROCESS": 1}
    emails = queue(30)
    stop = threading.Event()
    interference.interfere = stop.set
    total = WorkerLoop(log_level=2, should_stop=stop.is_set).run()
    sent = len(django_mail.outbox)
    assert total.sent == sent
    assert 0 < sent < 30
    assert Email.objects.filter(status=STATUS.sent).count() == sent
    waiting = Email.objects.filter(status=STATUS.queued)
    assert waiting.count() == 30 - sent
    assert not waiting.held().exists()
    assert not Worker.objects.exists()
    assert len(emails) == 30


@pytest.mark.django_db
def test_a_fault_of_our_own_loses_no_outcome(interference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks the loop, what was sent is written down and the rest is free."""
    queue(30)
    settle = outcomes.settle
    calls = iter(range(100))

    def break_once(*arguments: Any) -> outcomes.Settled:
        if next(calls) == 1:
            raise ZeroDivisionError
        return settle(*arguments)

    monkeypatch.setattr(outcomes, "settle", break_once)
    with pytest.raises(ZeroDivisionError):
        WorkerLoop(log_level=2).run()
    sent = len(django_mail.outbox)
    assert Email.objects.filter(status=STATUS.sent).count() == sent
    assert not Email.objects.held().exists()


@pytest.mark.django_db
def test_a_database_error_inside_a_callers_transaction_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    queue(1)

    def broken(*arguments: Any) -> list[Email]:
        raise OperationalError("gone")

    monkeypatch.setattr(claims.Claimer, "claim", broken)
    with pytest.raises(OperationalError):
        mail.send_queued()
