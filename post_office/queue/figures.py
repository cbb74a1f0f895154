"""Figures: what is in the queue, how old it is, and who delivers it; for those who watch.

A look costs the same however many mails were sent or wait. It judges nothing; that is `health`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Q

from ..enums import STATUS
from ..models import Dispatcher, Email, Worker
from . import brakes, dispatchers, environment
from .brakes import Brakes
from .claims import by_lanes
from .depth import MANY, Depth, Lanes, sum_up, without_status

# So many of the mails that changed last are looked at for the rates: each is a row to be read, and no index
# has all that is asked of it.
LOOKED_AT = 5_000
# Dispatchers that are listed.
LISTED = 100
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What became of mail in a span of time that ends now."""

    sent: int
    failed: int
    # False: more happened than was looked at, and these are the least that there were.
    exact: bool


@dataclass(frozen=True, kw_only=True)
class Program:
    """A dispatcher, and how it is."""

    row: Dispatcher
    seen_at: datetime
    is_alive: bool
    # Its process has ended without saying so: no clock was asked.
    is_gone: bool
    # Mails in the hands of its workers.
    sending: int

    @property
    def state(self) -> str:
        """Return "alive", "ended" for one that said so, or "dead"."""
        if self.is_alive:
            return "alive"
        return "dead" if self.row.ended_at is None else "ended"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was found in the queue at one moment."""

    at: datetime
    # By alias of the backend and priority, where there is mail.
    depths: Mapping[tuple[str, int | None], Depth]
    aliases: Sequence[str]
    # Open mail for backends that are not configured, by alias: nobody claims it.
    orphaned: Mapping[str, int]
    # Mail with an empty status, of foreign code: nobody claims it either.
    without_status: int
    # Open mail whose priority is none that there is, of foreign code: nobody claims it either.
    unknown_priority: int
    last_minute: Rate
    last_hour: Rate
    # Those that run or are dead, and of those that ended the last.
    programs: Sequence[Program]
    # Mails in the hands of any worker, also of those that are part of no dispatcher.
    sending: int
    # Which backends are paused or out of order.
    brakes: Brakes
    # The name of the environment that the queue belongs to.
    environment: str | None

    @property
    def total(self) -> Depth:
        return sum_up(self.depths.values())

    def of_priority(self, priority: int | None) -> Depth:
        return sum_up(depth for (_, its), depth in self.depths.items() if its == priority)

    def of_backend(self, alias: str) -> Depth:
        return sum_up(depth for (its, _), depth in self.depths.items() if its == alias)

    @property
    def oldest_due(self) -> timedelta | None:
        """For how long the mail that waits longest has been due; None where none is due."""
        oldest = self.total.oldest_due_at
        return None if oldest is None else self.at - oldest

    @property
    def alive(self) -> list[Program]:
        return [program for program in self.programs if program.is_alive]

    @property
    def silence(self) -> timedelta | None:
        """For how long no dispatcher was seen, by the clocks; None where none ever was."""
        if self.alive:
            return timedelta(0)
        return min((max(self.at - program.seen_at, timedelta(0)) for program in self.programs), default=None)


def look(
    aliases: Sequence[str],
    default: str,
    now: datetime,
    *,
    looked_at: int = LOOKED_AT,
    most: int = MANY,
) -> Figures:
    """Read the figures of this moment. Reads only, in a number of queries that rows do not change.

    Args:
        aliases: The backends that are configured.
        default: The one that delivers mail which names none.
        looked_at: For the rates, at most so many of the mails that changed last.
        most: To which the mail in each lane is counted.
    """
    lanes = Lanes()
    last_minute, last_hour = rates(now, looked_at)
    held = _held_by_worker()
    return Figures(
        at=now,
        aliases=aliases,
        depths=lanes.depths([*aliases, ""], default, now, most),
        orphaned=lanes.orphaned([*aliases, ""]),
        without_status=without_status(),
        # In an order of the project's own, it is claimed like all other mail.
        unknown_priority=lanes.of_unknown_priority([*aliases, ""]) if by_lanes() else 0,
        last_minute=last_minute,
        last_hour=last_hour,
        programs=[_program(row, held, now) for row in dispatchers.watched(LISTED)],
        sending=sum(held.values()),
        brakes=brakes.read(),
        environment=environment.owner_of_queue(),
    )


# --- what moves -------------------------------------------------------------------------------


def rates(now: datetime, looked_at: int = LOOKED_AT) -> tuple[Rate, Rate]:
    """Return what became of mail in the last minute and in the last hour.

    Args:
        looked_at: At most so many of the mails that changed last.
    """
    # No condition on the status, with which a database might look for all that was ever sent.
    changed = Email.objects.primary().filter(last_updated__gt=now - HOUR).order_by("-last_updated")
    lately = Q(last_updated__gt=now - MINUTE)
    sent, failed = Q(status=STATUS.sent), Q(status=STATUS.failed)
    found = changed.values("status", "last_updated")[:looked_at].aggregate(
        hour=Count("*"),
        minute=Count("last_updated", filter=lately),
        sent_in_hour=Count("status", filter=sent),
        failed_in_hour=Count("status", filter=failed),
        sent_in_minute=Count("status", filter=sent & lately),
        failed_in_minute=Count("status", filter=failed & lately),
    )
    return (
        Rate(
            sent=found["sent_in_minute"],
            failed=found["failed_in_minute"],
            exact=found["minute"] < looked_at,
        ),
        Rate(sent=found["sent_in_hour"], failed=found["failed_in_hour"], exact=found["hour"] < looked_at),
    )


def _held_by_worker() -> dict[UUID, int]:
    """Return how many mails each worker holds."""
    workers = Worker.objects.using(Email.objects.primary().db).values_list("pk", flat=True)
    held = Email.objects.primary().filter(worker__in=list(workers)).order_by()
    return dict(held.values_list("worker_id").annotate(held=Count("pk")))


def _program(row: Dispatcher, held: Mapping[UUID, int], now: datetime) -> Program:
    return Program(
        row=row,
        seen_at=row.ended_at or dispatchers.seen_at(row),
        is_alive=dispatchers.is_alive(row, now),
        is_gone=row.ended_at is None and dispatchers.is_gone(row),
        sending=sum(held.get(worker.pk, 0) for worker in row.workers.all()),
    )
