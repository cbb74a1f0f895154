"""Tallies: how much mail was sent and failed, by slots of five minutes. The only writer of `Tally`.

They are kept as outcomes are settled, so that to look at a week costs the same however much mail there was,
and clean-up takes no history away. Each slot has several rows, one for each part of the workers, so that
they do not wait for each other. They are written outside of every transaction about mail: whoever waits for
a row of these holds nothing that its holder will want, and no mail waits for them. So they are figures to
look at, and no proof: what a worker has settled in its last second is not counted if it is killed in that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import router, transaction
from django.db.models import F, QuerySet, Sum

from ..models import Tally
from ..slots import slot_of, slots_in

PARTS = 4
KEEP = timedelta(days=9)
WRITE_AFTER = 1.0  # seconds for which a worker keeps what it has counted


@dataclass(frozen=True, kw_only=True)
class Tallied:
    """What became of mail in one slot."""

    slot: int
    sent: int
    failed: int


@dataclass
class Unwritten:
    """What one worker has sent and failed, and not written down yet."""

    sent: int = 0
    failed: int = 0
    _since: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        """Whether there is anything, and the last time is long enough ago."""
        return bool(self.sent or self.failed) and time.monotonic() - self._since >= WRITE_AFTER

    def add(self, *, sent: int, failed: int) -> None:
        self.sent += sent
        self.failed += failed

    def write(self, worker: UUID, now: datetime) -> None:
        """Write it down; a fault of the database leaves it as it was."""
        if self.sent or self.failed:
            _add(slot_of(now), worker, self.sent, self.failed)
            self.sent = self.failed = 0
        self._since = time.monotonic()


def count(*, sent: int, failed: int, worker: UUID, now: datetime) -> None:
    """Count mails that came to their end, after the commit of the transaction that says so.

    A fault of the database is logged: they are at their end all the same.
    """
    if sent or failed:
        add = partial(_add, slot_of(now), worker, sent, failed)
        transaction.on_commit(add, using=_rows().db, robust=True)


def since(first: int) -> Sequence[Tallied]:
    """Return the slots from this one on in which something happened, in order: one query."""
    rows = _rows().filter(slot__gte=first).order_by("slot").values_list("slot")
    return [
        Tallied(slot=slot, sent=sent, failed=failed)
        for slot, sent, failed in rows.annotate(all_sent=Sum("sent"), all_failed=Sum("failed"))
    ]


def _add(slot: int, worker: UUID, sent: int, failed: int) -> None:
    part = worker.int % PARTS
    row = _rows().filter(slot=slot, part=part)
    added = {"sent": F("sent") + sent, "failed": F("failed") + failed}
    if row.update(**added):
        return
    _rows().bulk_create([Tally(slot=slot, part=part)], ignore_conflicts=True)
    row.update(**added)
    _rows().filter(slot__lt=slot - slots_in(KEEP), part=part).delete()


def _rows() -> QuerySet[Tally]:
    return Tally.objects.using(router.db_for_write(Tally))
