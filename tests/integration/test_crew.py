"""Worker processes and what their supervisor says to them."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from post_office.delivery.crew import Crew, Member
from post_office.delivery.line import LOOK, STOP
from post_office.models import STATUS, Email, Worker
from post_office.queue.outcomes import Settled
from tests.acceptance.patience import PATIENCE, wait_until
from tests.acceptance.project import assert_all_sent, queue, sent, smtp_backend
from tests.acceptance.smtp_server import SMTPServer
from tests.integration.crews import configure, orders


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        configure(monkeypatch, BACKENDS={"default": smtp_backend(server)}, THREADS_PER_PROCESS=2)
        yield server


class Ended:
    """What a crew told of its workers."""

    def __init__(self) -> None:
        self.total = Settled()
        self.exit_codes: list[int | None] = []
        self.paused: dict[str, str] = {}
        self.crew = Crew(on_settled=self._settled, on_paused=self._paused, on_end=self._ended)

    def _settled(self, settled: Settled) -> None:
        self.total += settled

    def _paused(self, paused: dict[str, str]) -> None:
        self.paused |= paused

    def _ended(self, member: Member) -> None:
        self.exit_codes.append(member.process.exitcode)

    def listen_until(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert not any(self.exit_codes)
            assert time.monotonic() < deadline
            self.crew.listen(0.02)


@contextmanager
def crew() -> Iterator[Ended]:
    """A crew none of which is left behind."""
    ended = Ended()
    try:
        yield ended
    finally:
        ended.crew.kill_all()


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_reaches_the_workers_as_well_and_only_the_dispatchers_word_counts(server: SMTPServer) -> None:
    """A terminal sends SIGINT to the whole group of processes. A worker that ended by it would leave what it
    has in flight, and what it holds, to the rules for the dead."""
    server.hold_after(0)
    emails = queue(10)
    with crew() as told:
        member = told.crew.start(orders())
        told.listen_until(lambda: len(server.accepted) == 2)
        assert member.ready
        os.kill(member.process.pid or 0, signal.SIGINT)
        server.let_go()
        told.listen_until(lambda: told.total.sent == 10)
        told.crew.stop_all()
        told.listen_until(lambda: not told.crew.members)
        assert told.exit_codes == [0]
    assert_all_sent(emails)
    assert set(server.message_ids().values()) == {1}


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_told_to_terminate_finishes_what_is_in_flight_and_releases_the_rest(
    server: SMTPServer,
) -> None:
    """As by a service manager that signals all of a group."""
    server.hold_after(0)
    queue(10)
    with crew() as told:
        member = told.crew.start(orders(stderr_level=40, threads=1, aliases=("default",)))
        told.listen_until(lambda: len(server.accepted) == 1)
        os.kill(member.process.pid or 0, signal.SIGTERM)
        wait_until(lambda: Email.objects.held().count() == 1, "what is not in flight is released")
        server.let_go()
        told.listen_until(lambda: not told.crew.members)
        assert told.exit_codes == [0]
    assert sent() == set(server.message_ids())
    assert (told.total.sent, Email.objects.filter(status=STATUS.queued).count()) == (1, 9)
    assert not Worker.objects.exists()


@contextmanager
def stranger() -> Iterator[tuple[Member, Any]]:
    """A member that never listens, and its end of the pipe."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        yield Member(process=multiprocessing.Process(), pipe=ours, orders=orders()), theirs


def test_a_worker_that_does_not_listen_holds_up_no_calls() -> None:
    with stranger() as (member, theirs):
        for _ in range(100_000):
            member.call()
        assert theirs.recv() == LOOK


def test_a_worker_is_told_to_stop_once_and_may_be_gone_by_then() -> None:
    with stranger() as (member, theirs):
        member.stop()
        member.stop()
        assert theirs.recv() == STOP
        assert not theirs.poll()
    with stranger() as (member, theirs):
        theirs.close()
        member.stop()
        assert member.leaving


# --- where no process can be started ---------------------------------------------------------------


def refused() -> str:
    with pytest.raises(CommandError) as raised:
        call_command("run_dispatcher")
    return str(raised.value)


def test_settings_that_another_process_cannot_load_are_refused(settings: Any) -> None:
    """Workers would die one after the other, or do what the settings of the module say instead."""
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LOG_LEVEL": 1}
    assert "settings.configure() or override_settings() leave no module to load" in refused()


def test_a_process_that_may_have_no_children_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those of multiprocessing.Pool."""
    monkeypatch.setattr(multiprocessing.current_process(), "daemon", True)
    assert "a daemonic process may have no children" in refused()


def test_a_database_that_no_other_process_sees_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite has databases in memory.")
    monkeypatch.setitem(connection.settings_dict, "NAME", ":memory:")
    assert "the database 'default' is in this process's memory" in refused()
