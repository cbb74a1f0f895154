"""A worker's mail and the rate limits: what goes now, what waits here for a moment, what goes back.

Allowance is drawn for no more mails than can be sent soon, for each a moment of its own, its turn. So what is
counted and what a server sees are about the same, and whoever is held up for a moment has mail to send. What
would have to wait for long goes back to the queue: mail of a backend that has used up its rate is not claimed
until then; mail to such a domain is due later.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from ..addresses import bare_address
from ..enums import PRIORITY
from ..models import Email
from ..queue import limits
from ..queue.brakes import clock_time
from ..queue.lanes import PRIORITIES
from ..queue.limits import Demand, Grant, Limit, Refusal
from ..queue.outcomes import Released
from . import policies
from .routes import Routes, Way

# Seconds for which a worker keeps mail that is over the rate of its backend; a longer wait is for the queue.
PATIENCE = 2.0
# Of mail that is over the rate of a domain it keeps so many seconds' worth.
KEEP = limits.AHEAD
TIDY_EVERY = 3600.0
# After a refusal it waits so much longer than needed, to draw for several mails at once. What was drawn ahead
# is sent meanwhile.
FOR_COMPANY = limits.AHEAD / 4
LONGEST_KEY = 255  # characters in the column for the key of a limit

URGENT = [priority for priority in PRIORITIES if priority is not None and priority >= PRIORITY.high]


def demand(email: Email, alias: str, part: float) -> Demand:
    """Return what a mail wants of the limits of the backend that is to send it.

    Args:
        part: Of that backend's rates; below 1 while its server wants less.
    """
    mailboxes = [*email.to, *email.cc, *email.bcc]
    wanted: list[tuple[Limit, int]] = []
    if rates := policies.rates(alias):
        wanted.append((Limit(alias, rates, part), max(1, len(mailboxes))))
    if by_domain := policies.domain_rates(alias):
        domains = Counter(bare_address(mailbox).rpartition("@")[2].lower() for mailbox in mailboxes)
        for domain, count in domains.items():
            if rates := by_domain.get(domain, by_domain.get("*", ())):
                # Longer domains than the column holds are no names of hosts; they may share a limit.
                wanted.append((Limit(f"{alias} {domain}"[:LONGEST_KEY], rates), count))
    return Demand(tuple(wanted), urgent=(email.priority or 0) >= PRIORITY.high)


def is_within_limits(email: Email, way: Way) -> bool:
    """Draw allowance for one mail. Returns whether there was any, at the moment for which it is given."""
    (verdict,) = limits.draw([demand(email, way.alias, way.part)])
    if isinstance(verdict, Refusal):
        return False
    time.sleep(verdict.seconds or 0.0)
    return True


@dataclass
class Sorted:
    """A worker's mail by what is to be done with it. What is nowhere waits."""

    go: list[Email] = field(default_factory=list)
    back: list[tuple[Email, Released]] = field(default_factory=list)
    # To draw for, with the alias of the backend.
    to_ask: list[tuple[Email, str, Demand]] = field(default_factory=list)
    # By limit, how many are over it.
    over: Counter[str] = field(default_factory=Counter)


class Pacer:
    """The limits as one worker meets them.

    Args:
        routes: Which backend sends what.
    """

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        # By backend and urgency, the moment (of the monotonic clock) until which the rate is used up.
        self._closed: dict[tuple[str, bool], float] = {}
        # By limit and urgency, the moment before which it need not be asked again.
        self._not_before: dict[tuple[str, bool], float] = {}
        # By limit of a domain, the moment to which its last mail was put off.
        self._put_off: dict[str, float] = {}
        # By mail, the moment for which allowance was drawn.
        self._turns: dict[int, float] = {}
        self._tidy_at = 0.0
        self._resting = 0
        self._rest_until = 0.0

    def admit(self, waiting: deque[Email], room: int) -> tuple[list[Email], list[tuple[Email, Released]]]:
        """Take from `waiting` what may go now or soon, and what is to go back to the queue.

        Args:
            room: How many mails can be taken in hand at this moment; no more are asked for.
        """
        if not policies.any_rates():
            everything = list(waiting)
            waiting.clear()
            return everything, []
        self._tidy()
        now = time.monotonic()
        if now < self._rest_until and len(waiting) == self._resting:
            return [], []
        by_fate = self._sort(waiting, room, now)
        self._ask(by_fate, now)
        gone = {email.pk for email in by_fate.go} | {email.pk for email, _ in by_fate.back}
        staying = [email for email in waiting if email.pk not in gone]
        waiting.clear()
        waiting.extend(staying)
        # As long as all of it waits for allowance, there is nothing to look at.
        self._resting = len(staying)
        self._rest_until = 0.0 if gone or not by_fate.over else now + FOR_COMPANY / 2
        return by_fate.go, by_fate.back

    def turn_of(self, email: Email) -> float | None:
        """Return the moment for which allowance was drawn, of the monotonic clock; None where none was.

        It is told once.
        """
        return self._turns.pop(email.pk, None)

    def _sort(self, waiting: deque[Email], room: int, now: float) -> Sorted:
        """See what needs no allowance, what must wait for it, and for which mails to ask."""
        by_fate = Sorted()
        for email in waiting:
            alias = self._routes.by(email)
            wants = demand(email, alias, self._routes.brakes.part(alias, timezone.now())) if alias else None
            if alias is None or wants is None or not wants.limits:
                by_fate.go.append(email)
            elif self._is_closed(alias, now, urgent=wants.urgent):
                by_fate.back.append((email, Released(backend=alias)))
            elif blocking := self._blocking(wants, now):
                if later := self._later(blocking, alias, by_fate.over, now):
                    by_fate.back.append((email, Released(backend=alias, at=later)))
            elif len(by_fate.to_ask) < room:
                by_fate.to_ask.append((email, alias, wants))
        return by_fate

    def _ask(self, by_fate: Sorted, now: float) -> None:
        """Draw allowance for the mails that are to be asked for."""
        verdicts = limits.draw([wants for _, _, wants in by_fate.to_ask])
        drawn_at = time.monotonic()
        for (email, alias, wants), verdict in zip(by_fate.to_ask, verdicts, strict=True):
            if isinstance(verdict, Grant):
                if verdict.seconds is not None:
                    self._turns[email.pk] = drawn_at + verdict.seconds
                by_fate.go.append(email)
            elif released := self._refused(alias, wants, verdict, now):
                by_fate.back.append((email, released))

    def claimable(self, *, urgent: bool) -> list[str]:
        """Return the aliases, as mail has them, whose mail may be claimed.

        Args:
            urgent: Those of which urgent mail alone may be.
        """
        now = time.monotonic()
        serving = self._routes.serving()
        free = [stored for stored, alias in serving if not self._is_closed(alias, now, urgent=False)]
        if not urgent:
            return free
        return [
            stored
            for stored, alias in serving
            if stored not in free and not self._is_closed(alias, now, urgent=True)
        ]

    def sentences(self) -> dict[str, str]:
        """Say which mail is over a rate, and until when."""
        now = time.monotonic()
        said = {
            alias: f"Backend {alias} has used up its rate, its mail waits until {_in(until - now)}."
            for (alias, _), until in self._closed.items()
            if until > now
        }
        for key, until in self._put_off.items():
            alias, domain = key.split(" ", 1)
            if until > now:
                said[key] = f"Mail to {domain} by {alias} is over its rate until {_in(until - now)}."
        return said

    def _is_closed(self, alias: str, now: float, *, urgent: bool) -> bool:
        # What is used up for urgent mail is so for the rest.
        until = self._closed.get((alias, True), 0.0)
        return until > now or (not urgent and self._closed.get((alias, False), 0.0) > now)

    def _blocking(self, wants: Demand, now: float) -> Limit | None:
        """Return the limit that is known to have nothing for this mail yet."""
        for limit, _ in wants.limits:
            if self._not_before.get((limit.key, wants.urgent), 0.0) > now:
                return limit
        return None

    def _refused(self, alias: str, wants: Demand, refusal: Refusal, now: float) -> Released | None:
        """Remember that a limit has nothing now. Returns how the mail goes back, None if it waits here."""
        key, until = refusal.limit.key, now + refusal.seconds + FOR_COMPANY
        self._not_before[key, wants.urgent] = until
        if refusal.seconds <= PATIENCE:
            return None
        if key == alias:
            self._closed[alias, wants.urgent] = until
            return Released(backend=alias)
        return Released(backend=alias, at=self._slot(refusal.limit, now, until))

    def _later(self, limit: Limit, alias: str, over: Counter[str], now: float) -> datetime | None:
        """Return when a mail to a domain is to be due; None where it may wait here."""
        over[limit.key] += 1
        if limit.key == alias or over[limit.key] <= max(1, KEEP * _per_second(limit)):
            return None
        return self._slot(limit, now, now + KEEP)

    def _slot(self, limit: Limit, now: float, earliest: float) -> datetime:
        """Put mails off one behind the other, as fast as the limit lets them go."""
        slot = max(self._put_off.get(limit.key, 0.0) + 1 / _per_second(limit), earliest)
        self._put_off[limit.key] = slot
        return timezone.now() + timedelta(seconds=slot - now)

    def _tidy(self) -> None:
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_EVERY
            limits.tidy()


def _per_second(limit: Limit) -> float:
    return min(rate.count / rate.seconds for rate in limit.rates)


def _in(seconds: float) -> str:
    return clock_time(timezone.now() + timedelta(seconds=seconds))
