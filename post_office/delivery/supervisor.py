"""The running program: one worker in the calling thread, or several worker processes.

Processes are started afresh ("spawn"), which works on every system, and inherit neither threads nor
database connections. The supervisor and a worker process talk through a pipe: totals one way; the
other way its closing, or the supervisor's death, means "finish what is in flight and stop".
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from django.conf import settings as django_settings
from django.db import connections as databases
from django.utils import timezone

from ..conf import conf
from ..exceptions import CannotStartProcesses
from ..queue import claims
from ..queue.outcomes import Settled
from .connections import aliases
from .process import STOP_SIGNALS, Orders, run_worker
from .worker import WorkerLoop

logger = logging.getLogger("post_office")

# Deaths of worker processes in one run, for each process asked for, after which it gives up.
DEATHS = 3


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What one run did."""

    sent: int
    failed: int
    requeued: int
    released: int
    seconds: float
    # Backends that could not be reached, with the reason.
    paused: dict[str, str] = field(default_factory=dict)
    # Worker processes that died.
    deaths: int = 0

    @property
    def attempted(self) -> int:
        return self.sent + self.failed + self.requeued


@dataclass
class Supervisor:
    """Runs workers until nothing is due, `limit` is reached, or it is told to stop.

    Args:
        processes: 1 delivers in the calling thread.
        log_level: As in LOG_LEVEL, which is the default.
        limit: Mails to deliver at most.
        on_settled: Told of each batch of outcomes, in the calling thread.
        stderr_level: Level from which worker processes write the log to the standard error, where
            the calling process has set itself up to do so.

    Raises:
        CannotStartProcesses: More than one process is asked for where none can be started.
    """

    processes: int = 1
    log_level: int | None = None
    limit: int | None = None
    on_settled: Callable[[Settled], None] = lambda settled: None
    stderr_level: int | None = None

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._total = Settled()
        self._paused: dict[str, str] = {}
        self._deaths = 0
        self._workers: dict[Connection, BaseProcess] = {}
        if self.log_level is None:
            self.log_level = conf.LOG_LEVEL

    def stop(self) -> None:
        """Finish what is in flight, release the rest, and end."""
        self._stopping.set()

    def run(self) -> Totals:
        begun = time.monotonic()
        if self.processes > 1:
            refuse_impossible_processes(self.processes)
        # Without mail there is no need for processes; with held mail only, one can watch it.
        if self.processes > 1 and claims.something_is_due(aliases(), timezone.now()):
            self._run_processes()
        else:
            self._run_here()
        return Totals(
            sent=self._total.sent,
            failed=self._total.failed,
            requeued=self._total.requeued,
            released=self._total.released,
            seconds=time.monotonic() - begun,
            paused=self._paused,
            deaths=self._deaths,
        )

    def _run_here(self) -> None:
        loop = WorkerLoop(
            log_level=_level(self.log_level),
            limit=self.limit,
            should_stop=self._stopping.is_set,
            on_settled=self._settled,
        )
        loop.run()
        self._paused = loop.paused

    def _settled(self, settled: Settled) -> None:
        self._total += settled
        self.on_settled(settled)

    # --- processes ----------------------------------------------------------------------------

    def _run_processes(self) -> None:
        limit = None if self.limit is None else -(-self.limit // self.processes)
        for _ in range(self.processes):
            self._start(limit)
        try:
            while self._workers:
                if self._stopping.is_set():
                    self._tell_all_to_stop()
                self._listen(limit)
        finally:
            self._tell_all_to_stop()
            for process in self._workers.values():
                process.join()

    def _start(self, limit: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        orders = Orders(
            settings_module=django_settings.SETTINGS_MODULE,
            database_names={alias: str(databases[alias].settings_dict["NAME"]) for alias in databases},
            stderr_level=self.stderr_level,
            log_level=_level(self.log_level),
            limit=limit,
        )
        process = context.Process(target=run_worker, args=(theirs, orders), name="post_office worker")
        with _stop_signals_held_back():
            process.start()
        theirs.close()
        self._workers[ours] = process

    def _tell_all_to_stop(self) -> None:
        for pipe in self._workers:
            try:
                pipe.send("stop")
            except OSError:
                pass  # it is gone already

    def _listen(self, limit: int | None) -> None:
        ready = wait(list(self._workers), timeout=0.1)
        for pipe in [pipe for pipe in self._workers if pipe in ready]:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                self._reap(pipe, limit)
                continue
            if isinstance(message, Settled):
                self._settled(message)
            else:
                self._paused |= message

    def _reap(self, pipe: Connection, limit: int | None) -> None:
        process = self._workers.pop(pipe)
        process.join()
        pipe.close()
        if process.exitcode == 0:
            return
        self._deaths += 1
        logger.error("Worker process %s died with exit code %s.", process.pid, process.exitcode)
        if self._deaths < DEATHS * self.processes and not self._stopping.is_set():
            self._start(limit)


@contextmanager
def stopped_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C stop the supervisor in order; a second one acts as it would without us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        supervisor.stop()
        signal.signal(number, before[number])

    for signal_number in STOP_SIGNALS:
        before[signal_number] = signal.signal(signal_number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stop_signals_held_back() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C wait, also for a process that is started meanwhile.

    It inherits that. So it does not die of them before it can take them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no such thing
        yield
        return
    resource_tracker.ensure_running()  # would be started with the process, and end the holding back
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def refuse_impossible_processes(processes: int) -> None:
    """Raise `CannotStartProcesses` where a worker process could not find its way."""
    if not hasattr(django_settings, "SETTINGS_MODULE"):
        raise CannotStartProcesses(processes, "since settings.configure() names no module to load")
    if multiprocessing.current_process().daemon:
        raise CannotStartProcesses(processes, "since a daemonic process may have no children")
    for alias in databases:
        connection = databases[alias]
        if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]
            raise CannotStartProcesses(processes, f"since the database {alias!r} is in this process's memory")


def _level(log_level: int | None) -> int:
    return conf.LOG_LEVEL if log_level is None else log_level
