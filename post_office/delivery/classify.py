"""What an exception means for the mail: may another try help, and whose fault was it?"""

from __future__ import annotations

import email.utils
import re
import smtplib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from django.db import InterfaceError, OperationalError

from ..exceptions import AttachmentNotRead, PostOfficeError, SelfReferringBackend
from ..headers import storable


class Kind(Enum):
    TRANSIENT = "transient"  # may pass: try again later
    PERMANENT = "permanent"  # will be the same next time
    THROTTLED = "throttled"  # too much at once: try again later, as told
    BACKEND = "backend"  # no mail of this backend would fare better


@dataclass(frozen=True, kw_only=True)
class Fault:
    kind: Kind
    message: str
    exception_type: str
    code: int | None = None
    answer: str | None = None
    after: timedelta | None = None
    # The connection may be used for the next mail.
    connection_is_usable: bool = False


def classify_opening(exception: Exception) -> Fault:
    """Tell what it means that a connection to the backend could not be opened or configured."""
    code, answer = _smtp_answer(exception)
    return _fault(Kind.BACKEND, exception, code, answer)


def classify_content(exception: Exception) -> Fault:
    """Tell what a fault in rendering or in reading attachments means."""
    passing = isinstance(exception, (OperationalError, InterfaceError, OSError))
    if isinstance(exception, AttachmentNotRead) or (passing and not isinstance(exception, PostOfficeError)):
        return _fault(Kind.TRANSIENT, exception)
    return _fault(Kind.PERMANENT, exception)


def unexpected(exception: BaseException) -> Fault:
    """Tell of what no program should raise while it sends: it may pass."""
    return _fault(Kind.TRANSIENT, exception)


def classify_sending(exception: Exception) -> Fault:
    """Tell what an exception of `send_messages()` means."""
    if isinstance(exception, smtplib.SMTPException):
        return _classify_smtp(exception)
    status = getattr(exception, "status_code", None)
    if isinstance(status, int):
        return _classify_http(exception, status)
    if isinstance(exception, SelfReferringBackend):
        return _fault(Kind.BACKEND, exception)
    # The mail cannot be written in a form that the backend takes.
    if isinstance(exception, (ValueError, TypeError, LookupError, AttributeError, PostOfficeError)):
        return _fault(Kind.PERMANENT, exception)
    return _fault(Kind.TRANSIENT, exception)


# --- SMTP -------------------------------------------------------------------------------------


def _classify_smtp(exception: smtplib.SMTPException) -> Fault:
    code, answer = _smtp_answer(exception)
    if isinstance(
        exception, (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError)
    ):
        return _fault(Kind.BACKEND, exception, code, answer)
    if isinstance(exception, smtplib.SMTPNotSupportedError):
        return _fault(Kind.PERMANENT, exception)
    if code is None:
        return _fault(Kind.TRANSIENT, exception)
    if code == 530:  # RFC 4954: authentication required
        return _fault(Kind.BACKEND, exception, code, answer)
    if code == 421:  # RFC 5321: service not available, closing transmission channel
        return _fault(Kind.TRANSIENT, exception, code, answer)
    kind = Kind.PERMANENT if code >= 500 else Kind.TRANSIENT
    return _fault(kind, exception, code, answer, connection_is_usable=True)


def _smtp_answer(exception: Exception) -> tuple[int | None, str | None]:
    """Return the code and text of the server. Of several refused recipients, the mildest counts:
    as long as one of them may be taken later, the mail is not lost."""
    if isinstance(exception, smtplib.SMTPRecipientsRefused) and exception.recipients:
        code, answer = min(exception.recipients.values(), key=lambda refusal: refusal[0])
        return code, _text(answer)
    if isinstance(exception, smtplib.SMTPResponseException):
        # smtplib uses -1 where a server broke off within its answer.
        code = exception.smtp_code
        return (code if code and code > 0 else None), _text(exception.smtp_error)
    return None, None


def _text(answer: Any) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)


# --- HTTP APIs --------------------------------------------------------------------------------


def _classify_http(exception: Exception, status: int) -> Fault:
    if status == 429:
        return _fault(Kind.THROTTLED, exception, status, after=_retry_after(exception))
    if status in (401, 403):
        return _fault(Kind.BACKEND, exception, status)
    if status == 408 or status >= 500:
        return _fault(Kind.TRANSIENT, exception, status, after=_retry_after(exception))
    return _fault(Kind.PERMANENT, exception, status)


def _retry_after(exception: Exception) -> timedelta | None:
    """Read Retry-After: seconds or a date (RFC 9110, section 10.2.3)."""
    headers = getattr(getattr(exception, "response", None), "headers", None)
    value = str(headers.get("Retry-After") or "") if headers is not None else ""
    if re.fullmatch(r"\d{1,7}", value):
        return timedelta(seconds=int(value))
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(moment - datetime.now(timezone.utc), timedelta())


def _words(exception: BaseException) -> str:
    try:
        return storable(str(exception))
    except Exception:  # a broken __str__ must not hide what happened
        return f"{type(exception).__name__}, which cannot be printed"


def _fault(
    kind: Kind,
    exception: BaseException,
    code: int | None = None,
    answer: str | None = None,
    *,
    after: timedelta | None = None,
    connection_is_usable: bool = False,
) -> Fault:
    return Fault(
        kind=kind,
        message=_words(exception),
        exception_type=type(exception).__name__,
        # What a server may invent; a small number in the log.
        code=code if code is not None and 0 <= code < 2**15 else None,
        answer=None if answer is None else storable(answer),
        after=after,
        connection_is_usable=connection_is_usable,
    )
