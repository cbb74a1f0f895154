"""Workers: their rows, their beats, and the freeing of what dead ones held.

A worker is dead when its process is known to be gone (same host, same boot, same process namespace),
or when its beat has not changed while our own monotonic clock ran for LEASE_DURATION. Its row alone
says nothing: no wall clock is compared.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import DatabaseError, connections, router, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from ..conf import conf
from ..enums import HOLD
from ..exceptions import PostOfficeError
from ..models import Email, Worker
from . import outcomes, statements
from .outcomes import Report

logger = logging.getLogger("post_office")

ZOMBIE = -1

DIED = Report(exception_type="WorkerDied", message="The worker that had it died.")
KILLED = Report(
    exception_type="WorkerDied",
    message="The worker that had it died, each time that it was to be sent; it is not tried again.",
)


class TakenForDead(PostOfficeError):
    """A worker whose row is gone wants to claim: others have its mail by now."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(f"Worker {worker} was taken for dead.")


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """Where a pid means something, and which process it was. Empty where the system does not tell."""

    host: str
    boot: str
    pid: int
    pid_started: int | None

    def is_gone(self) -> bool:
        """Return whether this process is known to have ended; False also where nothing is known."""
        here = this_process()
        if not self.boot or (self.host, self.boot) != (here.host, here.boot):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it is another user's
        # A zombie answers, too, which began at no time, and so does a later process with this pid.
        started = _process_started(self.pid)
        return started is not None and started != self.pid_started


def this_process() -> ProcessIdentity:
    pid = os.getpid()
    return ProcessIdentity(
        host=socket.gethostname(), boot=_boot(), pid=pid, pid_started=_process_started(pid)
    )


def _boot() -> str:
    """Return the kernel's boot and the namespace of pids, as Linux tells them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_started(pid: int) -> int | None:
    """Return when a process began, in ticks since boot; ZOMBIE for one that has ended but not been
    waited for, None where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc(5): the name stands in brackets and may hold anything; state is field 3, starttime 22.
    fields = stat.rpartition(")")[2].split()
    return ZOMBIE if fields[0] in "ZX" else int(fields[19])


# --- our own row ------------------------------------------------------------------------------


def register(now: datetime, dispatcher_id: UUID | None = None) -> Worker:
    """Make a row for a worker in this process, and return it.

    Args:
        dispatcher_id: The program that it is a part of.
    """
    here = this_process()
    return _workers().create(
        host=here.host,
        boot=here.boot,
        pid=here.pid,
        pid_started=here.pid_started,
        started_at=now,
        beat_at=now,
        dispatcher_id=dispatcher_id,
    )


def beat(worker: Worker, now: datetime) -> bool:
    """Show that the worker lives. Returns False when its row is gone: it has been taken for dead."""
    return bool(_workers().filter(pk=worker.pk).update(beat=F("beat") + 1, beat_at=now))


def hold_row(worker: Worker) -> None:
    """Keep our row from being removed until the end of this transaction, by writing to it.

    It comes before the first read: SQLite then waits for its turn to write, while after a read
    "database is locked" would come at once.

    Raises:
        TakenForDead: The row is gone.
    """
    if not statements.hold_worker(worker):
        raise TakenForDead(worker)


def clock() -> float:
    """Return seconds for the age of our own beat; they go on while the host is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def retire(worker: Worker) -> None:
    """End a worker: whatever it should still hold is free, and its row goes."""
    free(worker.pk)


def beat_interval() -> float:
    """Return the seconds between two beats: twelve in a lease."""
    return conf.LEASE_DURATION.total_seconds() / 12


@contextmanager
def short_lived_worker(now: datetime) -> Iterator[Worker]:
    """A worker for a few mails in a process that is none, such as a web server.

    Its beat comes from a thread of its own, as the caller's is busy sending. The thread touches the
    database only when the block takes longer than a beat. When the block raises, what it holds may
    be with a server by now; so it is not freed, and others wait for the lease to run out.
    """
    worker = register(now)
    done = threading.Event()

    def keep_beating() -> None:
        try:
            while not done.wait(beat_interval()):
                try:
                    beat(worker, timezone.now())
                except DatabaseError as fault:
                    logger.warning("Worker %s could not show that it lives: %s", worker, fault)
                    connections.close_all()
        finally:
            connections.close_all()

    thread = threading.Thread(target=keep_beating, name=f"post_office beat {worker}", daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        done.set()
    retire(worker)


# --- the others -------------------------------------------------------------------------------


@dataclass
class Observer:
    """Watches the beats of workers that hold mail, and frees what the dead ones held.

    Args:
        clock: A monotonic clock, in seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _seen: dict[UUID, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float | None = None
    _alive: set[UUID] = field(default_factory=set)

    def free_dead(self, me: Worker) -> int:
        """Free the mail of workers that are dead by now; returns how many mails came free."""
        self._forget_if_we_slept()
        freed = 0
        holders = _holders(besides=me)
        rows = {worker.pk: worker for worker in _workers().exclude(pk=me.pk)}
        for worker_id in holders | rows.keys():
            worker = rows.get(worker_id)
            if worker is None:
                logger.warning("Worker %s holds mail but has no row; its mail is freed.", worker_id)
            elif not self._is_dead(worker):
                continue
            freed += bury(worker_id, timezone.now())
            self._seen.pop(worker_id, None)
        return freed

    def _forget_if_we_slept(self) -> None:
        """A time in which we did not look says nothing: whoever stopped us may have stopped all."""
        now = self.clock()
        if self._looked_at is not None and now - self._looked_at > 2 * beat_interval():
            self._seen.clear()
        self._looked_at = now

    def undecided(self, me: Worker) -> list[Worker]:
        """Return the workers that hold mail and of which we cannot tell yet whether they live."""
        holders = _holders(besides=me)
        return [worker for worker in _workers().filter(pk__in=holders) if worker.pk not in self._alive]

    def _is_dead(self, worker: Worker) -> bool:
        process = ProcessIdentity(
            host=worker.host, boot=worker.boot, pid=worker.pid, pid_started=worker.pid_started
        )
        if process.is_gone():
            logger.warning("Worker %s is gone; its mail is freed.", worker)
            return True
        beat_seen, since = self._seen.setdefault(worker.pk, (worker.beat, self.clock()))
        if worker.beat != beat_seen:
            self._seen[worker.pk] = (worker.beat, self.clock())
            self._alive.add(worker.pk)
            return False
        silent = self.clock() - since
        if silent < conf.LEASE_DURATION.total_seconds():
            if silent > 2 * beat_interval():
                self._alive.discard(worker.pk)
            return False
        logger.warning("Worker %s has been silent for %.0f seconds; its mail is freed.", worker, silent)
        return True


def free(worker_id: UUID) -> int:
    """Take everything from a worker. Returns how many mails became claimable again.

    The row goes first, which waits for a claim of that worker that is being made, and lets no other
    begin.
    """
    with transaction.atomic(using=router.db_for_write(Email)):
        _workers().filter(pk=worker_id).delete()
        # Whatever their status: code that knows no claims may have ended one meanwhile.
        return Email.objects.primary().filter(worker_id=worker_id).update(worker=None, claimed_at=None)


def bury(worker_id: UUID, now: datetime) -> int:
    """Take everything from a worker that died. Returns how many mails became claimable again.

    Mail that is to arrive at most once is failed, as it may have been sent. So is mail whose workers died
    time and again, as it may be what kills them.
    """
    with transaction.atomic(using=router.db_for_write(Email)):
        _workers().filter(pk=worker_id).delete()
        held = Email.objects.primary().held_by(worker_id)
        ended = outcomes.bury(held.filter(on_unknown=HOLD), outcomes.unknown(DIED), now)
        ended += outcomes.bury(held.filter(claims__gte=conf.MAX_CLAIMS), KILLED, now)
        freed = free(worker_id)
    outcomes.announce(ended)
    return freed


def _workers() -> QuerySet[Worker]:
    return Worker.objects.using(router.db_for_write(Worker))


def _holders(*, besides: Worker) -> set[UUID]:
    """Return the workers, living or not, that hold mail."""
    held = Email.objects.primary().held().exclude(worker_id=besides.pk).order_by()
    return {worker_id for worker_id in held.values_list("worker_id", flat=True).distinct() if worker_id}
