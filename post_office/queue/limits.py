"""Rate limits: how much may go to a backend, or to a domain, now. The only writer of `Allowance`.

What was used is a row for each backend or domain, shared by all threads, processes and hosts. A draw is
for several mails at once: it reads the rows, decides, and writes them if nobody did so meanwhile, as the
WHERE of one UPDATE says. Time is the database's; the clocks of hosts do not count.

A limit for a second is a pace: a bucket that holds little and empties as time goes. It is drawn upon a
little ahead, each mail for a moment of its own: so who is late to a draw loses nothing, and mail goes evenly.
One for a minute, an hour or a day is a quota, which may be used all at once: what was used is kept by
sixtieths of that time, and is never more than the limit in any such time. A part is kept free for urgent
mail.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import router, transaction
from django.db.models import F, FloatField, Func, QuerySet

from ..conf import conf
from ..models import Allowance
from .rates import Rate

# Seconds for which the allowance of a limit for a second is given out ahead. Who comes so much late to a draw
# loses nothing; and where all that was given out is sent late, so much more than the limit goes in a second.
# Urgent mail may be as much ahead of the rest, so that it always comes before that.
AHEAD = 0.25
SLICES = 60
# How often others may draw between our reading and our writing, and the seconds to wait after that.
TRIES = 10
OVERTAKEN = 0.02


@dataclass(frozen=True)
class Limit:
    """The rates of one backend, or of one domain by a backend.

    `part` is below 1 for a while after a server asked for less.
    """

    key: str
    rates: tuple[Rate, ...]
    part: float = 1.0


@dataclass(frozen=True)
class Demand:
    """What one mail wants: from each limit, for so many recipients."""

    limits: tuple[tuple[Limit, int], ...]
    urgent: bool = False


@dataclass(frozen=True)
class Grant:
    """A mail may go: where there is a pace, after so many seconds from the end of the draw on."""

    seconds: float | None = None


@dataclass(frozen=True)
class Refusal:
    """A mail may not go now, but perhaps after so many seconds; and the limit that says so."""

    limit: Limit
    seconds: float


def draw(demands: Sequence[Demand]) -> list[Grant | Refusal]:
    """Take allowance for mails, each wholly or not at all. Returns for each when it may go, or why not.

    What is taken is not given back, whatever becomes of the mail.
    """
    limits = {limit.key: limit for demand in demands for limit, _ in demand.limits}
    if not limits:
        return [Grant()] * len(demands)
    for _ in range(TRIES):
        rows = _read(limits)
        meters = {key: _meters(limits[key], row) for key, row in rows}
        verdicts = [_decide(demand, meters) for demand in demands]
        nothing_taken = all(isinstance(verdict, Refusal) for verdict in verdicts)
        if nothing_taken or _write([(row, meters[key]) for key, row in rows]):
            return verdicts
    return [Refusal(next(iter(limits.values())), OVERTAKEN)] * len(demands)


def refusals(limits: Sequence[Limit]) -> dict[str, Refusal]:
    """Return by key which limits have nothing for one more mail now, and for how long. Takes nothing."""
    by_key = {limit.key: limit for limit in limits}
    rows = _rows().filter(key__in=by_key).annotate(now=DatabaseTime()) if by_key else ()
    verdicts = {
        row.key: _decide(Demand(((by_key[row.key], 1),)), {row.key: _meters(by_key[row.key], row)})
        for row in rows
    }
    return {key: verdict for key, verdict in verdicts.items() if isinstance(verdict, Refusal)}


def tidy() -> int:
    """Forget what no longer counts. Returns how many rows went."""
    return _rows().filter(idle_at__lt=DatabaseTime()).delete()[0]


# --- meters: pure -----------------------------------------------------------------------------


@dataclass
class Pace:
    """A bucket that empties at the rate of a limit for a second, and may be filled a little ahead."""

    rate: Rate
    part: float
    level: float
    now: float

    @classmethod
    def load(cls, rate: Rate, part: float, stored: Any, now: float) -> Pace:
        level, at = stored or (0.0, now)
        # A clock that was put back changes nothing.
        emptied = max(0.0, now - at) * rate.count * part / rate.seconds
        return cls(rate, part, max(0.0, level - emptied), now)

    @staticmethod
    def ahead(*, urgent: bool) -> float:
        """Return for how many seconds allowance is given out ahead."""
        return 2 * AHEAD if urgent else AHEAD

    def wait(self, cost: int, reserve: float, *, urgent: bool) -> float:
        """Return the seconds until this may go; 0 for now."""
        # One mail at a time goes at once, and an urgent one beside it.
        size = 1 + max(1.0, reserve) if urgent else 1.0
        # What is larger than the bucket goes when that is empty.
        return max(0.0, self.level + min(cost, size) - size) / self._per_second

    def use(self, cost: int) -> None:
        self.level += cost

    def dump(self) -> Any:
        return [self.level, self.now]

    def idle_at(self) -> float:
        """Return the moment from which on there is nothing to remember."""
        return self.now + self.level / self._per_second

    @property
    def _per_second(self) -> float:
        return self.rate.count * self.part / self.rate.seconds


@dataclass
class Quota:
    """What was used in the time of a limit, by sixtieths of that time. Of it nothing is given out ahead."""

    rate: Rate
    part: float
    used: dict[int, int]
    now: float

    @classmethod
    def load(cls, rate: Rate, part: float, stored: Any, now: float) -> Quota:
        quota = cls(rate, part, {}, now)
        for number, count in (stored or {}).items():
            # What a clock that was put back calls the future is now.
            number = min(int(number), quota._slice)
            if number >= quota._slice - SLICES:
                quota.used[number] = quota.used.get(number, 0) + count
        return quota

    @staticmethod
    def ahead(*, urgent: bool) -> float:
        """Return for how many seconds allowance is given out ahead."""
        return 0.0

    def wait(self, cost: int, reserve: float, *, urgent: bool) -> float:
        """Return the seconds until this may go; 0 for now."""
        whole = max(1, math.floor(self.rate.count * self.part))
        size = whole if urgent else max(1, math.floor(whole * (1 - reserve)))
        excess = sum(self.used.values()) + min(cost, size) - size
        until = self.now
        for number in sorted(self.used):
            if excess <= 0:
                break
            excess -= self.used[number]
            until = (number + SLICES + 1) * self._width
        return max(0.0, until - self.now)

    def use(self, cost: int) -> None:
        self.used[self._slice] = self.used.get(self._slice, 0) + cost

    def dump(self) -> Any:
        return self.used

    def idle_at(self) -> float:
        """Return the moment from which on there is nothing to remember."""
        return (max(self.used, default=self._slice) + SLICES + 1) * self._width

    @property
    def _width(self) -> float:
        return self.rate.seconds / SLICES

    @property
    def _slice(self) -> int:
        return int(self.now // self._width)


Meter = Pace | Quota


def _decide(demand: Demand, meters: Mapping[str, Sequence[Meter]]) -> Grant | Refusal:
    """Use the meters for a mail if all of them let it go."""
    costs = [
        (limit, meter, recipients if meter.rate.of_recipients else 1)
        for limit, recipients in demand.limits
        for meter in meters[limit.key]
    ]
    waits = [meter.wait(cost, conf.RATE_RESERVE, urgent=demand.urgent) for _, meter, cost in costs]
    too_long = [
        Refusal(limit, wait - meter.ahead(urgent=demand.urgent))
        for (limit, meter, _), wait in zip(costs, waits, strict=True)
        if wait > meter.ahead(urgent=demand.urgent)
    ]
    if too_long:
        return max(too_long, key=lambda refusal: refusal.seconds)
    for _, meter, cost in costs:
        meter.use(cost)
    has_turns = any(isinstance(meter, Pace) for _, meter, _ in costs)
    return Grant(max(waits) if has_turns else None)


# --- rows -------------------------------------------------------------------------------------


class DatabaseTime(Func):
    """The database's clock, in seconds since 1970."""

    arity = 0
    output_field = FloatField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        return "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP())::double precision", ()

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        # Not UNIX_TIMESTAMP(), which is wrong for an hour where the session's time zone has summer time.
        return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000e0)", ()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        return "((julianday('now') - 2440587.5) * 86400.0)", ()


def _read(limits: Mapping[str, Limit]) -> list[tuple[str, Any]]:
    """Return the rows, each with the time; those that are not there yet are made."""
    rows = _rows().filter(key__in=limits).annotate(now=DatabaseTime()).order_by("key")
    found = [(row.key, row) for row in rows]
    if len(found) < len(limits):
        _rows().bulk_create([Allowance(key=key) for key in limits], ignore_conflicts=True)
        found = [(row.key, row) for row in rows.all()]
    return found


def _meters(limit: Limit, row: Any) -> list[Meter]:
    used = json.loads(row.used)
    return [
        (Pace if rate.seconds == 1 else Quota).load(rate, limit.part, used.get(rate.name), row.now)
        for rate in limit.rates
    ]


def _write(changed: Sequence[tuple[Any, Sequence[Meter]]]) -> bool:
    """Write all rows, or none where another has written one since we read it."""
    with transaction.atomic(using=router.db_for_write(Allowance)):
        for row, meters in changed:
            used = json.dumps({meter.rate.name: meter.dump() for meter in meters})
            idle_at = max((meter.idle_at() for meter in meters), default=row.now)
            as_read = _rows().filter(key=row.key, version=row.version)
            if not as_read.update(used=used, idle_at=idle_at, version=F("version") + 1):
                transaction.set_rollback(True, using=router.db_for_write(Allowance))
                return False
    return True


def _rows() -> QuerySet[Allowance]:
    return Allowance.objects.using(router.db_for_write(Allowance))
