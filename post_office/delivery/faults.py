"""A fault: what went wrong in an attempt, and what that means for the mail."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from ..conf import conf
from ..headers import storable

if TYPE_CHECKING:
    from ..models import Email

logger = logging.getLogger("post_office")


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


def reclassified(exception: BaseException, fault: Fault, email: Email) -> Fault:
    """Return what the project's own function, in CLASSIFY, says of a fault.

    One that raises, or returns something else, is logged and has said nothing.
    """
    if conf.CLASSIFY is None:
        return fault
    try:
        said = import_string(conf.CLASSIFY)(exception, fault, email)
    except Exception:
        logger.exception("POST_OFFICE['CLASSIFY'] failed for email %s; its fault stays as it is.", email.pk)
        return fault
    if said is None or isinstance(said, Fault):
        return said or fault
    if isinstance(said, Kind):
        # Of the mail as a whole, so of each recipient.
        refused = {mailbox: replace(one, kind=said) for mailbox, one in fault.refused.items()}
        return replace(fault, kind=said, refused=refused)
    logger.error("POST_OFFICE['CLASSIFY'] returned %r, which is no Fault, Kind or None.", said)
    return fault


def _words(exception: BaseException) -> str:
    try:
        return storable(str(exception))
    except Exception:  # a broken __str__ must not hide what happened
        return f"{type(exception).__name__}, which cannot be printed"
