"""Outcomes on their way to the database: kept for a moment, for company, and then settled.

This is what a crash can repeat, beside what is in the hands of sending threads. So it is kept small
and for a short time, and nothing is dropped from it that is not written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from ..models import Email, Worker
from ..queue import outcomes
from ..queue.outcomes import Outcome, Sent, Settled
from ..rendering.keeping import keep_as_sent

logger = logging.getLogger("post_office")

SETTLE_AFTER = 0.020  # seconds that an outcome waits for company
SETTLE_AT = 25  # outcomes that are written together


@dataclass
class Unsettled:
    """Outcomes that are not written yet.

    Args:
        log_level: As in LOG_LEVEL.
        on_settled: Told of each batch that was written.
    """

    log_level: int
    on_settled: Callable[[Settled], None]
    _pairs: list[tuple[Email, Outcome]] = field(default_factory=list)
    _oldest: float = 0.0

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def room(self) -> int:
        """How many more are enough to be written."""
        return SETTLE_AT - len(self._pairs)

    @property
    def patience(self) -> float:
        """For how many seconds to wait for them."""
        waited = time.monotonic() - self._oldest if self._pairs else 0.0
        return max(SETTLE_AFTER - waited, 0.0)

    @property
    def is_full(self) -> bool:
        return len(self._pairs) >= SETTLE_AT

    def is_due(self, *, company_may_come: bool) -> bool:
        """Return whether it is time to write: they are enough, have waited, or wait for nobody."""
        waited = time.monotonic() - self._oldest
        return bool(self._pairs) and (self.is_full or waited >= SETTLE_AFTER or not company_may_come)

    def add(self, email: Email, outcome: Outcome) -> None:
        if not self._pairs:
            self._oldest = time.monotonic()
        self._pairs.append((email, outcome))

    def settle(self, worker: Worker) -> None:
        """Write all that waits.

        Raises OperationalError or InterfaceError where the database does not let us; what is not
        written then goes on waiting.
        """
        try:
            self._write(self._pairs, worker, self.log_level)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("Outcomes cannot be written together; trying one by one.")
            self._settle_one_by_one(worker)

    def _settle_one_by_one(self, worker: Worker) -> None:
        """One outcome that cannot be written must not keep the others from it."""
        for pair in list(self._pairs):
            try:
                self._write([pair], worker, self.log_level)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                logger.exception("The log of email %s cannot be written; going on without.", pair[0].pk)
                self._write([pair], worker, log_level=0)

    def _write(self, pairs: list[tuple[Email, Outcome]], worker: Worker, log_level: int) -> None:
        now = timezone.now()
        settled = outcomes.settle(pairs, worker, log_level, now)
        written = {id(pair) for pair in pairs}
        self._pairs = [pair for pair in self._pairs if id(pair) not in written]
        keep_as_sent([email for email, outcome in pairs if isinstance(outcome, Sent)], now)
        self.on_settled(settled)
