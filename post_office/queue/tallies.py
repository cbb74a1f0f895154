"""Tallies: how much mail was sent and failed, by slots of five minutes. The only writer of `Tally`.

They are kept as outcomes are settled, so that to look at a week costs the same however much mail there was,
and clean-up takes no history away. Each slot has several rows, one for each part of the workers, so that
they do not wait for each other. It is the last thing that a transaction writes: whoever waits for a row of
these holds nothing that its holder will want.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import F, QuerySet, Sum

from ..models import Tally
from ..slots import slot_of, slots_in

PARTS = 4
KEEP = timedelta(days=9)


@dataclass(frozen=True, kw_only=True)
class Tallied:
    """What became of mail in one slot."""

    slot: int
    sent: int
    failed: int


def count(*, sent: int, failed: int, worker: UUID, now: datetime, ends_here: bool) -> None:
    """Count mails that came to their end.

    Args:
        ends_here: The transaction commits after this. Otherwise it is counted after its commit, since
            it may go on to take locks for which a holder of another row waits.
    """
    if not sent and not failed:
        return
    add = partial(_add, slot_of(now), worker.int % PARTS, sent, failed)
    if ends_here:
        add()
    else:
        transaction.on_commit(add, using=_rows().db, robust=True)


def ends_with(using: str) -> bool:
    """Return whether a transaction that is begun now is nobody's but ours."""
    return not connections[using].in_atomic_block


def since(first: int) -> Sequence[Tallied]:
    """Return the slots from this one on in which something happened, in order: one query."""
    rows = _rows().filter(slot__gte=first).order_by("slot").values_list("slot")
    return [
        Tallied(slot=slot, sent=sent, failed=failed)
        for slot, sent, failed in rows.annotate(all_sent=Sum("sent"), all_failed=Sum("failed"))
    ]


def _add(slot: int, part: int, sent: int, failed: int) -> None:
    row = _rows().filter(slot=slot, part=part)
    added = {"sent": F("sent") + sent, "failed": F("failed") + failed}
    if row.update(**added):
        return
    _rows().bulk_create([Tally(slot=slot, part=part)], ignore_conflicts=True)
    row.update(**added)
    _rows().filter(slot__lt=slot - slots_in(KEEP), part=part).delete()


def _rows() -> QuerySet[Tally]:
    return Tally.objects.using(router.db_for_write(Tally))
