"""The dispatcher that stays, and the life of its worker processes: the supervisor is this very process."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Set
from functools import partial
from typing import Any

import pytest

from post_office import mail
from post_office.delivery import standing
from post_office.delivery.standing import StandingSupervisor
from post_office.models import STATUS, Dispatcher, Email, Worker
from tests.acceptance.patience import wait_until
from tests.acceptance.project import assert_all_sent, queue, sent, smtp_backend
from tests.acceptance.smtp_server import SMTPServer
from tests.integration.crews import configure, kill, meanwhile, orders

processes = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[SMTPServer]:
    caplog.set_level(logging.INFO, "post_office")
    with SMTPServer() as server:
        # Whoever waits for a lease waits for ever.
        configure(
            monkeypatch,
            BACKENDS={"default": smtp_backend(server)},
            THREADS_PER_PROCESS=2,
            LEASE_DURATION=3600,
        )
        monkeypatch.setattr(standing, "TICK", 0.05)
        yield server


def run(events: Callable[[StandingSupervisor], Any], **options: Any) -> bool:
    """Let a dispatcher run while these events take their course; returns what it says at its end."""
    supervisor = StandingSupervisor(**{"command": "run_dispatcher", "orders": orders, **options})

    def give_up() -> None:
        supervisor._at_once = True
        supervisor.stop()

    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with meanwhile(lambda: events(supervisor), then=supervisor.stop, if_they_fail=give_up):
        in_order = supervisor.run()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    return in_order


def workers() -> Set[int]:
    return set(Worker.objects.values_list("pid", flat=True))


def wait_for_workers(count: int, *, besides: Set[int] = frozenset()) -> Set[int]:
    """Return the workers that work, when they are so many."""
    wait_until(lambda: len(workers() - besides) == count, f"{count} workers work")
    return workers() - besides


@processes
def test_it_delivers_what_is_there_and_what_comes_and_leaves_in_order(
    server: SMTPServer, caplog: Any
) -> None:
    emails = queue(5)

    def events(supervisor: StandingSupervisor) -> None:
        wait_until(lambda: len(sent()) == 5, "what is there is delivered")
        emails.extend(queue(5))
        supervisor._call()  # as the lookout does, where it hears of mail
        wait_until(lambda: len(sent()) == 10, "what came is delivered")
        wait_until(lambda: Dispatcher.objects.filter(sent=10).exists(), "it says what it did")
        os.kill(os.getpid(), signal.SIGTERM)

    assert run(events, orders=partial(orders, poll_interval=3600), processes=2)
    assert_all_sent(emails)
    assert Dispatcher.objects.get().ended_at is not None
    assert "Told to stop: finishing what is in flight." in caplog.text
    assert "died" not in caplog.text


@processes
def test_a_second_signal_leaves_what_is_in_flight_to_the_next_run(server: SMTPServer, caplog: Any) -> None:
    server.hold_after(0)
    queue(10)

    def events(supervisor: StandingSupervisor) -> None:
        server.wait_until_accepted(2)
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: Email.objects.held().count() == 2, "what is not in flight is released")
        time.sleep(standing.ONE_SIGNAL)
        os.kill(os.getpid(), signal.SIGTERM)

    assert not run(events)
    assert "Told to stop at once" in caplog.text
    assert Email.objects.held().count() == 2
    server.let_go()
    # By that worker's own host it is known at once that the worker is gone.
    assert mail.send_queued() == (10, 0, 0)


@processes
def test_signals_that_come_together_are_one(server: SMTPServer) -> None:
    """Some programs pass on to their children what those were sent anyway."""
    server.hold_after(0)
    queue(2)

    def events(supervisor: StandingSupervisor) -> None:
        server.wait_until_accepted(2)
        for _ in range(3):
            supervisor.stop()
        server.let_go()

    assert run(events)
    assert len(sent()) == 2


@processes
def test_a_worker_that_dies_is_replaced_at_once(server: SMTPServer, caplog: Any) -> None:
    def events(supervisor: StandingSupervisor) -> None:
        (first,) = wait_for_workers(1)
        kill(first)
        wait_for_workers(1, besides={first})
        queue(1)
        wait_until(lambda: len(sent()) == 1, "the other one works")

    assert run(events)
    assert (
        f"died with exit code -{signal.SIGKILL:d}. Another one takes its place in 0 seconds." in caplog.text
    )


@processes
def test_workers_that_die_one_after_another_are_replaced_after_growing_whiles(
    server: SMTPServer, caplog: Any
) -> None:
    def said(words: str) -> bool:
        return words in caplog.text

    def events(supervisor: StandingSupervisor) -> None:
        wait_until(lambda: said("takes its place in 1 seconds"), "the second one has died")

    begun = time.monotonic()
    assert run(events, orders=partial(orders, settings_module="no.such.module"))
    assert said("died with exit code 1. Another one takes its place in 0 seconds.")
    assert not said("takes its place in 2 seconds")
    assert time.monotonic() - begun < 60


@processes
def test_a_worker_that_dies_while_it_was_to_finish_has_no_successor(server: SMTPServer, caplog: Any) -> None:
    server.hold_after(0)
    queue(2)

    def events(supervisor: StandingSupervisor) -> None:
        server.wait_until_accepted(2)
        (pid,) = workers()
        supervisor.stop()
        wait_until(lambda: "Told to stop" in caplog.text, "it drains")
        kill(pid)

    assert run(events)
    assert f"died with exit code -{signal.SIGKILL:d}." in caplog.text
    assert "Another one" not in caplog.text
    assert Email.objects.held().count() == 2


@processes
@pytest.mark.parametrize("limit", [{"max_mails": 3}, {"max_memory": 1}], ids=str)
def test_a_worn_worker_is_relieved_when_its_successor_works(
    server: SMTPServer, limit: dict[str, int], caplog: Any
) -> None:
    def events(supervisor: StandingSupervisor) -> None:
        (first,) = wait_for_workers(1)
        queue(2)
        wait_until(lambda: len(sent()) == 2, "it has done something")
        if "max_mails" in limit:
            assert workers() == {first}
            queue(1)
        (second,) = wait_for_workers(1, besides={first})
        wait_until(lambda: workers() == {second}, "the first one has left")

    assert run(events, **limit)
    assert "is relieved by" in caplog.text
    assert "died" not in caplog.text
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}


@processes
def test_a_worn_worker_stays_when_its_successor_dies(server: SMTPServer, caplog: Any) -> None:
    """And another one is tried."""
    modules = iter([{}, {"settings_module": "no.such.module"}])

    def events(supervisor: StandingSupervisor) -> None:
        (first,) = wait_for_workers(1)
        queue(1)
        wait_until(lambda: "died with exit code 1." in caplog.text, "the successor has died")
        (third,) = wait_for_workers(1, besides={first})
        wait_until(lambda: workers() == {third}, "the first one has left")

    assert run(events, max_mails=1, orders=lambda **more: orders(**next(modules, {}), **more))
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}


ORPHANS = """
import os, subprocess
import django; django.setup()
from post_office.delivery.standing import reap_orphans

reap_orphans(set())  # there is nobody
ours, living = subprocess.Popen(["sh", "-c", "exit 3"]), subprocess.Popen(["cat"], stdin=subprocess.PIPE)
os.waitid(os.P_PID, ours.pid, os.WEXITED | os.WNOWAIT)
reap_orphans({ours.pid})
assert ours.wait() == 3  # the exit code is still to be had
orphan = subprocess.Popen(["false"])
os.waitid(os.P_PID, orphan.pid, os.WEXITED | os.WNOWAIT)
reap_orphans({ours.pid})
try:
    os.waitpid(orphan.pid, os.WNOHANG)
except ChildProcessError:
    print("reaped")
assert living.poll() is None
living.communicate()
"""


def test_those_whose_parents_ended_before_them_are_reaped_and_our_own_are_left_to_us() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("reaped\n", "")
