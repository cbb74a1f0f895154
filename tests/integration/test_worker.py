"""One worker, and what the world does to it."""

import asyncio
import logging
import re
import smtplib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from post_office import mail
from post_office.delivery import attempts, deliver
from post_office.delivery.worker import WorkerLoop
from post_office.models import STATUS, Email, Log, Worker
from post_office.queue import claims, liveness, outcomes
from tests.backends import LocmemBackend
from tests.faults import failing


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
            loop._pulse._beat_at = 0.0  # the next beat is due
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
    claim = claims.Claimer.claim

    def break_later(claimer: claims.Claimer, *arguments: Any) -> list[Email]:
        if Email.objects.filter(status=STATUS.sent).exists():
            raise ZeroDivisionError
        return claim(claimer, *arguments)

    monkeypatch.setattr(claims.Claimer, "claim", break_later)
    with pytest.raises(ZeroDivisionError):
        WorkerLoop(log_level=2).run()
    sent = len(django_mail.outbox)
    assert Email.objects.filter(status=STATUS.sent).count() == sent
    assert not Email.objects.held().exists()


@pytest.mark.django_db
def test_what_is_in_flight_when_the_worker_breaks_is_written_down(interference: Any) -> None:
    queue(1)
    begun, answer = threading.Event(), threading.Event()

    def be_slow() -> None:
        begun.set()
        answer.wait(30)

    def break_meanwhile() -> bool:
        if begun.is_set():
            threading.Timer(0.1, answer.set).start()
            raise ZeroDivisionError
        return False

    interference.interfere = be_slow
    with pytest.raises(ZeroDivisionError):
        WorkerLoop(log_level=2, should_stop=break_meanwhile).run()
    assert len(django_mail.outbox) == 1
    assert Email.objects.get().status == STATUS.sent


@pytest.mark.django_db
def test_a_database_error_inside_a_callers_transaction_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    queue(1)

    def broken(*arguments: Any) -> list[Email]:
        raise OperationalError("gone")

    monkeypatch.setattr(claims.Claimer, "claim", broken)
    with pytest.raises(OperationalError):
        mail.send_queued()


@pytest.mark.django_db
def test_one_outcome_that_cannot_be_written_keeps_no_other_from_it() -> None:
    """Nor itself: it is written without its row in the log."""
    poison, *good = queue(4)

    def break_for_poison(execute: Any, sql: str, *arguments: Any) -> Any:
        if "INSERT INTO post_office_log" in sql and re.search(rf"IN \(.*\b{poison.pk}\b", sql):
            raise DataError("out of range")
        return execute(sql, *arguments)

    with connection.execute_wrapper(break_for_poison):
        assert mail.send_queued() == (4, 0, 0)
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}
    assert set(Log.objects.values_list("email", flat=True)) == {email.pk for email in good}


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_while_outcomes_are_written_one_by_one_is_waited_for() -> None:
    poison = DataError("out of range")
    log = r"INSERT INTO post_office_log "
    emails = queue(3)
    with failing(log, times=1, fault=poison), failing(log, after=1, times=1) as failed:
        assert mail.send_queued() == (3, 0, 0)
    assert failed
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}
    assert Log.objects.count() == len(emails)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fault",
    [
        smtplib.SMTPDataError(550, b"no a\0b"),
        smtplib.SMTPDataError(99999, b"a code of its own"),
        ValueError("half of a pair: \udcff"),
        Unprintable(),
        # not an Exception
        asyncio.CancelledError("stop"),
    ],
    ids=repr,
)
def test_whatever_a_backend_raises_is_that_mails_outcome(fault: BaseException, interference: Any) -> None:
    def raise_once() -> None:
        interference.interfere = None
        raise fault

    interference.interfere = raise_once
    queue(5)
    sent, failed, requeued = mail.send_queued()
    assert (sent, failed + requeued) == (4, 1)
    assert Log.objects.get(status=STATUS.failed).exception_type == type(fault).__name__
    assert not Email.objects.held().exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_while_mail_is_prepared_burns_no_attempt(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "MAX_RETRIES": 0}
    queue(3)
    gather = attempts.gather
    faults = iter([OperationalError("gone")])

    def break_once(email: Email, *arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return gather(email, *arguments)

    monkeypatch.setattr(attempts, "gather", break_once)
    assert mail.send_queued_mail_until_done(lockfile="").sent == 3  # type: ignore[union-attr]
    assert set(Email.objects.values_list("status", "number_of_retries")) == {(STATUS.sent, None)}


@pytest.mark.django_db
def test_mail_that_expires_while_it_is_held_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    (email,) = queue(1)
    claim = claims.Claimer.claim

    def claim_and_dawdle(claimer: claims.Claimer, *arguments: Any) -> list[Email]:
        got = claim(claimer, *arguments)
        Email.objects.filter(pk=email.pk).update(expires_at=timezone.now())
        for one in got:
            one.expires_at = timezone.now()
        return got

    monkeypatch.setattr(claims.Claimer, "claim", claim_and_dawdle)
    assert mail.send_queued() == (0, 0, 0)
    monkeypatch.undo()
    mail.send_queued()
    assert Email.objects.get().status == STATUS.expired
    assert django_mail.outbox == []


@pytest.mark.django_db(transaction=True)
def test_the_outcome_of_now_is_written_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    settle = outcomes.settle
    faults = iter([OperationalError("locked"), OperationalError("locked")])

    def break_twice(*arguments: Any) -> outcomes.Settled:
        for fault in faults:
            raise fault
        return settle(*arguments)

    monkeypatch.setattr(outcomes, "settle", break_twice)
    monkeypatch.setattr(deliver, "SETTLE_AGAIN", 0)
    email = mail.send("ann@example.com", "me@example.com", priority="now")
    assert Email.objects.get(pk=email.pk).status == STATUS.sent
    assert len(django_mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_now_whose_outcome_cannot_be_written_is_left_to_the_lease(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A server has it; who frees it now sends it twice."""
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LEASE_DURATION": timedelta(0)}

    def broken(*arguments: Any) -> outcomes.Settled:
        raise OperationalError("locked")

    monkeypatch.setattr(outcomes, "settle", broken)
    monkeypatch.setattr(deliver, "SETTLE_AGAIN", 0)
    monkeypatch.setattr(liveness, "beat_interval", lambda: 60)
    with pytest.raises(OperationalError):
        mail.send("ann@example.com", "me@example.com", priority="now")
    email = Email.objects.get()
    assert (email.status, email.worker_id) == (STATUS.queued, Worker.objects.get().pk)
    assert len(django_mail.outbox) == 1
