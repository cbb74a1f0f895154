"""Slots: the five minutes in which something happens, as numbers counted since 1970. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

LENGTH = timedelta(minutes=5)
_SECONDS = int(LENGTH.total_seconds())


def slot_of(moment: datetime) -> int:
    """Return the slot of a moment; a naive one is of the time zone of this process, as Django's are."""
    return int(moment.timestamp()) // _SECONDS


def start_of(slot: int) -> datetime:
    """Return the moment at which a slot begins."""
    return datetime.fromtimestamp(slot * _SECONDS, tz=timezone.utc)


def slots_in(span: timedelta) -> int:
    """Return how many slots there are in a span."""
    return int(span / LENGTH)
