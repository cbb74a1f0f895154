"""Figures: what is in the queue, how old it is, and who delivers it; for those who watch.

A look costs the same however many mails were sent or wait: it reads the lanes of claims, and stops to count
where a person would say "many". It judges nothing; that is `health`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from uuid import UUID

from django.db.models import Count, IntegerField, Q, Subquery

from ..enums import STATUS
from ..models import Dispatcher, Email, Worker
from . import claims, dispatchers, environment

# No count goes beyond: it stands for "more than 10,000".
MANY = 10_001
# So many of the mails that changed last are looked at for the rates.
LOOKED_AT = 50_000
# Dispatchers that are listed.
LISTED = 100
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many mails are still to be sent; each count at most MANY."""

    # Its time has come, and it is not sent yet. Also while a worker holds it.
    due: int = 0
    # Never tried, and meant for later.
    scheduled: int = 0
    # Tried, and waits for the next attempt.
    retrying: int = 0
    # Since when the one that waits longest is due.
    oldest_due_at: datetime | None = None

    def __add__(self, other: Depth) -> Depth:
        moments = [depth.oldest_due_at for depth in (self, other) if depth.oldest_due_at is not None]
        return Depth(
            due=min(self.due + other.due, MANY),
            scheduled=min(self.scheduled + other.scheduled, MANY),
            retrying=min(self.retrying + other.retrying, MANY),
            oldest_due_at=min(moments, default=None),
        )


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
    last_minute: Rate
    last_hour: Rate
    # Those that run or are dead, and of those that ended the last.
    programs: Sequence[Program]
    # Mails in the hands of any worker, also of those that are part of no dispatcher.
    sending: int
    # The name of the environment that the queue belongs to.
    environment: str | None

    @property
    def total(self) -> Depth:
        return _sum(self.depths.values())

    def of_priority(self, priority: int | None) -> Depth:
        return _sum(depth for (_, its), depth in self.depths.items() if its == priority)

    def of_backend(self, alias: str) -> Depth:
        return _sum(depth for (its, _), depth in self.depths.items() if its == alias)

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


def look(aliases: Sequence[str], default: str, now: datetime) -> Figures:
    """Read the figures of this moment. Reads only, in a number of queries that rows do not change.

    Args:
        aliases: The backends that are configured.
        default: The one that delivers mail which names none.
    """
    lanes = _Lanes()
    last_minute, last_hour = rates(now)
    held = _held_by_worker()
    return Figures(
        at=now,
        aliases=aliases,
        depths=lanes.depths([*aliases, ""], default, now),
        orphaned=lanes.orphaned([*aliases, ""]),
        without_status=_without_status(),
        last_minute=last_minute,
        last_hour=last_hour,
        programs=[_program(row, held, now) for row in dispatchers.watched(LISTED)],
        sending=sum(held.values()),
        environment=environment.owner_of_queue(),
    )


# --- depth ------------------------------------------------------------------------------------


# What is counted is in the order of the index: else PostgreSQL may count by reading the table from its
# beginning, where what was sent long ago stands.


class _Counted(Subquery):
    """How many rows a query with a LIMIT finds."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass
class _Lanes:
    """The open mail by status and alias: only where there is some, lanes are looked into."""

    present: list[tuple[int, str]] = field(default_factory=lambda: list(_present()))

    def orphaned(self, served: Sequence[str]) -> dict[str, int]:
        """Return how much mail there is for other aliases than these."""
        found: dict[str, int] = {}
        for status, alias in self.present:
            if alias not in served:
                rows = Email.objects.primary().filter(status=status, backend_alias=alias)
                rows = rows.order_by("priority", "due_at", "id")
                found[alias] = min(found.get(alias, 0) + rows[:MANY].count(), MANY)
        return found

    def depths(
        self, served: Sequence[str], default: str, now: datetime
    ) -> dict[tuple[str, int | None], Depth]:
        """Return the depth by alias and priority of the mail of these aliases."""
        here = [(status, alias) for status, alias in self.present if alias in served]
        found: dict[tuple[str, int | None], Depth] = {}
        for priority in claims.PRIORITIES if here else ():
            for (_, alias), depth in zip(here, _measure(here, priority, now), strict=False):
                if depth != Depth():
                    key = (alias or default, priority)
                    found[key] = found.get(key, Depth()) + depth
        return found


def _present() -> Iterator[tuple[int, str]]:
    """Yield each status and alias that open mail has, by jumping from one to the next in the index."""
    for status in claims.STATUSES:
        rows = Email.objects.primary().filter(status=status).order_by("backend_alias")
        aliases = rows.values_list("backend_alias", flat=True)
        alias = aliases.first()
        while alias is not None:
            yield status, alias
            alias = aliases.filter(backend_alias__gt=alias).first()


def _measure(lanes: Sequence[tuple[int, str]], priority: int | None, now: datetime) -> list[Depth]:
    """Measure the lanes of one priority in one query. Returns nothing where the table is empty by now."""
    no_priority = Q(priority__isnull=True) if priority is None else Q(priority=priority)
    columns: dict[str, Subquery] = {}
    for number, (status, alias) in enumerate(lanes):
        lane = Email.objects.filter(no_priority, status=status, backend_alias=alias).order_by("due_at", "id")
        due = lane.filter(due_at__lte=now).values("due_at")
        later = lane.filter(due_at__gt=now).values("due_at")
        columns[f"due_{number}"] = _Counted(due[:MANY])
        columns[f"later_{number}"] = _Counted(later[:MANY])
        columns[f"oldest_{number}"] = Subquery(due[:1])
    # Any row will do to hang the columns on; they have nothing to do with it.
    row = Email.objects.primary().order_by("pk").annotate(**columns).values(*columns).first()
    return [
        _depth(status, row[f"due_{number}"], row[f"later_{number}"], row[f"oldest_{number}"])
        for number, (status, _) in enumerate(lanes if row else ())
    ]


def _without_status() -> int:
    rows = Email.objects.primary().filter(status__isnull=True).order_by("backend_alias")
    return rows[:MANY].count()


def _depth(status: int, due: int, later: int, oldest: datetime | None) -> Depth:
    if status == STATUS.requeued:
        return Depth(due=due, retrying=later, oldest_due_at=oldest)
    return Depth(due=due, scheduled=later, oldest_due_at=oldest)


def _sum(depths: Iterable[Depth]) -> Depth:
    return reduce(add, depths, Depth())


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
