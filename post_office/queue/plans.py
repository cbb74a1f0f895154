"""When open mail is to be sent, and before which other mail, changed by a hand.

Mail that a worker holds stays as it is: its turn has come. Each verb returns how many rows it changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from ..models import Email


def prioritize(pks: Sequence[int], priority: int, now: datetime) -> int:
    """Give waiting mail another priority."""
    return _change(pks, Q(), now, priority=priority)


def reschedule(pks: Sequence[int], at: datetime | None, now: datetime) -> int:
    """Give waiting mail another time, or none: due now. Leaves what expires before it.

    How long the mail has been waiting no longer counts, see MAX_AGE.
    """
    moment = now if at is None else max(at, now)
    lives = Q(expires_at__isnull=True) | Q(expires_at__gt=moment)
    return _change(pks, lives, now, first_due_at=moment, scheduled_time=at)


def _change(pks: Sequence[int], which: Q, now: datetime, **values: Any) -> int:
    waiting = Email.objects.primary().unfinished().unheld()
    return waiting.filter(which, pk__in=pks).update(last_updated=now, **values)
