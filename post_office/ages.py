"""Ages: for how long mail may be due before it is too old to be sent.

MAX_AGE says so, and what a backend says itself in BACKENDS or POLICIES counts before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .aliases import aliases, default_alias, delivering_alias
from .conf import conf

if TYPE_CHECKING:
    from .models import Email


def of_backends() -> dict[str, timedelta | None]:
    """Return the greatest age by alias, as mail has it, where a backend says its own; None for no limit."""
    entries = [*conf.POLICIES.items(), *conf.BACKENDS.items()]
    said = {
        alias: entry["MAX_AGE"]
        for alias, entry in entries
        if isinstance(entry, Mapping) and "MAX_AGE" in entry
    }
    if not said:
        return {}
    delivering = {"": default_alias(), **{alias: delivering_alias(alias) for alias in aliases()}}
    return {stored: said[alias] for stored, alias in delivering.items() if alias in said}


def greatest(alias: str) -> timedelta | None:
    """Return the greatest age of mail with this alias, "" where it names none; None for no limit."""
    return of_backends().get(alias, conf.MAX_AGE)


def lateness(now: datetime) -> Callable[[Email], bool]:
    """Return a function that tells of a mail whether it is too late for it at this moment: it is past its
    `expires_at`, or has been due for too long. It says what `EmailQuerySet.expired` says in the database.
    """
    by_alias, by_default = of_backends(), conf.MAX_AGE

    def is_late(email: Email) -> bool:
        if email.expires_at is not None and email.expires_at <= now:
            return True
        age = by_alias.get(email.backend_alias, by_default)
        return age is not None and (email.first_due_at or email.due_at) <= now - age

    return is_late
