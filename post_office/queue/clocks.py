"""Clocks that are wrong: mail that one of them dated into the future is due all the same.

A mail without a scheduled time is due when it was queued, as the clock said that queued it. Where that was
ahead, or ours was put back since, the mail would wait until ours is there.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from ..models import Email

logger = logging.getLogger("post_office")

# So much the clocks of hosts may differ. Who is ahead by less waits for no longer than that.
TOLERANCE = timedelta(seconds=2)


def bring_back(now: datetime) -> int:
    """Date mail that was queued in the future to this moment. Returns how many rows changed."""
    unscheduled = Email.objects.primary().unfinished().filter(scheduled_time__isnull=True)
    ahead = unscheduled.filter(created__gt=now + TOLERANCE)
    # Mostly there is none, and on SQLite an UPDATE would lock the database to find that out.
    changed = ahead.update(created=now) if ahead.exists() else 0
    if changed:
        logger.warning(
            "A clock is or was wrong: %d emails were queued in the future; they are due now.", changed
        )
    return changed
