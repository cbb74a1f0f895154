"""Whether mail flows: limits for the figures of the queue, and a sentence for each that is passed.

`manage.py mail_status` and the view in `probe` ask the same questions here. The shape for programs is
documented in docs/reference/health.md; its keys stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from .aliases import aliases, default_alias
from .conf import conf
from .enums import PRIORITY
from .exceptions import InvalidLimit
from .queue import figures
from .queue.depth import MANY, Depth
from .queue.figures import Figures, Program

# What priorities are called, urgent ones first; rows of foreign code may have none.
PRIORITY_NAMES: dict[int | None, str] = {
    **{number: name for name, number in reversed(PRIORITY._asdict().items())},
    None: "none",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is still all right. None: whatever it may be.

    Raises:
        InvalidLimit: A value is of another kind, or beyond what is counted.
    """

    # Of the mail that is due for longest.
    max_age: timedelta | None = None
    # Mails that are due.
    max_due: int | None = None
    # Mails that failed in the last hour.
    max_failed: int | None = None
    # Mails that nobody will ever claim.
    max_orphaned: int | None = None
    # For how long no dispatcher may have been seen. For cron, where none is alive between two runs.
    max_silence: timedelta | None = None
    # A dispatcher is alive at this moment.
    require_dispatcher: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and (said := _why_not(name, value)):
                raise InvalidLimit(name.upper(), value, said)


def _why_not(name: str, value: Any) -> str:
    """Say why a value cannot be this limit; an empty string means that it can."""
    if name == "require_dispatcher":
        return "" if isinstance(value, bool) else "is not True or False"
    if name in ("max_age", "max_silence"):
        return "" if isinstance(value, timedelta) and value > timedelta(0) else "is not a timedelta above 0"
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MANY:
        return f"is not a number from 0 to {MANY - 1:,}, which is as far as mail is counted"
    return ""


def configured_limits() -> Limits:
    """Return the limits of HEALTH_LIMITS.

    Raises:
        InvalidLimit: There is no such limit, or it cannot have this value.
    """
    known = {limit.name.upper(): limit.name for limit in fields(Limits)}
    for key, value in conf.HEALTH_LIMITS.items():
        if key not in known:
            raise InvalidLimit(key, value, f"is a limit of nothing; there are {', '.join(known)}")
    return Limits(**{known[key]: value for key, value in conf.HEALTH_LIMITS.items()})


def look() -> Figures:
    """Read the figures of this moment, for the backends that are configured."""
    return figures.look(aliases(), default_alias(), timezone.now())


def complaints(found: Figures, limits: Limits) -> list[str]:
    """Return a sentence for each limit that is passed, none where mail flows."""
    return list(_complaints(found, limits))


def _complaints(found: Figures, limits: Limits) -> Iterator[str]:
    if conf.ENVIRONMENT and found.environment not in (None, conf.ENVIRONMENT):
        yield (
            f"The queue belongs to the environment {found.environment!r}, and this one is "
            f"{conf.ENVIRONMENT!r}: nothing is sent from here."
        )
    oldest = found.oldest_due
    if limits.max_age is not None and oldest is not None and oldest > limits.max_age:
        yield f"Mail has been due for {span(oldest)}, which is more than {span(limits.max_age)}."
    if limits.max_due is not None and found.total.due > limits.max_due:
        yield f"{count(found.total.due)} mails are due, which is more than {limits.max_due:,}."
    failed = found.last_hour.failed
    if limits.max_failed is not None and failed > limits.max_failed:
        yield f"{failed:,} mails failed in the last hour, which is more than {limits.max_failed:,}."
    if limits.max_orphaned is not None:
        yield from _complaints_of_orphans(found, limits.max_orphaned)
    if limits.max_silence is not None and found.silence is None:
        yield "No dispatcher was ever seen."
    elif limits.max_silence is not None and found.silence is not None and found.silence > limits.max_silence:
        silence, most = span(found.silence), span(limits.max_silence)
        yield f"No dispatcher was seen for {silence}, which is more than {most}."
    if limits.require_dispatcher and not found.alive:
        yield "No dispatcher is alive."


def _complaints_of_orphans(found: Figures, most: int) -> Iterator[str]:
    for alias, orphans in found.orphaned.items():
        if orphans > most:
            yield (
                f"{count(orphans)} mails are for the backend {alias!r}, which is not configured: "
                "nobody will send them."
            )
    if found.without_status > most:
        yield f"{count(found.without_status)} mails have an empty status: nobody will send them."
    if found.unknown_priority > most:
        yield f"{count(found.unknown_priority)} mails have an unknown priority: nobody will send them."


# --- in words and for programs ----------------------------------------------------------------


def count(number: int) -> str:
    """Return a number for people; one that was not counted to its end says so."""
    return f"{number:,}" if number < MANY else f"{MANY - 1:,}+"


def span(length: timedelta) -> str:
    """Return a span of time for people, in its two largest units: "2h 5m"."""
    seconds = max(int(length.total_seconds()), 0)
    parts = [
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "m"),
        (seconds % 60, "s"),
    ]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number}{unit}" for number, unit in parts[:2] if number or len(parts) == 1)


def as_json(found: Figures, complained: list[str]) -> dict[str, Any]:
    """Return all of it as plain values, under keys that stay."""
    return {
        "healthy": not complained,
        "complaints": complained,
        "at": found.at.isoformat(),
        "environment": found.environment,
        **_depth(found.total, found),
        "sending": found.sending,
        "priorities": {
            name: _depth(found.of_priority(number), found) for number, name in PRIORITY_NAMES.items()
        },
        "backends": {alias: _backend(alias, found) for alias in found.aliases},
        "orphaned": dict(found.orphaned),
        "without_status": found.without_status,
        "unknown_priority": found.unknown_priority,
        "last_minute": asdict(found.last_minute),
        "last_hour": asdict(found.last_hour),
        "dispatchers": [_program(program) for program in found.programs],
    }


def _depth(depth: Depth, found: Figures) -> dict[str, Any]:
    oldest = depth.oldest_due_at
    return {
        "due": depth.due,
        "scheduled": depth.scheduled,
        "retrying": depth.retrying,
        "oldest_due_at": _moment(oldest),
        "oldest_due_seconds": None if oldest is None else (found.at - oldest).total_seconds(),
    }


def _backend(alias: str, found: Figures) -> dict[str, Any]:
    """Return how a backend is. Why it is out of order is left out: servers name accounts in their answers."""
    state = "open"
    if found.brakes.is_paused(alias):
        state = "paused"
    elif found.brakes.is_out_of_order(alias):
        state = "out of order"
    return {**_depth(found.of_backend(alias), found), "state": state}


def _program(program: Program) -> Mapping[str, Any]:
    row = program.row
    return {
        "command": row.command,
        "host": row.host,
        "pid": row.pid,
        "state": program.state,
        "judged_by": "process" if program.is_gone else "clock",
        "started_at": _moment(row.started_at),
        "seen_at": _moment(program.seen_at),
        "ended_at": _moment(row.ended_at),
        "sending": program.sending,
        "sent": row.sent,
        "failed": row.failed,
        "requeued": row.requeued,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
