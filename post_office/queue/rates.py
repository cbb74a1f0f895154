"""Rates as settings say them: so many messages or recipients in so long. Pure: no rows, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..exceptions import InvalidRate

SPANS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60}
SPANS |= {"h": 3600, "hour": 3600, "d": 86400, "day": 86400}
RATE = re.compile(rf"\s*(\d+)\s*(messages?|recipients?)?\s*/\s*({'|'.join(SPANS)})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Rate:
    """So many messages or recipients in so many seconds."""

    count: float
    seconds: int
    of_recipients: bool = False

    @classmethod
    def parse(cls, text: Any) -> Rate:
        """Read a rate such as "14/s", "500 messages/hour" or "100 recipients/min".

        Raises:
            InvalidRate: It is none.
        """
        found = RATE.fullmatch(text) if isinstance(text, str) else None
        if found is None or not int(found[1]):
            raise InvalidRate(text)
        of_recipients = (found[2] or "").lower().startswith("recipient")
        return cls(int(found[1]), SPANS[found[3].lower()], of_recipients)

    @property
    def name(self) -> str:
        """By which it is stored; another rate starts anew."""
        return f"{self.count:g} {'recipients' if self.of_recipients else 'messages'}/{self.seconds}"


def parse_rates(given: Any) -> tuple[Rate, ...]:
    """Read what a setting says: nothing, a rate, or a list of them.

    Raises:
        InvalidRate: One of them is none.
    """
    several = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    return tuple(Rate.parse(text) for text in several)
