"""A database that fails in the middle of the work: what was sent is written down, what was not is sent."""

import logging
import multiprocessing
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import OperationalError
from django.utils import timezone

from post_office import mail
from post_office.delivery.line import LOOK, STOP, Line
from post_office.delivery.unsettled import SETTLE_AT
from post_office.delivery.worker import WorkerLoop
from post_office.models import STATUS, BackendState, Email, Tally, Worker
from tests.acceptance.patience import PATIENCE, wait_until
from tests.backends import TRY_LATER, FaultyBackend
from tests.faults import Execute, failing, watched
from tests.integration.crews import meanwhile

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
REGISTER = r"INSERT INTO .post_office_worker."
TALLY = r"UPDATE .post_office_tally."
BEAT = r"UPDATE .post_office_worker. SET .beat. .*beat_at"
LEAVE = r"DELETE FROM .post_office_worker."
CLAIM = r"UPDATE post_office_email SET worker_id"
LANES = r"FROM .?post_office_email.? .*backend_alias"
BRAKES = r"SELECT .* FROM .post_office_backendstate."
BACK_IN_TIME = r"FROM .post_office_email. .*created. >"


@pytest.fixture(autouse=True)
def faults(settings: Any, caplog: pytest.LogCaptureFixture) -> Iterator[dict[str, Exception]]:
    """What the backend raises."""
    caplog.set_level(logging.INFO, "post_office")
    settings.POST_OFFICE = {
        "BACKENDS": {"default": "tests.backends.FaultyBackend"},
        "THREADS_PER_PROCESS": 1,
        "MESSAGE_ID_ENABLED": True,
    }
    FaultyBackend.faults.clear()
    yield FaultyBackend.faults
    FaultyBackend.faults.clear()


def configure(settings: Any, **changes: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, **changes}


def queue(count: int = 3, **arguments: Any) -> list[Email]:
    draft = {"recipients": "ann@example.com", "sender": "me@example.com", **arguments}
    return mail.send_many([draft] * count)


def assert_all_sent_once(emails: list[Email]) -> None:
    assert set(Email.objects.values_list("status", "number_of_retries")) == {(STATUS.sent, None)}
    sent = sorted(message.extra_headers["Message-ID"] for message in django_mail.outbox)
    assert sent == sorted(str(email.message_id) for email in emails)
    assert not Worker.objects.exists()


# --- a run that ends ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "pattern", "after"),
    [
        ("look at the brakes", BRAKES, 0),
        ("claim mail", CLAIM, 0),
        ("claim mail", CLAIM, 1),
        ("draw allowance", r"UPDATE .post_office_allowance.", 0),
        ("write outcomes", r"UPDATE post_office_email SET status", 0),
        # the first is at the start of the run
        ("look for mail of dead workers", r"SELECT .* FROM .post_office_worker.", 1),
    ],
)
def test_whatever_statement_fails_each_mail_is_sent_once_and_written_down(
    what: str, pattern: str, after: int, settings: Any, caplog: Any
) -> None:
    settings.POST_OFFICE["BACKENDS"] = {
        "default": {"BACKEND": "tests.backends.FaultyBackend", "RATE": "1000/s"}
    }
    emails = queue(12)
    with failing(pattern, after=after, times=1) as failed:
        assert mail.send_queued() == (12, 0, 0)
    assert failed
    assert f"The database did not let us {what}, trying again: the database is away" in caplog.text
    assert_all_sent_once(emails)


def test_what_has_piled_up_meanwhile_is_written_before_anything_else(settings: Any) -> None:
    configure(settings, THREADS_PER_PROCESS=SETTLE_AT)
    emails = queue(2 * SETTLE_AT)
    with failing(r"UPDATE post_office_email SET status", times=1) as failed:
        assert mail.send_queued_mail_until_done(lockfile="").sent == 2 * SETTLE_AT  # type: ignore[union-attr]
    assert failed
    assert_all_sent_once(emails)


def test_what_was_sent_is_counted_also_where_that_fails_at_first(caplog: Any) -> None:
    queue(3)
    with failing(TALLY, times=1) as failed:
        assert mail.send_queued() == (3, 0, 0)
    assert failed
    assert Tally.objects.get().sent == 3


def test_a_beat_that_fails_is_made_up_for(settings: Any, caplog: Any) -> None:
    configure(settings, LEASE_DURATION=timedelta(seconds=12))
    emails = queue(3)
    slept: list[str] = []

    def dawdle(execute: Execute, sql: str) -> Any:
        if re.search(CLAIM, sql) and not slept:
            slept.append(sql)
            time.sleep(1.1)
        return execute()

    with watched(dawdle), failing(BEAT, times=1) as failed:
        assert mail.send_queued() == (3, 0, 0)
    assert failed
    assert "did not let us show that we live" in caplog.text
    assert_all_sent_once(emails)


@pytest.mark.parametrize(
    "pattern", [r"INSERT .*post_office_backendstate", r"UPDATE .post_office_backendstate."]
)
def test_what_is_learned_of_a_backend_can_be_written_later(pattern: str, faults: Any, caplog: Any) -> None:
    faults["open"] = ConnectionRefusedError("refused")
    queue(3)
    with failing(pattern, times=1):
        assert mail.send_queued() == (0, 0, 0)
    assert "did not let us write what a backend is like" in caplog.text
    assert BackendState.objects.get().out_of_order_until is not None
    assert not Email.objects.exclude(status=STATUS.queued, worker=None, number_of_retries=None).exists()


def test_that_a_backend_throttles_can_be_written_later(settings: Any, faults: Any, caplog: Any) -> None:
    settings.POST_OFFICE["BACKENDS"] = {
        "default": {"BACKEND": "tests.backends.FaultyBackend", "RATE": "1000/s"}
    }
    faults["ann@example.com"] = type(TRY_LATER)(450, b"4.7.28 unusual rate of mail")
    queue(2)
    with failing(r"UPDATE .post_office_backendstate.", times=1):
        assert mail.send_queued() == (0, 0, 2)
    assert "did not let us write what a backend is like" in caplog.text
    assert BackendState.objects.get().slowed_to == 0.5


def test_a_run_ends_well_though_it_cannot_see_what_waits(caplog: Any) -> None:
    mail.pause("default")
    queue(1)
    loop = WorkerLoop(log_level=2)
    with failing(LANES) as failed:
        assert loop.run().sent == 0
    assert failed
    assert "did not let us see what waits" in caplog.text
    assert not Worker.objects.exists()


def test_a_run_that_cannot_reach_its_database_for_a_lease_ends_with_that_fault(settings: Any) -> None:
    """Not before: a database that is started anew is back by then. And not without end: who started the run
    is to hear of it."""
    configure(settings, LEASE_DURATION=timedelta(seconds=0.3))
    queue(1)
    with failing(CLAIM, times=4) as failed, pytest.raises(OperationalError):
        mail.send_queued()
    assert len(failed) > 1


def test_a_run_that_cannot_begin_ends_with_the_fault() -> None:
    queue(1)
    with failing(REGISTER, times=1), pytest.raises(OperationalError):
        mail.send_queued()
    assert mail.send_queued() == (1, 0, 0)


def test_a_connection_that_was_lost_by_the_end_is_made_anew() -> None:
    emails = queue(3)
    with failing(LEAVE, times=1) as failed:
        assert mail.send_queued() == (3, 0, 0)
    assert failed
    assert_all_sent_once(emails)


def test_a_worker_that_cannot_leave_in_order_is_found_dead_by_others(caplog: Any) -> None:
    queue(3)
    with failing(LEAVE, times=2):
        assert mail.send_queued() == (3, 0, 0)
    worker = Worker.objects.get()
    assert f"Worker {worker} could not leave in order: the database is away" in caplog.text


def test_a_fault_of_several_lines_is_one_line_of_the_log(caplog: Any) -> None:
    queue(1)
    fault = OperationalError("server closed the connection\n\tThis probably means\n\tmuch.\n")
    with failing(CLAIM, times=1, fault=fault):
        mail.send_queued()
    (said,) = [record.getMessage() for record in caplog.records if "claim mail" in record.getMessage()]
    assert said.endswith("trying again: server closed the connection This probably means much.")


@pytest.mark.django_db(transaction=False)
def test_in_a_transaction_of_the_callers_there_is_no_second_try_to_leave(caplog: Any) -> None:
    """Its connection would be a new one, which ends the transaction."""
    queue(1)
    with failing(LEAVE) as failed:
        assert mail.send_queued() == (1, 0, 0)
    assert len(failed) == 1
    assert "could not leave in order" in caplog.text
    assert Email.objects.get().status == STATUS.sent


# --- a process that stood still -------------------------------------------------------------------


@contextmanager
def standing_still(pattern: str, seconds: float) -> Iterator[list[str]]:
    """Let a statement take so long, once; as where a process is suspended, or a host."""
    stood: list[str] = []

    def watch(execute: Execute, sql: str) -> Any:
        if re.search(pattern, sql) and not stood:
            stood.append(sql)
            time.sleep(seconds)
        return execute()

    with watched(watch):
        yield stood


def test_a_process_that_stood_still_for_half_a_lease_sends_nothing_before_it_knows_that_it_is_trusted(
    settings: Any,
) -> None:
    """It may have been taken for dead, and its mail be in the hands of another."""
    configure(settings, LEASE_DURATION=timedelta(seconds=1))
    emails = queue(1)
    with standing_still(CLAIM, seconds=0.6) as stood:
        total = WorkerLoop(log_level=2).run()
    assert stood
    assert (total.released, total.sent) == (1, 1)
    assert_all_sent_once(emails)


def test_a_worker_that_was_taken_for_dead_claims_under_a_new_name(caplog: Any) -> None:
    emails = queue(3)
    removed: list[Worker] = []

    def bury(execute: Execute, sql: str) -> Any:
        if re.search(LANES, sql) and not removed:
            removed.extend(Worker.objects.all())
            Worker.objects.all().delete()
        return execute()

    with watched(bury):
        assert mail.send_queued() == (3, 0, 0)
    (worker,) = removed
    assert f"Worker {worker} was taken for dead; it starts anew." in caplog.text
    assert_all_sent_once(emails)


# --- others ---------------------------------------------------------------------------------------


def stranger(email: Email, **columns: Any) -> Worker:
    """A worker of another host that has this mail."""
    now = timezone.now()
    worker = Worker.objects.create(
        host="elsewhere", boot="other", pid=4711, pid_started=1, started_at=now, beat_at=now, **columns
    )
    Email.objects.filter(pk=email.pk).update(worker=worker, claimed_at=now, claims=1)
    return worker


def test_a_run_waits_for_mail_of_a_silent_worker_and_says_so(settings: Any, caplog: Any) -> None:
    configure(settings, LEASE_DURATION=timedelta(seconds=0.6))
    (email,) = emails = queue(1)
    worker = stranger(email)
    assert mail.send_queued() == (1, 0, 0)
    assert caplog.text.count("Mail is held by silent workers; waiting to see whether they live") == 1
    assert f"Worker {worker} has been silent for" in caplog.text
    assert_all_sent_once(emails)


def test_a_run_waits_for_what_another_finds_out_about_a_backend() -> None:
    emails = queue(1)
    now = timezone.now()
    soon = now + timedelta(seconds=0.3)
    BackendState.objects.create(alias="default", faults=1, out_of_order_until=now, probing_until=soon)
    assert mail.send_queued() == (1, 0, 0)
    assert timezone.now() > soon
    assert_all_sent_once(emails)


# --- a worker that stays --------------------------------------------------------------------------


class Staying:
    """A worker that stays, and its supervisor's end of the pipe."""

    def __init__(self, pipe: Connection, line: Line) -> None:
        self.pipe = pipe
        self.loop = WorkerLoop(
            log_level=2, calls=line, should_stop=line.should_stop, on_settled=lambda settled: None
        )

    def say(self, word: str) -> None:
        self.pipe.send(word)

    def stop(self) -> None:
        self.pipe.send(STOP)

    def run(self, events: Any) -> int:
        with meanwhile(events, then=self.stop, if_they_fail=self.stop):
            return self.loop.run().sent


@pytest.fixture
def staying() -> Iterator[Any]:
    """Makes one that looks by itself once in so many seconds."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        yield lambda poll_interval: Staying(ours, Line(theirs, poll_interval))


def all_sent() -> bool:
    return not Email.objects.exclude(status=STATUS.sent).exists()


def test_a_worker_that_stays_sends_what_it_is_called_for(staying: Any) -> None:
    worker = staying(3600)

    def events() -> None:
        for _ in range(2):
            wait_until(lambda: not Email.objects.held().exists(), "it is at rest")
            queue(2)
            worker.say(LOOK)
            wait_until(all_sent, "all is sent")

    assert worker.run(events) == 4


def test_a_worker_that_stays_looks_by_itself_and_beats(staying: Any, settings: Any) -> None:
    configure(settings, LEASE_DURATION=timedelta(seconds=0.24))
    worker = staying(0.02)

    def events() -> None:
        wait_until(lambda: Worker.objects.filter(beat__gt=2).exists(), "it beats")
        queue(2)
        wait_until(all_sent, "all is sent")

    assert worker.run(events) == 2


def test_a_call_that_is_heard_while_the_database_is_away_is_not_forgotten(staying: Any, caplog: Any) -> None:
    """As after its connection was cut while it rested: new mail does not wait for the next look."""
    queue(1)
    worker = staying(3600)
    away, failed = threading.Event(), threading.Event()

    def fail_once(execute: Execute, sql: str) -> Any:
        if away.is_set() and re.search(LANES, sql):
            away.clear()
            failed.set()
            raise OperationalError("the database is away")
        return execute()

    def events() -> None:
        # which is what it writes before it rests
        wait_until(Tally.objects.exists, "it has counted the first mail")
        queue(2)
        away.set()
        worker.say(LOOK)
        assert failed.wait(PATIENCE)
        wait_until(all_sent, "all is sent")

    with watched(fail_once):
        assert worker.run(events) == 3
    assert "did not let us look for mail, trying again" in caplog.text


def test_a_worker_that_stays_counts_what_it_sent_when_the_database_is_back(staying: Any, caplog: Any) -> None:
    queue(2)
    worker = staying(0.02)
    with failing(TALLY, times=1) as failed:
        assert worker.run(lambda: wait_until(Tally.objects.exists, "it is counted")) == 2
    assert failed
    assert "did not let us write how much was sent" in caplog.text
    assert Tally.objects.get().sent == 2


@pytest.mark.parametrize("pattern", [REGISTER, BACK_IN_TIME])
def test_a_worker_that_stays_waits_for_a_database_that_is_away_when_it_begins(
    staying: Any, pattern: str, caplog: Any
) -> None:
    queue(2)
    worker = staying(3600)

    def events() -> None:
        wait_until(all_sent, "all is sent")
        assert Worker.objects.count() == 1

    with failing(pattern, times=1) as failed:
        assert worker.run(events) == 2
    assert failed
    assert "did not let us begin, trying again" in caplog.text


def test_a_worker_that_is_told_to_stop_before_it_could_begin_ends(staying: Any) -> None:
    queue(1)
    worker = staying(3600)
    with failing(REGISTER) as failed:
        assert worker.run(lambda: wait_until(lambda: failed, "the database is away")) == 0
    assert Email.objects.get().status == STATUS.queued
