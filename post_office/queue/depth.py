"""Depth: how much mail is still to be sent, lane by lane, as claims see it.

The lanes are looked into where there is mail, in the order of their index, and no count goes further than a
person would: so it costs the same however many mails wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import add

from django.db.models import IntegerField, Q, Subquery

from ..enums import PRIORITY, STATUS
from ..models import Email
from .lanes import PRIORITIES, STATUSES

# No count goes beyond: it stands for "more than 10,000".
MANY = 10_001


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


class _Counted(Subquery):
    """How many rows a query with a LIMIT finds.

    It has to be in the order of an index: else PostgreSQL may count by reading the table from its
    beginning, where what was sent long ago stands.
    """

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass
class Lanes:
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

    def of_unknown_priority(self, served: Sequence[str]) -> int:
        """Return how much mail of these aliases has a priority that there is not: it is in no lane."""
        found = 0
        for status, alias in self.present:
            if alias in served:
                rows = Email.objects.primary().filter(status=status, backend_alias=alias)
                # The column takes no number below 0.
                rows = rows.filter(priority__gt=max(PRIORITY)).order_by("priority", "due_at", "id")
                found = min(found + rows[:MANY].count(), MANY)
        return found

    def depths(
        self, served: Sequence[str], default: str, now: datetime, most: int = MANY
    ) -> dict[tuple[str, int | None], Depth]:
        """Return the depth by alias and priority of their mail, counting each lane to `most`."""
        here = [(status, alias) for status, alias in self.present if alias in served]
        found: dict[tuple[str, int | None], Depth] = {}
        for priority in PRIORITIES if here else ():
            for (_, alias), depth in zip(here, _measure(here, priority, now, most), strict=False):
                if depth != Depth():
                    key = (alias or default, priority)
                    found[key] = found.get(key, Depth()) + depth
        return found


def _present() -> Iterator[tuple[int, str]]:
    """Yield each status and alias that open mail has, by jumping from one to the next in the index."""
    for status in STATUSES:
        rows = Email.objects.primary().filter(status=status).order_by("backend_alias")
        aliases = rows.values_list("backend_alias", flat=True)
        alias = aliases.first()
        while alias is not None:
            yield status, alias
            alias = aliases.filter(backend_alias__gt=alias).first()


def _measure(lanes: Sequence[tuple[int, str]], priority: int | None, now: datetime, most: int) -> list[Depth]:
    """Measure the lanes of one priority in one query. Returns nothing where the table is empty by now."""
    no_priority = Q(priority__isnull=True) if priority is None else Q(priority=priority)
    columns: dict[str, Subquery] = {}
    for number, (status, alias) in enumerate(lanes):
        lane = Email.objects.filter(no_priority, status=status, backend_alias=alias)
        # As the index has it; see `Lane.rows`.
        lane = lane.order_by("priority", "due_at", "id")
        due = lane.filter(due_at__lte=now).values("due_at")
        later = lane.filter(due_at__gt=now).values("due_at")
        columns[f"due_{number}"] = _Counted(due[:most])
        columns[f"later_{number}"] = _Counted(later[:most])
        columns[f"oldest_{number}"] = Subquery(due[:1])
    # Any row will do to hang the columns on; they have nothing to do with it. Before the oldest one there
    # may be what remains of many that were deleted.
    row = Email.objects.primary().order_by("-pk").annotate(**columns).values(*columns).first()
    return [
        _depth(status, row[f"due_{number}"], row[f"later_{number}"], row[f"oldest_{number}"])
        for number, (status, _) in enumerate(lanes if row else ())
    ]


def _depth(status: int, due: int, later: int, oldest: datetime | None) -> Depth:
    if status == STATUS.requeued:
        return Depth(due=due, retrying=later, oldest_due_at=oldest)
    return Depth(due=due, scheduled=later, oldest_due_at=oldest)


def without_status() -> int:
    """Return how many mails have no status, as foreign code can leave them: nobody claims them."""
    rows = Email.objects.primary().filter(status__isnull=True).order_by("status")
    return rows[:MANY].count()


def sum_up(depths: Iterable[Depth]) -> Depth:
    return reduce(add, depths, Depth())
