"""Outages: a database that fails for a while, as one worker meets them.

What could not be written is kept and tried again, so a fault is told and not raised; the longer the
database has been away, the longer it is left in peace.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType

from django.db import Error as DatabaseFault
from django.db import InterfaceError, OperationalError, router
from django.db import connections as databases

from ..models import Email

logger = logging.getLogger("post_office")

# What a database raises that may answer another time.
PASSING = (OperationalError, InterfaceError)

SHORTEST_REST = 0.5  # seconds until it is asked again
LONGEST_REST = 5.0


def in_one_line(fault: Exception) -> str:
    """Return what a fault says, of which libpq makes several lines, for a log that has one for each event."""
    return " ".join(str(fault).split())


class Outage:
    """Whether the database answers, and when to ask it again.

    Args:
        is_hopeless: Told for how many seconds it has been away; True raises the fault.
    """

    def __init__(self, is_hopeless: Callable[[float], bool]) -> None:
        self._is_hopeless = is_hopeless
        self._since: float | None = None
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether the database failed a moment ago, and is not to be asked again yet."""
        return time.monotonic() < self._rests_until

    @property
    def lasts(self) -> bool:
        """Whether the database has not done what we ask since it failed."""
        return self._since is not None

    def is_over(self) -> None:
        """Take note that the database does what we ask."""
        self._since = None

    def borne(self, what: str) -> _Borne:
        """Return a block in which the database may fail; it ends there.

        Args:
            what: What the block does, for the log: "write outcomes".

        Raises:
            OperationalError, InterfaceError: In a transaction of the caller's, which is lost with it; and
                where there is no hope.
        """
        return _Borne(self, what)

    def failed(self, what: str, fault: DatabaseFault) -> None:
        """Take note of a fault; see `borne`."""
        connection = databases[router.db_for_write(Email)]
        now = time.monotonic()
        self._since = self._since or now
        away_for = now - self._since
        if connection.in_atomic_block or self._is_hopeless(away_for):
            raise fault
        logger.warning("The database did not let us %s, trying again: %s", what, in_one_line(fault))
        connection.close()
        self._rests_until = now + min(max(SHORTEST_REST, away_for / 4), LONGEST_REST)


class _Borne:
    # Its type says that it may swallow an exception, which a generator's cannot.

    def __init__(self, outage: Outage, what: str) -> None:
        self._outage = outage
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(fault, PASSING):
            self._outage.failed(self._what, fault)
            return True
        return False
