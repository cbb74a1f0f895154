"""Dispatchers: the rows by which operators see which programs deliver, and which no longer do.

Nothing of the queue's protocol rests on them: mail is held by workers, and their beats decide. A
program that stays beats by itself; of one that ends when its work is done, its workers' beats count.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import router
from django.db.models import F, Q, QuerySet

from ..conf import conf
from ..models import Dispatcher
from .liveness import ProcessIdentity, this_process
from .outcomes import Settled

# For how long a row is kept: of one that ended in order, and of one that did not say that it ends.
KEEP_ENDED = timedelta(hours=1)
KEEP_DEAD = timedelta(days=1)


def describe(command: str, now: datetime) -> Dispatcher:
    """Return what the row of the program in this process says, before it is in the database."""
    here = this_process()
    return Dispatcher(
        command=command,
        host=here.host,
        boot=here.boot,
        pid=here.pid,
        pid_started=here.pid_started,
        started_at=now,
        beat_at=now,
    )


def start(command: str, now: datetime) -> Dispatcher:
    """Make a row for the program in this process, remove old ones, and return it."""
    row = describe(command, now)
    row.save(using=router.db_for_write(Dispatcher), force_insert=True)
    remove_old(now)
    return row


def beat(dispatcher: Dispatcher, total: Settled, now: datetime) -> None:
    """Show that the program lives, and what it has done so far.

    The first beat makes the row; and so does a later one, when it was removed meanwhile.
    """
    if not _write(dispatcher, total, beat=F("beat") + 1, beat_at=now):
        dispatcher.beat_at = now
        dispatcher.save(using=router.db_for_write(Dispatcher), force_insert=True)


def end(dispatcher: Dispatcher, total: Settled, now: datetime) -> None:
    """Say that the program ends, and what it has done."""
    _write(dispatcher, total, beat_at=now, ended_at=now)


def is_alive(dispatcher: Dispatcher, now: datetime) -> bool:
    """Return whether the program runs, as far as one can tell: by its process on this host, elsewhere
    by the latest beat of it and its workers, which is compared with `now` by the clocks of both hosts.
    """
    if dispatcher.ended_at is not None or is_gone(dispatcher):
        return False
    return seen_at(dispatcher) > now - conf.LEASE_DURATION


def is_gone(dispatcher: Dispatcher) -> bool:
    """Return whether its process is known to have ended, as only its own host can tell."""
    return ProcessIdentity(
        host=dispatcher.host, boot=dispatcher.boot, pid=dispatcher.pid, pid_started=dispatcher.pid_started
    ).is_gone()


def seen_at(dispatcher: Dispatcher) -> datetime:
    """Return when it or a worker of it was last seen, by the clock of its host."""
    return max(
        dispatcher.beat_at, *(worker.beat_at for worker in dispatcher.workers.all()), dispatcher.started_at
    )


def watched(most: int) -> list[Dispatcher]:
    """Return the programs that have not said that they ended, and of the others the last; with their workers.

    Args:
        most: Rows to return at most, those seen last.
    """
    rows = _dispatchers().prefetch_related("workers")
    running = rows.filter(ended_at=None).order_by("-beat_at", "pk")[:most]
    ended = rows.exclude(ended_at=None).order_by("-ended_at", "pk")[:1]
    return [*running, *ended]


def remove_old(now: datetime) -> int:
    """Remove the rows of programs that ended a while ago. Returns how many."""
    ended = Q(ended_at__lt=now - KEEP_ENDED)
    dead = Q(ended_at=None, beat_at__lt=now - KEEP_DEAD, workers=None)
    old = _dispatchers().filter(ended | dead).values_list("pk", flat=True)
    # By keys, as MariaDB does not delete from a table that it selects from.
    return _dispatchers().filter(pk__in=list(old)).delete()[0]


def _write(dispatcher: Dispatcher, total: Settled, **columns: object) -> int:
    return _dispatchers().filter(pk=dispatcher.pk).update(
        sent=total.sent, failed=total.failed, requeued=total.requeued, **columns
    )  # fmt: skip


def _dispatchers() -> QuerySet[Dispatcher]:
    return Dispatcher.objects.using(router.db_for_write(Dispatcher))
