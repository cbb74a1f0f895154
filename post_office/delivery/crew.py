"""The worker processes of one supervisor: started, told, heard, and missed when they end.

Processes are started afresh ("spawn"), which works on every system, and inherit neither threads nor
database connections. Each has a pipe: the worker's reports come one way, see `line` for the other.
"""

from __future__ import annotations

import logging
import multiprocessing
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from django.conf import settings as django_settings
from django.db import connections as databases

from ..exceptions import CannotStartProcesses
from ..queue.outcomes import Settled
from .line import LOOK, STOP
from .process import STOP_SIGNALS, Orders, run_worker

logger = logging.getLogger("post_office")


@dataclass(kw_only=True, eq=False)
class Member:
    """One worker process, as its supervisor knows it."""

    process: BaseProcess
    pipe: Connection
    orders: Orders
    started: float = field(default_factory=time.monotonic)
    # One that stays has said that it looks for mail.
    ready: bool = False
    # It was told to stop.
    leaving: bool = False
    attempted: int = 0

    def call(self) -> None:
        """Say that there is new mail. One that does not listen, and has not read earlier calls, is spared."""
        # On Windows no pipe can be asked: there, workers look by themselves alone.
        if sys.platform != "win32" and select.select([], [self.pipe], [], 0)[1]:
            self._say(LOOK)

    def stop(self) -> None:
        """Tell it to finish what is in flight, release the rest, and end."""
        if not self.leaving:
            self.leaving = True
            self._say(STOP)

    def _say(self, word: str) -> None:
        try:
            self.pipe.send(word)
        except OSError:
            pass  # it is gone already


class Crew:
    """The worker processes that live.

    Args:
        on_settled: Told of each batch of outcomes.
        on_paused: Told at the end of a worker which backends were out of order, with the reason.
        on_end: Told of each process that has ended, when it is no longer one of the crew.
    """

    def __init__(
        self,
        *,
        on_settled: Callable[[Settled], None],
        on_paused: Callable[[dict[str, str]], None] = lambda paused: None,
        on_end: Callable[[Member], None],
    ) -> None:
        self.members: list[Member] = []
        self._on_settled = on_settled
        self._on_paused = on_paused
        self._on_end = on_end

    def start(self, orders: Orders) -> Member:
        """Start a worker process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_worker, args=(theirs, orders), name="post_office worker")
        with _stop_signals_held_back():
            process.start()
        theirs.close()
        member = Member(process=process, pipe=ours, orders=orders)
        self.members.append(member)
        return member

    def call_all(self) -> None:
        for member in self.members:
            member.call()

    def stop_all(self) -> None:
        for member in self.members:
            member.stop()

    def kill_all(self) -> None:
        """End all at once. What they hold is free for others by the rules for the dead."""
        for member in self.members:
            member.process.kill()
        self.join()

    def join(self) -> None:
        for member in self.members:
            member.process.join()

    def listen(self, seconds: float, *others: Any) -> None:
        """Take in what the workers report, for some seconds at most, or until one of `others` can be read."""
        ready = wait([*(member.pipe for member in self.members), *others], timeout=seconds)
        for member in [member for member in self.members if member.pipe in ready]:
            try:
                self._hear(member, member.pipe.recv())
            except (EOFError, OSError):
                self._miss(member)

    def _hear(self, member: Member, message: object) -> None:
        if isinstance(message, Settled):
            member.attempted += message.sent + message.failed + message.requeued
            self._on_settled(message)
        elif isinstance(message, dict):
            self._on_paused(message)
        else:  # READY, the one word that a worker has to say
            member.ready = True

    def _miss(self, member: Member) -> None:
        self.members.remove(member)
        member.process.join()
        member.pipe.close()
        self._on_end(member)


def database_names() -> dict[str, str]:
    """Return the names of the databases in use by alias; in a test run, not those of the settings."""
    return {alias: str(databases[alias].settings_dict["NAME"]) for alias in databases}


def refuse_impossible_processes(processes: int) -> None:
    """Raise `CannotStartProcesses` where a worker process could not find its way."""
    if not django_settings.SETTINGS_MODULE:
        # Another process would not have what was set here.
        raise CannotStartProcesses(
            processes, "since settings.configure() or override_settings() leave no module to load"
        )
    if multiprocessing.current_process().daemon:
        raise CannotStartProcesses(processes, "since a daemonic process may have no children")
    for alias in databases:
        connection = databases[alias]
        if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]
            raise CannotStartProcesses(processes, f"since the database {alias!r} is in this process's memory")


@contextmanager
def _stop_signals_held_back() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C wait, also for a process that is started meanwhile.

    It inherits that. So it does not die of them before it can take them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover  # Windows has no such thing
        yield
        return
    resource_tracker.ensure_running()  # would be started with the process, and end the holding back
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
