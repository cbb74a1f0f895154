"""Ages: for how long mail may be due before it is too old to be sent.

MAX_AGE says so, and what a backend says itself in BACKENDS or POLICIES counts before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from .aliases import aliases, default_alias, delivering_alias
from .conf import conf


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
