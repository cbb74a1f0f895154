"""Brakes: whether a backend may be used now. The only writer of `BackendState`.

A brake pulled by hand holds until it is let go. A circuit breaker closes a backend that is out of order,
for a while that grows with every fault. After that one worker of all, as one UPDATE decides, probes it
with one mail; what comes of that opens the backend for everybody, or closes it for longer.

The state is rows that all processes and hosts read, so a mail waits by not being claimed. Moments are of
the hosts' own clocks: one that is a second ahead probes a second early, and that is all. A moment that is
further away than any pause is long was noted by a clock that was wrong, and counts as past.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from django.db import router
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from ..conf import conf
from ..models import BackendState
from .outcomes import Outcome, Released, Report
from .retry import RetryPolicy

logger = logging.getLogger("post_office")

# The row about all backends together.
EVERYTHING = "*"
GROWTH = 2
# A server that throttles gets half of its rate for this long; after so much time it may be halved again,
# down to the least part.
SLOWED_FOR = timedelta(minutes=5)
SLOWED_AGAIN = timedelta(seconds=10)
LEAST_PART = 1 / 16


@dataclass(frozen=True)
class Brakes:
    """All brakes, as they were when they were read."""

    states: Mapping[str, BackendState] = field(default_factory=dict)

    def is_open(self, alias: str) -> bool:
        """Return whether mail may go to this backend."""
        return not self.is_paused(alias) and not self.is_out_of_order(alias)

    def is_paused(self, alias: str) -> bool:
        """Return whether somebody holds this backend, or all of them."""
        return self._paused(EVERYTHING) or self._paused(alias)

    def is_out_of_order(self, alias: str) -> bool:
        state = self.states.get(alias)
        return state is not None and state.out_of_order_until is not None

    def wants_probe(self, alias: str, now: datetime) -> bool:
        """Return whether the time has come to find out if this backend works again."""
        return self._has_waited(alias, now) and not self.is_probed(alias, now)

    def is_probed(self, alias: str, now: datetime) -> bool:
        """Return whether a worker is finding that out."""
        state = self.states.get(alias)
        until = state.probing_until if state else None
        probed = until is not None and not _is_past(until, now, conf.LEASE_DURATION)
        return probed and not self.is_paused(alias)

    def part(self, alias: str, now: datetime) -> float:
        """Return which part of its rate a backend is to get; 1 unless its server wanted less lately."""
        state = self.states.get(alias)
        return state.slowed_to if state and state.slowed_until and state.slowed_until > now else 1.0

    def sentence(self, alias: str) -> str:
        """Say why mail of this backend waits, and until when; an empty string where it does not."""
        if self._paused(EVERYTHING):
            return f"All mail is paused{self._by(EVERYTHING)}, it waits until it is resumed."
        if self._paused(alias):
            return f"Backend {alias} is paused{self._by(alias)}, its mail waits until it is resumed."
        if self.is_out_of_order(alias):
            state = self.states[alias]
            until = clock_time(cast(datetime, state.out_of_order_until))
            return f"Backend {alias} is out of order, its mail waits until {until}: {state.reason}"
        return ""

    def _paused(self, alias: str) -> bool:
        state = self.states.get(alias)
        return state is not None and state.paused_at is not None

    def _by(self, alias: str) -> str:
        state = self.states[alias]
        by = f" by {state.paused_by}" if state.paused_by else ""
        return f"{by} since {clock_time(cast(datetime, state.paused_at))}"

    def _has_waited(self, alias: str, now: datetime) -> bool:
        until = self.states[alias].out_of_order_until if alias in self.states else None
        waited = until is not None and _is_past(until, now, _longest_pause())
        return waited and not self.is_paused(alias)


def _longest_pause() -> timedelta:
    return max(conf.BACKEND_PAUSE, conf.BACKEND_MAX_PAUSE)


def _is_past(moment: datetime, now: datetime, longest: timedelta) -> bool:
    """Return whether a moment has come that was `longest` away when it was noted, or less.

    Twice that is allowed for, as clocks differ a little.
    """
    return moment <= now or moment > now + 2 * longest


def _past(column: str, now: datetime, longest: timedelta) -> Q:
    """The same of a column."""
    return Q(**{f"{column}__lte": now}) | Q(**{f"{column}__gt": now + 2 * longest})


def read() -> Brakes:
    """Read all brakes: one query for a few rows."""
    return Brakes({state.alias: state for state in _states()})


# --- by hand ----------------------------------------------------------------------------------


def pause(alias: str, *, by: str, now: datetime) -> bool:
    """Hold a backend, or EVERYTHING, until it is resumed. Returns False where it was held already."""
    held = _row(alias).filter(paused_at__isnull=True).update(paused_at=now, paused_by=by[:255])
    if held:
        logger.warning("%s is paused%s.", _name(alias), f" by {by}" if by else "")
    return bool(held)


def resume(alias: str, *, by: str, now: datetime) -> bool:
    """Let a backend, or EVERYTHING, go. Returns False where nothing held it.

    One that is out of order is probed at once.
    """
    rows = _states().filter(alias=alias)
    let_go = rows.filter(paused_at__isnull=False).update(paused_at=None, paused_by="")
    let_go += rows.filter(out_of_order_until__gt=now).update(out_of_order_until=now, probing_until=None)
    if let_go:
        logger.warning("%s is resumed%s.", _name(alias), f" by {by}" if by else "")
    return bool(let_go)


# --- circuit breaker --------------------------------------------------------------------------


def learn(outcome: Outcome, *, is_probe: bool, now: datetime, rng: random.Random) -> bool:
    """Draw the conclusion from what an attempt came to. Returns whether there was one to draw.

    Args:
        is_probe: It was made to find out whether the backend works again, under `take_probe()`.
    """
    match outcome:
        case Released(report=None) if is_probe:
            give_probe_back(outcome.backend)
        case Released(report=None):
            return False
        case Released(report=Report() as report):
            _close(outcome.backend, report.message, is_probe=is_probe, now=now, rng=rng)
        case _ if is_probe:
            _open(outcome.backend)
        case _:
            return False
    return True


def take_probe(alias: str, now: datetime) -> bool:
    """Take the right to send one mail to a backend that is out of order. Returns False if another has it.

    It ends with `learn()`, or when its worker has been silent for a lease.
    """
    free = Q(probing_until__isnull=True) | _past("probing_until", now, conf.LEASE_DURATION)
    over = _past("out_of_order_until", now, _longest_pause())
    waited = _states().filter(free, over, alias=alias, paused_at__isnull=True)
    return bool(waited.update(probing_until=now + conf.LEASE_DURATION))


def give_probe_back(alias: str) -> None:
    """End a probe that found nothing out."""
    _states().filter(alias=alias).update(probing_until=None)


def _close(alias: str, reason: str, *, is_probe: bool, now: datetime, rng: random.Random) -> None:
    row = _row(alias)
    # Threads and processes meet the same fault at the same time, and it counts once.
    if not is_probe:
        row = row.filter(out_of_order_until__isnull=True)
    faults = row.values_list("faults", flat=True).first()
    if faults is None:
        return
    policy = RetryPolicy(
        retries=None, interval=conf.BACKEND_PAUSE, backoff=GROWTH, longest=conf.BACKEND_MAX_PAUSE
    )
    until = now + policy.delay(faults, rng)
    if row.update(faults=F("faults") + 1, out_of_order_until=until, probing_until=None, reason=reason):
        logger.error(
            "Backend %s is out of order, its mail waits until %s: %s", alias, clock_time(until), reason
        )


def _open(alias: str) -> None:
    closed = _states().filter(alias=alias, out_of_order_until__isnull=False)
    if closed.update(faults=0, out_of_order_until=None, probing_until=None, reason=""):
        logger.warning("Backend %s works again.", alias)


# --- throttling -------------------------------------------------------------------------------


def slow(alias: str, now: datetime, after: timedelta | None) -> bool:
    """Halve the rate of a backend for a while. Returns whether it was not done just now by another.

    Args:
        after: For how long the server wants to be left alone, where it says so.
    """
    row = _row(alias)
    state = row.get()
    part = max(Brakes({alias: state}).part(alias, now) / 2, LEAST_PART)
    until = now + max(SLOWED_FOR, after or SLOWED_FOR)
    long_enough_ago = Q(slowed_at__isnull=True) | Q(slowed_at__lte=now - SLOWED_AGAIN)
    slowed = row.filter(long_enough_ago, slowed_to=state.slowed_to).update(
        slowed_to=part, slowed_at=now, slowed_until=until
    )
    if slowed:
        logger.warning("Backend %s wants less at a time; it gets half of its rate for a while.", alias)
    return bool(slowed)


def _row(alias: str) -> QuerySet[BackendState]:
    """Return the row of a backend, which is made where there is none."""
    row = _states().filter(alias=alias)
    if not row.exists():
        _states().bulk_create([BackendState(alias=alias)], ignore_conflicts=True)
    return row


def _states() -> QuerySet[BackendState]:
    return BackendState.objects.using(router.db_for_write(BackendState))


def _name(alias: str) -> str:
    return "All mail" if alias == EVERYTHING else f"Backend {alias}"


def clock_time(moment: datetime) -> str:
    """Return a moment in words, in the time zone of the project."""
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return date_format(local, "Y-m-d H:i:s")
