"""A fault: what went wrong in an attempt, and what that means for the mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from ..headers import storable


class NotAccepted(Exception):
    """The backend says that it sent nothing, without saying why."""


class Kind(Enum):
    TRANSIENT = "transient"  # not sent, and may pass: try again later
    PERMANENT = "permanent"  # not sent, and will be the same next time
    THROTTLED = "throttled"  # not sent, too much at once: try again later, as told
    BACKEND = "backend"  # not sent, and no mail of this backend would fare better
    UNKNOWN = "unknown"  # handed over, and no answer: it may have been sent


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What went wrong, in words that stay.

    Attributes:
        code, answer: The server's, where it gave one.
        after: The least time to wait before another try, where the server named one.
        connection_is_usable: The connection may be used for the next mail.
        was_interrupted: The connection ended before the server could have taken the mail.
        refused: What is the matter with each recipient, where the server said so for each.
    """

    kind: Kind
    message: str
    exception_type: str
    code: int | None = None
    answer: str | None = None
    after: timedelta | None = None
    connection_is_usable: bool = False
    was_interrupted: bool = False
    refused: Mapping[str, Fault] = field(default_factory=dict)


def fault_of(
    exception: BaseException,
    kind: Kind,
    code: int | None = None,
    answer: str | None = None,
    *,
    after: timedelta | None = None,
    connection_is_usable: bool = False,
    was_interrupted: bool = False,
) -> Fault:
    """Return a fault with what can be stored of an exception."""
    return Fault(
        kind=kind,
        message=_words(exception),
        exception_type=type(exception).__name__,
        # What a server may invent; a small number in the log.
        code=code if code is not None and 0 <= code < 2**15 else None,
        answer=None if answer is None else storable(answer),
        after=after,
        connection_is_usable=connection_is_usable,
        was_interrupted=was_interrupted,
    )


def _words(exception: BaseException) -> str:
    try:
        return storable(str(exception))
    except Exception:  # a broken __str__ must not hide what happened
        return f"{type(exception).__name__}, which cannot be printed"
