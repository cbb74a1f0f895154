"""The lookout of a dispatcher: it says in the database that the program lives, and hears of new mail."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from post_office import mail
from post_office.delivery import lookout
from post_office.delivery.lookout import Lookout
from post_office.models import Dispatcher
from post_office.queue import dispatchers
from post_office.queue.outcomes import Settled
from tests.acceptance.patience import PATIENCE, wait_until
from tests.acceptance.test_database import cut_other_connections
from tests.faults import Execute, failing, watched

pytestmark = pytest.mark.django_db(transaction=True)

BEAT = r"UPDATE .post_office_dispatcher. SET .*beat.\s*=\s*\("
LAST_BEAT = r"UPDATE .post_office_dispatcher. SET .*ended_at"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Beats and tries that nobody waits for."""
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LEASE_DURATION": timedelta(seconds=0.24)}
    monkeypatch.setattr(lookout, "TRY_AGAIN", 0.02)
    caplog.set_level(logging.INFO, "post_office")


class Program:
    """A dispatcher, as its lookout knows it."""

    def __init__(self) -> None:
        self.row = dispatchers.describe("run_dispatcher", timezone.now())
        self.mail_came = threading.Event()
        self.total = Settled()
        self.lookout = Lookout(self.row, lambda: self.total, self.mail_came.set)

    def stored(self) -> Dispatcher:
        return Dispatcher.objects.get(pk=self.row.pk)

    def beats(self) -> int:
        return Dispatcher.objects.filter(pk=self.row.pk).values_list("beat", flat=True).first() or 0

    def wait_for_mail(self) -> None:
        assert self.mail_came.wait(PATIENCE)
        self.mail_came.clear()


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    yield program
    program.lookout._bell.close()  # also that of one which never began, or had no time to end


def test_the_row_says_that_the_program_lives_what_it_did_and_that_it_ended(program: Program) -> None:
    with program.lookout:
        wait_until(lambda: program.beats() >= 1, "it beats")
        assert program.stored().ended_at is None
        program.total = Settled(sent=7, failed=2, requeued=1)
        beats = program.beats()
        wait_until(lambda: program.beats() > beats + 1, "it goes on beating")
        assert (program.stored().sent, program.stored().failed, program.stored().requeued) == (7, 2, 1)
        program.total = Settled(sent=8)
    assert program.stored().ended_at is not None
    assert program.stored().sent == 8


def test_old_rows_are_removed_once(program: Program) -> None:
    longer_ago = timezone.now() - dispatchers.KEEP_ENDED - timedelta(minutes=1)
    old = {"command": "run_dispatcher", "host": "elsewhere", "boot": "", "pid": 1, "beat_at": longer_ago}
    Dispatcher.objects.create(started_at=longer_ago, ended_at=longer_ago, **old)
    with program.lookout:
        wait_until(lambda: Dispatcher.objects.filter(host="elsewhere").count() == 0, "it is removed")
        later = Dispatcher.objects.create(started_at=longer_ago, ended_at=longer_ago, **old)
        beats = program.beats()
        wait_until(lambda: program.beats() > beats + 1, "it goes on beating")
        assert Dispatcher.objects.filter(pk=later.pk).exists()


def test_it_goes_on_after_the_database_was_away(program: Program, caplog: Any) -> None:
    with failing(BEAT, times=2) as failed, program.lookout:
        wait_until(lambda: program.beats() >= 2, "it beats again")
        assert len(failed) == 2
    assert caplog.text.count(f"Dispatcher {program.row} could not show that it lives: the database is") == 2
    assert program.stored().ended_at is not None


def test_a_program_ends_also_where_that_cannot_be_written(program: Program, caplog: Any) -> None:
    with failing(LAST_BEAT), program.lookout:
        wait_until(lambda: program.beats() >= 1, "it beats")
    assert program.stored().ended_at is None
    assert f"The end of dispatcher {program.row} could not be written down" in caplog.text


def test_a_database_that_does_not_answer_holds_up_no_end(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the supervisor before that, which the lookout has a thread of its own for."""
    monkeypatch.setattr(lookout, "LAST_WORDS", 0.05)
    asked, answer = threading.Event(), threading.Event()

    def dawdle(execute: Execute, sql: str) -> Any:
        if "UPDATE" in sql and "post_office_dispatcher" in sql:
            asked.set()
            assert answer.wait(PATIENCE)
        return execute()

    with watched(dawdle):
        with program.lookout:
            assert asked.wait(PATIENCE)
        assert program.lookout._thread.is_alive()  # and is not waited for
        answer.set()
        wait_until(Dispatcher.objects.exclude(ended_at=None).exists, "it is written in the end")
        program.lookout._thread.join()


# --- notifications ------------------------------------------------------------------------------


@pytest.fixture
def _postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL has notifications.")


def send() -> None:
    mail.send("ann@example.com", "shop@example.com")


@pytest.mark.usefixtures("_postgresql")
def test_the_program_is_told_of_mail_that_is_queued(program: Program) -> None:
    with program.lookout:
        wait_until(program.lookout._listener.is_open, "it listens")
        for _ in range(3):
            send()
            program.wait_for_mail()


@pytest.mark.usefixtures("_postgresql")
def test_a_lost_ear_is_said_once_and_what_was_queued_meanwhile_is_looked_for(
    program: Program, caplog: Any
) -> None:
    with program.lookout, ExitStack() as away:
        wait_until(program.lookout._listener.is_open, "it listens")
        failed = away.enter_context(failing("^LISTEN"))
        cut_other_connections()
        wait_until(lambda: len(failed) >= 3, "it tries to listen again")
        send()
        assert not program.mail_came.is_set()
        away.close()
        program.wait_for_mail()
        assert "Notifications of new mail are heard again." in caplog.text
        send()
        program.wait_for_mail()
    assert caplog.text.count("Notifications of new mail are not heard, looking for mail instead") == 1


def test_elsewhere_it_only_beats(program: Program) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has notifications.")
    with program.lookout:
        wait_until(lambda: program.beats() >= 2, "it beats")
        send()
        beats = program.beats()
        wait_until(lambda: program.beats() > beats, "it goes on beating")
    assert not program.mail_came.is_set()
