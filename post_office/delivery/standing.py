"""The dispatcher that stays: a supervisor that lives as long as it may, and worker processes that come
and go.

It touches no database itself, see `lookout`. A worker that dies is replaced, at once or, where they die
one after another, after a growing while. One that has grown old or fat is relieved: its successor is there
before it leaves. The first signal drains: what is in flight is finished, the rest is released. The second
kills the workers; what they held is freed by the rules for the dead.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from django.utils import timezone

from ..queue import dispatchers
from ..queue.outcomes import Settled
from .bell import Bell
from .crew import Crew, Member
from .lookout import Lookout
from .process import STOP_SIGNALS, Orders
from .service_manager import ServiceManager

logger = logging.getLogger("post_office")

TICK = 1.0  # seconds between two looks at what nobody tells: memory, orphans, the time
LONGEST_WAIT = 60.0  # seconds until a dead worker is replaced, at most
GOOD_LIFE = 60.0  # seconds after which a death has nothing to do with the start
ONE_SIGNAL = 0.5  # seconds in which signals count as one: some programs pass on what came anyway


@dataclass(kw_only=True)
class StandingSupervisor:
    """Keeps worker processes running until it is told to stop.

    Args:
        command: The program's name, for the row by which operators see it.
        orders: Makes what a worker process is to do, of the id of that row.
        processes: How many.
        max_mails: A worker that has tried to deliver so many mails is relieved; None: it need not be.
        max_memory: So is one that takes more bytes of memory, where the system tells (Linux does).
    """

    command: str
    orders: Callable[..., Orders]
    processes: int = 1
    max_mails: int | None = None
    max_memory: int | None = None

    def __post_init__(self) -> None:
        self._row = dispatchers.describe(self.command, timezone.now())
        self._total = Settled()
        self._bell = Bell()
        self._mail_came = False
        self._told_to_stop_at: float | None = None
        self._at_once = False
        self._deaths = 0
        self._start_not_before = 0.0
        self._relief: tuple[Member, Member] | None = None
        self._crew = Crew(on_settled=self._settled, on_end=self._ended)
        self._manager = ServiceManager()

    def stop(self) -> None:
        """Drain; when that was asked for already, end at once. May be called by a signal handler."""
        now = time.monotonic()
        if self._told_to_stop_at is None:
            self._told_to_stop_at = now
        elif now - self._told_to_stop_at > ONE_SIGNAL:
            self._at_once = True
        self._bell.ring()

    def run(self) -> bool:
        """Stay until told to stop. Returns whether all that was in flight is finished."""
        with self._signals_taken(), Lookout(self._row, lambda: self._total, self._call):
            try:
                while not self._draining:
                    self._keep_crew_full()
                    self._relieve_the_worn()
                    self._tick()
                self._drain()
            finally:
                # After a fault of our own, too, nobody is left behind.
                self._crew.stop_all()
        return not self._at_once

    @property
    def _draining(self) -> bool:
        return self._told_to_stop_at is not None

    def _drain(self) -> None:
        logger.info("Told to stop: finishing what is in flight. A second signal ends it at once.")
        self._manager.stopping()
        self._crew.stop_all()
        while self._crew.members and not self._at_once:
            self._tick()
        if self._at_once:
            logger.warning("Told to stop at once: what is in flight is not known to have been sent.")
            self._crew.kill_all()

    def _tick(self) -> None:
        """Take in what comes, for a while at most."""
        self._crew.listen(TICK, self._bell)
        self._bell.silence()
        if self._mail_came:
            self._mail_came = False
            self._crew.call_all()
        if any(member.ready for member in self._crew.members):
            self._manager.ready()
        self._manager.sign_of_life()
        if os.getpid() == 1:
            reap_orphans({member.process.pid for member in self._crew.members})

    def _call(self) -> None:
        self._mail_came = True
        self._bell.ring()

    def _settled(self, settled: Settled) -> None:
        self._total += settled

    # --- the crew -----------------------------------------------------------------------------

    def _start(self) -> Member:
        return self._crew.start(self.orders(dispatcher_id=self._row.pk))

    def _keep_crew_full(self) -> None:
        if time.monotonic() < self._start_not_before:
            return
        staying = sum(not member.leaving for member in self._crew.members)
        for _ in range(self.processes - staying):
            self._start()

    def _ended(self, member: Member) -> None:
        if member.leaving and member.process.exitcode == 0:
            return
        now = time.monotonic()
        self._deaths = 1 if now - member.started > GOOD_LIFE else self._deaths + 1
        wait = 0.0 if self._deaths == 1 else min(2.0 ** (self._deaths - 2), LONGEST_WAIT)
        self._start_not_before = now + wait
        what_follows = "" if self._draining else f" Another one takes its place in {wait:.0f} seconds."
        logger.error(
            "Worker process %s died with exit code %s.%s",
            member.process.pid,
            member.process.exitcode,
            what_follows,
        )

    def _relieve_the_worn(self) -> None:
        """Start a successor for one worn worker at a time, and let that one go when the successor works."""
        if self._relief is None:
            worn = next((member for member in self._crew.members if self._is_worn(member)), None)
            if worn is not None and time.monotonic() >= self._start_not_before:
                self._relief = worn, self._start()
            return
        worn, successor = self._relief
        if successor.ready and worn in self._crew.members:
            logger.info("Worker process %s is relieved by %s.", worn.process.pid, successor.process.pid)
            worn.stop()
        if successor.ready or successor not in self._crew.members:
            self._relief = None

    def _is_worn(self, member: Member) -> bool:
        # One that did nothing yet is as its successor would be.
        if member.leaving or not member.attempted:
            return False
        if self.max_mails is not None and member.attempted >= self.max_mails:
            return True
        return self.max_memory is not None and memory_of(member.process.pid) > self.max_memory

    # --- signals ------------------------------------------------------------------------------

    @contextmanager
    def _signals_taken(self) -> Iterator[None]:
        def told(number: int, frame: FrameType | None) -> None:
            self.stop()

        before = {number: signal.signal(number, told) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._bell.close()


def memory_of(pid: int | None) -> int:
    """Return the bytes of memory that a process has (its resident set); 0 where the system does not tell."""
    try:
        # proc(5): the second number is the resident set, in pages.
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def reap_orphans(ours: set[int | None]) -> None:
    """Do what the first process of a container has to do: take note of the end of processes whose parents
    ended before them. Those in `ours` are left to who started them."""
    while True:
        try:
            # Only look: the exit code of a worker is for its own.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in ours:
            return
        os.waitpid(ended.si_pid, 0)
