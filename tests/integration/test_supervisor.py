"""A run that ends, with worker processes: the supervisor is this very process."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from post_office import mail
from post_office.delivery.supervisor import DEATHS, Supervisor, Totals, stopped_by_signals
from post_office.exceptions import CannotStartProcesses
from post_office.models import STATUS, Dispatcher, Email, Log, Worker
from tests.acceptance.patience import wait_until
from tests.acceptance.project import assert_all_sent, queue, sent, smtp_backend
from tests.acceptance.smtp_server import SMTPServer
from tests.faults import failing
from tests.integration.crews import SETTINGS, configure, kill, meanwhile

LAST_WORDS = r"UPDATE .post_office_dispatcher. SET .*ended_at"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SMTPServer]:
    """Of a project whose settings are in a module of their own."""
    monkeypatch.setattr(django_settings, "SETTINGS_MODULE", SETTINGS)
    with SMTPServer() as server:
        configure(
            monkeypatch,
            BACKENDS={"default": smtp_backend(server)},
            THREADS_PER_PROCESS=2,
            LEASE_DURATION=3600,
        )
        yield server


def run(supervisor: Supervisor, events: Callable[[], Any], server: SMTPServer) -> Totals:
    """Let a run go on while these events take their course."""

    def give_up() -> None:
        supervisor.stop()
        server.let_go()

    with meanwhile(events, then=lambda: None, if_they_fail=give_up):
        return supervisor.run()


def test_all_that_is_due_is_delivered_and_the_run_says_what_it_did(server: SMTPServer) -> None:
    emails = queue(20)
    settled: list[int] = []
    totals = Supervisor(
        processes=2, command="send_queued_mail", on_settled=lambda each: settled.append(each.sent)
    ).run()
    assert (totals.sent, totals.failed, totals.requeued, totals.deaths) == (20, 0, 0, 0)
    assert sum(settled) == 20
    assert_all_sent(emails)
    row = Dispatcher.objects.get()
    assert (row.sent, row.ended_at is None) == (20, False)
    assert set(server.message_ids().values()) == {1}


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_is_delivered_than_the_run_is_told_to_however_many_processes(
    limit: int, server: SMTPServer
) -> None:
    queue(10)
    assert Supervisor(processes=2, limit=limit).run().sent == limit
    assert len(server.accepted) == limit


def test_a_backend_that_is_out_of_order_in_the_workers_is_named(server: SMTPServer) -> None:
    queue(4)
    server.go_away()
    totals = Supervisor(processes=2).run()
    assert (totals.attempted, list(totals.paused)) == (0, ["default"])
    assert "Backend default is out of order" in totals.paused["default"]


def test_what_a_worker_that_dies_had_is_delivered_by_another(server: SMTPServer, caplog: Any) -> None:
    server.hold_after(0)
    queue(20)

    def events() -> None:
        server.wait_until_accepted(4)
        kill(Worker.objects.earliest("started_at").pid)
        server.wait_until_accepted(6)
        server.let_go()

    totals = run(Supervisor(processes=2), events, server)
    assert totals.deaths == 1
    assert f"died with exit code -{signal.SIGKILL:d}." in caplog.text
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}
    assert len(server.repeats()) <= 2


def test_a_worker_that_dies_when_the_run_was_told_to_stop_has_no_successor(server: SMTPServer) -> None:
    server.hold_after(0)
    queue(10)
    supervisor = Supervisor(processes=2)

    def events() -> None:
        server.wait_until_accepted(4)
        supervisor.stop()
        wait_until(lambda: Email.objects.held().count() == 4, "what is not in flight is released")
        kill(Worker.objects.earliest("started_at").pid)
        server.let_go()

    totals = run(supervisor, events, server)
    assert (totals.deaths, totals.sent) == (1, 2)
    assert Email.objects.held().count() == 2


def test_a_run_whose_workers_all_die_gives_up(server: SMTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(1)
    monkeypatch.setattr(django_settings, "SETTINGS_MODULE", "no.such.module")
    totals = Supervisor(processes=2).run()
    assert DEATHS * 2 <= totals.deaths < DEATHS * 2 + 2
    assert Email.objects.get().status == STATUS.queued


def test_with_nothing_to_do_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django_settings, "SETTINGS_MODULE", "no.such.module")
    assert Supervisor(processes=2).run().deaths == 0


def test_where_no_process_can_be_started_the_run_is_refused_before_anything_is_sent(
    settings: Any,
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LOG_LEVEL": 1}
    queue(1)
    with pytest.raises(CannotStartProcesses, match="Use processes=1"):
        mail.send_queued(processes=2)
    assert Email.objects.get().status == STATUS.queued


def test_what_a_run_did_counts_also_where_its_end_cannot_be_written(caplog: Any) -> None:
    queue(2)
    with failing(LAST_WORDS):
        assert Supervisor(command="send_queued_mail").run().sent == 2
    assert "could not be written down: the database is away" in caplog.text
    assert Dispatcher.objects.get().ended_at is None


@pytest.mark.parametrize(("log_level", "rows"), [(None, 2), (0, 0)])
def test_a_run_logs_as_it_is_told(log_level: int | None, rows: int) -> None:
    queue(2)
    mail.send_queued(log_level=log_level)
    assert Log.objects.count() == rows


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_a_run_and_a_second_one_is_the_programs_own(number: int) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda number, frame: heard.append(number))
    supervisor = Supervisor()
    try:
        queue(3)
        with stopped_by_signals(supervisor):
            os.kill(os.getpid(), number)
            assert supervisor.run().attempted == 0
            assert heard == []
            os.kill(os.getpid(), number)
            assert heard == [number]
        os.kill(os.getpid(), number)
        assert heard == [number] * 2
    finally:
        signal.signal(number, before)
    assert sent() == set()


def test_in_another_thread_signals_are_left_to_the_program() -> None:
    """Only the main thread of a program may say what a signal does."""
    handlers: list[Any] = []

    def deliver() -> None:
        with stopped_by_signals(Supervisor()):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=deliver)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
