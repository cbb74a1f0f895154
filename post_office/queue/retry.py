"""What follows a fault: another try, and when, or the end. Pure: no clock, no settings, no rows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

# With the default intervals (15 minutes, doubled up to 4 hours) this is about four days, after which
# mail servers give up, too (RFC 5321, section 4.5.4.1).
RETRIES_BY_DEFAULT = 25
# A part of each interval, by chance: mails that failed together do not come back together.
JITTER = 0.1


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often, and how long apart.

    `retries` None means as often as RETRIES_BY_DEFAULT; 0 means never.
    """

    retries: int | None
    interval: timedelta
    backoff: float
    longest: timedelta

    def allows(self, retries_so_far: int) -> bool:
        allowed = RETRIES_BY_DEFAULT if self.retries is None else self.retries
        return retries_so_far < allowed

    def delay(self, retries_so_far: int, rng: random.Random) -> timedelta:
        """Return the time until the next try; between 100 % and 110 % of the nominal interval."""
        longest = max(self.longest, self.interval)
        # A power too large for a float is longer than any limit.
        try:
            nominal = min(self.interval * self.backoff**retries_so_far, longest)
        except OverflowError:
            nominal = longest
        return nominal * (1 + JITTER * rng.random())

    def next_try(
        self,
        retries_so_far: int,
        *,
        now: datetime,
        expires_at: datetime | None,
        rng: random.Random,
        after: timedelta | None = None,
    ) -> datetime | None:
        """Return when to try again, or None when that is not to be.

        Args:
            retries_so_far: Retries that are over; 0 after the first attempt.
            expires_at: No retry is planned at or past this moment.
            after: The least time to wait, where the server named one.
        """
        if not self.allows(retries_so_far):
            return None
        delay = self.delay(retries_so_far, rng)
        at = now + (max(delay, after) if after else delay)
        if expires_at is not None and at >= expires_at:
            return None
        return at
