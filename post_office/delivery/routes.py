"""Which backend sends the mail of an alias at this moment: its own, its fallback, or none."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from ..aliases import default_alias, delivering_alias, served_aliases
from ..models import Email
from ..queue import brakes, claims
from ..queue.brakes import EVERYTHING, Brakes
from ..queue.lanes import PRIORITIES
from ..queue.outcomes import Outcome
from . import policies
from .connections import alias_of

# Seconds after which the brakes are read again: what is paused by hand is to stand within one.
READ_AGAIN = 0.5


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a mail goes: by the backend of this alias, perhaps to find out whether that works again.

    `part` is that of its rate.
    """

    alias: str
    is_probe: bool = False
    part: float = 1.0


def find_way(alias: str, *, may_probe: bool) -> Way | None:
    """Return how mail of an alias can go now, for one that is sent at once; None where it is to wait."""
    state, now = brakes.read(), timezone.now()
    if may_probe and state.wants_probe(alias, now) and brakes.take_probe(alias, now):
        return Way(alias=alias, is_probe=True, part=state.part(alias, now))
    serving = route(alias, state)
    return Way(alias=serving, part=state.part(serving, now)) if serving else None


def route(alias: str, state: Brakes) -> str | None:
    """Return the alias to send by, None where the mail is to wait.

    A backend that is out of order names another in FALLBACK, which may do the same. One that was
    paused by hand has none: whoever paused it wants its mail to wait.
    """
    passed: set[str] = set()
    while alias and alias not in passed and not state.is_paused(alias):
        if not state.is_out_of_order(alias):
            return alias
        passed.add(alias)
        alias = policies.option(alias, "FALLBACK") or ""
    return None


def slow(alias: str, after: timedelta | None) -> bool:
    """Give less to a backend that is throttling us, where it has a rate. Returns whether that changed it."""
    return bool(policies.rates(alias)) and brakes.slow(alias, timezone.now(), after)


@dataclass
class Routes:
    """The routes as one worker knows them, and the probes that it makes.

    Everything but `may_begin` is for the worker's main thread.

    Args:
        only: Backends to serve; None for all.
        priorities: To serve.
    """

    rng: random.Random
    only: Sequence[str] | None = None
    priorities: Sequence[int | None] = PRIORITIES
    brakes: Brakes = field(default_factory=Brakes)
    _read_not_before: float = 0.0
    # By alias: the mail by which this worker finds out whether the backend works again.
    _probes: dict[str, int] = field(default_factory=dict)
    # By what mail has as its alias: the one that delivers it, as far as that was asked since the brakes
    # were read.
    _own: dict[str, str] = field(default_factory=dict)
    # Mails that go by another backend than their own.
    _detours: dict[int, str] = field(default_factory=dict)

    def refresh(self) -> bool:
        """Read the brakes where the last time is a while ago; returns whether that was so."""
        if time.monotonic() < self._read_not_before:
            return False
        self.brakes = brakes.read()
        self._own.clear()
        self._read_not_before = time.monotonic() + READ_AGAIN
        return True

    def own(self, email: Email) -> str:
        """Return the alias that delivers a mail as long as it is in order."""
        alias = self._own.get(email.backend_alias)
        if alias is None:
            alias = self._own[email.backend_alias] = alias_of(email)
        return alias

    def serving(self) -> list[tuple[str, str]]:
        """Return the aliases whose mail can go now, each with the one by which it does.

        "" is the alias of mail that names none.
        """
        routed = [(stored, route(alias, self.brakes)) for stored, alias in self._stored_aliases()]
        return [(stored, alias) for stored, alias in routed if alias]

    def to_be_tried(self, now: datetime) -> list[str]:
        """Return the aliases whose mail would tell whether its backend works again."""
        return [stored for stored, alias in self._stored_aliases() if self.brakes.wants_probe(alias, now)]

    def by(self, email: Email) -> str | None:
        """Return the alias by which to send a mail; None where it is to wait."""
        own = self.own(email)
        if self._probes.get(own) == email.pk:
            return own
        alias = route(own, self.brakes)
        if alias and alias != own:
            self._detours[email.pk] = alias
        return alias

    def used_by(self, email: Email) -> str:
        """Return the alias that a mail was given to."""
        return self._detours.get(email.pk) or self.own(email)

    def may_begin(self, email: Email, alias: str) -> bool:
        """Return whether a mail on its way may still go by this backend; for any thread."""
        return self._probes.get(alias) == email.pk or self.brakes.is_open(alias)

    def learn(self, email: Email, outcome: Outcome) -> None:
        """Draw the conclusion from what came of a mail; writes where that changes something."""
        self._detours.pop(email.pk, None)
        is_probe = self._probes.get(outcome.backend) == email.pk
        if is_probe:
            del self._probes[outcome.backend]
        if brakes.learn(outcome, is_probe=is_probe, now=timezone.now(), rng=self.rng):
            self.brakes = brakes.read()

    def slow(self, alias: str, after: timedelta | None) -> None:
        """Give less to a backend that is throttling us."""
        if slow(alias, after):
            self.brakes = brakes.read()

    def sentences(self, now: datetime) -> dict[str, str]:
        """Say for each backend that cannot be used why its mail waits; nothing where no mail does."""
        if self.brakes.is_paused(EVERYTHING):
            return {EVERYTHING: self.brakes.sentence(EVERYTHING)}
        return {
            alias: self.brakes.sentence(alias)
            for stored, alias in self._stored_aliases()
            if route(alias, self.brakes) is None and self._is_due([stored], now)
        }

    # --- probes -------------------------------------------------------------------------------

    def probe(self, claimer: claims.Claimer, now: datetime) -> list[Email]:
        """Claim a mail for each backend that is to be tried again, unless another worker does that."""
        waited = {alias for _, alias in self._stored_aliases() if self.brakes.wants_probe(alias, now)}
        return [email for alias in waited - self._probes.keys() for email in self._probe(alias, claimer, now)]

    def _probe(self, alias: str, claimer: claims.Claimer, now: datetime) -> list[Email]:
        mail_of_it = [stored for stored, delivering in self._stored_aliases() if delivering == alias]
        if not self._is_due(mail_of_it, now):
            return []
        if not brakes.take_probe(alias, now):
            # Another was first; knowing that, we wait for what it finds out.
            self.brakes = brakes.read()
            return []
        claimed = claimer.claim(1, mail_of_it, now)
        if claimed:
            self._probes[alias] = claimed[0].pk
        else:
            brakes.give_probe_back(alias)
        return claimed

    def abandon_probe(self, email: Email) -> None:
        """Let another mail be the probe where it was this one, which never came as far as the backend."""
        own = self.own(email)
        if self._probes.get(own) == email.pk:
            del self._probes[own]
            brakes.give_probe_back(own)

    def forget_probes(self) -> None:
        """Know of no probe any more: others have the mail."""
        self._probes.clear()

    def is_probed_elsewhere(self, now: datetime) -> bool:
        """Return whether another worker is finding out about a backend that has mail for us."""
        return any(
            self.brakes.is_probed(alias, now) and alias not in self._probes and self._is_due([stored], now)
            for stored, alias in self._stored_aliases()
        )

    def _stored_aliases(self) -> list[tuple[str, str]]:
        """Return the aliases as mail has them, each with the one that delivers."""
        served = served_aliases(self.only)
        return [(stored, delivering_alias(stored) if stored else default_alias()) for stored in served]

    def _is_due(self, stored: Sequence[str], now: datetime) -> bool:
        return claims.something_is_due(stored, now, self.priorities)
