"""The parts of a dispatcher that need no database."""

import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pytest

from post_office.delivery.bell import Bell
from post_office.delivery.line import LOOK, STOP, Line
from post_office.delivery.service_manager import ServiceManager
from post_office.delivery.standing import memory_of
from post_office.enums import PRIORITY
from post_office.management.commands.run_dispatcher import SERVED_AS, chosen_priorities
from post_office.queue.lanes import PRIORITIES


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Line]]:
    supervisors, workers = multiprocessing.Pipe()
    with supervisors, workers:
        yield supervisors, Line(workers, poll_interval=3600)


def test_a_call_of_a_moment_ago_is_not_waited_for(ends: tuple[Connection, Line]) -> None:
    supervisor, line = ends
    supervisor.send(LOOK)
    assert not line.should_stop()  # it has been read by now
    line.wait()


def test_calls_are_one_call_and_heard_once(ends: tuple[Connection, Line]) -> None:
    supervisor, line = ends
    supervisor.send(LOOK)
    supervisor.send(LOOK)
    assert line.was_called()
    assert not line.was_called()


def test_who_is_told_to_stop_waits_no_more(ends: tuple[Connection, Line]) -> None:
    supervisor, line = ends
    supervisor.send(STOP)
    line.wait()
    assert line.should_stop()
    line.wait()


def test_the_end_of_the_supervisor_means_stop(ends: tuple[Connection, Line]) -> None:
    supervisor, line = ends
    supervisor.close()
    line.wait()
    assert line.should_stop()
    line.report("nobody hears this")


def test_a_report_that_nobody_hears_means_stop(ends: tuple[Connection, Line]) -> None:
    supervisor, line = ends
    supervisor.close()
    line.report("nobody hears this")
    assert line.should_stop()


def test_a_bell_rings_until_it_is_silenced_however_often_it_was_rung() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()
    assert wait([bell.fileno()], 0)
    bell.silence()
    assert not wait([bell.fileno()], 0)
    threading.Timer(0.01, bell.ring).start()
    assert wait([bell.fileno()], 60)
    bell.close()
    bell.ring()  # nobody waits any more


def test_a_service_manager_hears_each_state_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify")
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        program = ServiceManager()
        for _ in range(2):
            program.ready()
            program.sign_of_life()
        program.stopping()
        assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    ("usec", "pid"), [("1000", "1"), ("often", str(os.getpid()))], ids=["another process's", "no number"]
)
def test_a_watchdog_that_is_not_ours_gets_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usec: str, pid: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        monkeypatch.setenv("WATCHDOG_USEC", usec)
        monkeypatch.setenv("WATCHDOG_PID", pid)
        ServiceManager().sign_of_life()
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_a_service_manager_that_is_gone_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    with caplog.at_level(logging.WARNING):
        ServiceManager().ready()
    assert "was not told READY=1" in caplog.text


def test_without_a_service_manager_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager().ready()
    assert caplog.text == ""


def test_the_memory_of_a_process_is_told_where_there_is_one() -> None:
    assert memory_of(os.getpid()) > 1_000_000
    assert memory_of(None) == 0


def test_every_priority_is_served_under_some_name() -> None:
    assert chosen_priorities(list(SERVED_AS)) == PRIORITIES
    assert chosen_priorities(["low", "high"]) == (PRIORITY.now, PRIORITY.high, PRIORITY.low, None)
