"""The pulse of a worker: its row, by which others see that it lives, and what it sees to with each beat."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from ..conf import conf
from ..models import Worker
from ..queue import clocks, liveness


class Pulse:
    """Attributes:
    row: The worker's row.
    observer: What this worker knows of others.
    """

    row: Worker

    def __init__(self, dispatcher_id: UUID | None) -> None:
        self._dispatcher_id = dispatcher_id
        self.observer = liveness.Observer()

    def begin(self) -> None:
        """Make our row, or a new one where others took the last for that of a dead worker."""
        before = liveness.clock()
        self.row = liveness.register(timezone.now(), self._dispatcher_id)
        self._has_beaten(before)

    @property
    def is_due(self) -> bool:
        return liveness.clock() - self._beat_at >= liveness.beat_interval()

    @property
    def is_trusted(self) -> bool:
        """Whether others take us for alive, for certain; for any thread.

        A process that was suspended may have been taken for dead meanwhile.
        """
        return liveness.clock() <= self._trusted_until

    def beat(self) -> bool:
        """Show that we live. Returns False where others have taken us for dead."""
        # The moment before, not after: the answer of the database may be old when we read it, if this
        # process was suspended meanwhile.
        before = liveness.clock()
        alive = liveness.beat(self.row, timezone.now())
        if alive:
            self._has_beaten(before)
        return alive

    def look_after_others(self) -> None:
        """See to mail that nobody would claim: that of the dead, and that of clocks which are wrong."""
        self.observer.free_dead(self.row)
        clocks.bring_back(timezone.now())

    def _has_beaten(self, at: float) -> None:
        self._beat_at = at
        # Others may take us for dead some time after that.
        self._trusted_until = at + conf.LEASE_DURATION.total_seconds() / 2
