"""A run that ends: one worker in the calling thread, or several worker processes, until nothing is due.

For the program that stays see `standing`.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from uuid import UUID

from django.conf import settings as django_settings
from django.db import Error as DatabaseFault
from django.db import connections as databases
from django.utils import timezone

from ..aliases import served_aliases
from ..conf import conf
from ..models import Dispatcher
from ..queue import claims, dispatchers, environment
from ..queue.outcomes import Settled
from .crew import Crew, Member, database_names, refuse_impossible_processes
from .process import STOP_SIGNALS, Orders
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
    # Backends whose mail waits, each with a sentence that says why.
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
        limit: Mails to deliver at most. Where a worker process dies, those in its hands are not counted.
        on_settled: Told of each batch of outcomes, in the calling thread.
        stderr_level: Level from which worker processes write the log to the standard error, where
            the calling process has set itself up to do so.
        command: Where the run is a program of its own: its name, for the row by which operators see it.

    Raises:
        WrongEnvironment: The mail in this database is that of another environment.
        CannotStartProcesses: More than one process is asked for where none can be started.
    """

    processes: int = 1
    log_level: int | None = None
    limit: int | None = None
    on_settled: Callable[[Settled], None] = lambda settled: None
    stderr_level: int | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._total = Settled()
        self._paused: dict[str, str] = {}
        self._deaths = 0
        self._dispatcher_id: UUID | None = None
        if self.log_level is None:
            self.log_level = conf.LOG_LEVEL

    def stop(self) -> None:
        """Finish what is in flight, release the rest, and end."""
        self._stopping.set()

    def run(self) -> Totals:
        environment.require_own()
        begun = time.monotonic()
        if self.processes > 1:
            refuse_impossible_processes(self.processes)
        if self.command is None:
            self._deliver()
        else:
            row = dispatchers.start(self.command, timezone.now())
            self._dispatcher_id = row.pk
            try:
                self._deliver()
            finally:
                self._say_goodbye(row)
        return Totals(
            sent=self._total.sent,
            failed=self._total.failed,
            requeued=self._total.requeued,
            released=self._total.released,
            seconds=time.monotonic() - begun,
            paused=self._paused,
            deaths=self._deaths,
        )

    def _say_goodbye(self, row: Dispatcher) -> None:
        try:
            dispatchers.end(row, self._total, timezone.now())
        except DatabaseFault as fault:
            logger.warning("The end of dispatcher %s could not be written down: %s", row, fault)

    def _deliver(self) -> None:
        # Without mail there is no need for processes; with held mail only, one can watch it.
        if self.processes > 1 and claims.something_is_due(served_aliases(None), timezone.now()):
            self._run_processes()
        else:
            self._run_here()

    def _run_here(self) -> None:
        loop = WorkerLoop(
            log_level=_level(self.log_level),
            limit=self.limit,
            should_stop=self._stopping.is_set,
            on_settled=self._settled,
            dispatcher_id=self._dispatcher_id,
        )
        loop.run()
        self._paused = loop.paused

    def _settled(self, settled: Settled) -> None:
        self._total += settled
        self.on_settled(settled)

    # --- processes ----------------------------------------------------------------------------

    def _run_processes(self) -> None:
        self._crew = Crew(on_settled=self._settled, on_paused=self._paused.update, on_end=self._ended)
        # Idle for the whole run, it would be one connection more for the server, and perhaps a dead one
        # by the end.
        databases.close_all()
        for share in self._shares():
            self._start(share)
        try:
            while self._crew.members:
                if self._stopping.is_set():
                    self._crew.stop_all()
                self._crew.listen(0.1)
        finally:
            self._crew.stop_all()
            self._crew.join()

    def _shares(self) -> list[int | None]:
        """Return the limit of each worker."""
        if self.limit is None:
            return [None] * self.processes
        share, more = divmod(self.limit, self.processes)
        shares = [share + 1] * more + [share] * (self.processes - more)
        return [share for share in shares if share]

    def _start(self, limit: int | None) -> None:
        self._crew.start(
            Orders(
                settings_module=django_settings.SETTINGS_MODULE,
                database_names=database_names(),
                stderr_level=self.stderr_level,
                log_level=_level(self.log_level),
                limit=limit,
                dispatcher_id=self._dispatcher_id,
            )
        )

    def _ended(self, member: Member) -> None:
        exit_code = member.process.exitcode
        if exit_code == 0:
            return
        self._deaths += 1
        logger.error("Worker process %s died with exit code %s.", member.process.pid, exit_code)
        left = None if member.orders.limit is None else member.orders.limit - member.attempted
        enough = left == 0 or self._deaths >= DEATHS * self.processes
        if not enough and not self._stopping.is_set():
            self._start(left)


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


def _level(log_level: int | None) -> int:
    return conf.LOG_LEVEL if log_level is None else log_level
