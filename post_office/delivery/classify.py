"""What an exception means for the mail: may another try help, and whose fault was it?

====================================================  ==========  =======================================
what went wrong                                       kind        why
====================================================  ==========  =======================================
opening: time-out, refused, DNS, TLS, login, import   BACKEND     no mail of it would fare better
SMTP 4xx                                              TRANSIENT   the server says so
SMTP 5xx                                              PERMANENT   the server says so
SMTP, the exceptions to both                          see `SMTP`
too much at once, in whatever words                   THROTTLED   it goes when we are slower
connection broken before the last byte                TRANSIENT   the server cannot have taken it
connection broken after it, or no answer in time      UNKNOWN     the server may have taken it
the same through a backend that says no more          UNKNOWN     it may have been after the last byte
the mail has no form that the backend takes           PERMANENT   it will have none next time
the backend says that it sent nothing                 TRANSIENT   it says not why
provider's APIs                                       see `providers`
anything else that a backend raises                   UNKNOWN     it says nothing of how far it came
a template does not render, a file is gone            PERMANENT   it will be the same next time
a storage or the database does not answer             TRANSIENT   it may next time
====================================================  ==========  =======================================
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError

from ..exceptions import AttachmentNotRead, PostOfficeError, SelfReferringBackend
from .faults import Fault as Fault
from .faults import Kind as Kind
from .faults import NotAccepted, fault_of
from .providers import of_provider
from .smtp import SERVICE_CLOSES, Interrupted, Unanswered

# Answers of SMTP servers: a pattern for "command code enhanced-code", and what it means. The first that
# fits counts. The enhanced code (RFC 3463) is "-" where there is none; its subject and detail count, and
# of its class that of the code, since servers get only one of them right.
SMTP: list[tuple[str, Kind]] = [
    # The server wants a login, another one or TLS, of everybody (RFC 4954, RFC 3207).
    (r"\w+ (530|534|535|538|432) .*", Kind.BACKEND),
    # The same in enhanced codes: credentials invalid, mechanism too weak, encryption needed (RFC 5248).
    # Later than that, some say 5.7.9 of one mail's content, which must not stop the others.
    (r"mail 5\d\d \d\.7\.(8|9|11)", Kind.BACKEND),
    # This host takes no mail at all (RFC 7504).
    (r"mail 521 .*", Kind.BACKEND),
    # "Mail system congestion", which Google says of a day's quota: all mail of today would be refused.
    (r"\w+ \d\d\d \d\.4\.5", Kind.THROTTLED),
    # "Unusual rate of mail" (Google); the rest of 4.7.x is policy for now, mostly greylisting.
    (r"\w+ 4\d\d \d\.7\.28", Kind.THROTTLED),
    # The mailbox is full: "a persistent transient failure" (RFC 3463, section 3.3), whatever the code.
    (r"\w+ 5\d\d \d\.2\.2", Kind.TRANSIENT),
    # More recipients than this server takes in one transaction: the others go in another one
    # (RFC 5321, section 4.5.3.1.10, where it is 552 for old servers).
    (r"rcpt \d\d\d \d\.5\.3", Kind.TRANSIENT),
    (r"rcpt 552 -", Kind.TRANSIENT),
    # The server has lost the thread of this connection; on another one it has not.
    (r"\w+ 503 .*", Kind.TRANSIENT),
    # Everything else as its class says: too big (5.3.4), no such user (5.1.1), policy (5.7.x), a full
    # disk (4.3.1), greylisting (4.7.x), an unavailable service (421).
    (r"\w+ 4\d\d .*", Kind.TRANSIENT),
    (r"\w+ 5\d\d .*", Kind.PERMANENT),
]
# After these, a connection is not used again.
LOST_CONNECTION = {SERVICE_CLOSES, 503}
# Words for "too much at once", whatever the code; some servers say it with 5xx and mean "for now".
TOO_FAST = re.compile(
    r"rate.?limit|throttl|sending (rate|limit|quota)|unusual rate|slow(ing)? down|too (fast|quick)"
    r"|too many (\w+ ){0,2}(messages|mails|e-?mails|connections|sessions|requests)"
    r"|(messages?|e-?mails?) (per|each) (second|minute|hour|day)",
    re.IGNORECASE,
)

# "Try again in 5 minutes", "greylisted for 300 seconds", "come back in 00:04:59"
WAIT = re.compile(
    r"\b(?:in|for|after|wait)\s+(?:(?P<hours>\d{1,2}):(?P<minutes>\d\d):(?P<seconds>\d\d)"
    r"|(?P<count>\d{1,6})\s*(?P<unit>s|m|h|sec|min|second|minute|hour)s?)\b",
    re.IGNORECASE,
)
SECONDS = {"s": 1, "m": 60, "h": 3600}
# No server is obeyed that wants more: it may mean something else.
LONGEST_WAIT = timedelta(days=1)


def classify_opening(exception: Exception) -> Fault:
    """Tell what it means that a connection to the backend could not be opened or configured."""
    code, answer = _smtp_answer(exception)
    return fault_of(exception, Kind.BACKEND, code, answer)


def classify_content(exception: Exception) -> Fault:
    """Tell what a fault in rendering or in reading attachments means."""
    if isinstance(exception, AttachmentNotRead):
        return fault_of(exception, Kind.TRANSIENT)
    if isinstance(exception, PostOfficeError):
        return fault_of(exception, Kind.PERMANENT)
    if fault := of_provider(exception):  # a storage of a provider's
        return fault if fault.kind is Kind.PERMANENT else replace(fault, kind=Kind.TRANSIENT)
    passing = isinstance(exception, (OperationalError, InterfaceError, OSError))
    return fault_of(exception, Kind.TRANSIENT if passing else Kind.PERMANENT)


def unexpected(exception: BaseException) -> Fault:
    """Tell of what no program should raise while it sends: nobody knows how far it came."""
    return fault_of(exception, Kind.UNKNOWN)


def classify_sending(exception: Exception) -> Fault:
    """Tell what an exception that came while a mail was sent means."""
    if isinstance(exception, smtplib.SMTPException):
        return _classify_smtp(exception)
    if fault := of_provider(exception):
        return fault
    if isinstance(exception, SelfReferringBackend) or any(map(_was_no_connection, _chain(exception))):
        return fault_of(exception, Kind.BACKEND)
    if isinstance(exception, NotAccepted):
        return fault_of(exception, Kind.TRANSIENT)
    # The mail cannot be written in a form that the backend takes.
    if isinstance(exception, (ValueError, TypeError, LookupError, AttributeError, PostOfficeError)):
        return fault_of(exception, Kind.PERMANENT)
    return fault_of(exception, Kind.UNKNOWN)


def _was_no_connection(exception: BaseException) -> bool:
    return isinstance(exception, (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError))


def _chain(exception: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what it was raised for; libraries wrap those of the system."""
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        yield exception
        exception = exception.__cause__ or exception.__context__


# --- SMTP -------------------------------------------------------------------------------------


def _classify_smtp(exception: smtplib.SMTPException) -> Fault:
    if isinstance(exception, Interrupted):
        return fault_of(exception, Kind.TRANSIENT, was_interrupted=True)
    if isinstance(
        exception, (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError)
    ):
        return classify_opening(exception)
    if isinstance(exception, smtplib.SMTPNotSupportedError):
        return fault_of(exception, Kind.PERMANENT)
    if isinstance(exception, smtplib.SMTPRecipientsRefused) and exception.recipients:
        return _classify_refusals(exception)
    code, _ = _smtp_answer(exception)
    if code is None or isinstance(exception, Unanswered):
        return fault_of(exception, Kind.UNKNOWN)
    return _refusal(exception, "mail" if isinstance(exception, smtplib.SMTPSenderRefused) else "data")


def _classify_refusals(exception: smtplib.SMTPRecipientsRefused) -> Fault:
    """Of several refused recipients the mildest answer counts: while one may be taken later, the mail
    is not lost."""
    refused = {
        mailbox: classify_refusal(mailbox, refusal) for mailbox, refusal in exception.recipients.items()
    }
    order = [Kind.BACKEND, Kind.THROTTLED, Kind.TRANSIENT, Kind.UNKNOWN, Kind.PERMANENT]
    mildest = min(refused.values(), key=lambda fault: order.index(fault.kind))
    return replace(
        fault_of(exception, mildest.kind, mildest.code, mildest.answer),
        after=longest_wait(refused.values()),
        connection_is_usable=all(fault.connection_is_usable for fault in refused.values()),
        was_interrupted=any(fault.was_interrupted for fault in refused.values()),
        refused=refused,
    )


def longest_wait(faults: Iterable[Fault]) -> timedelta | None:
    """Return the longest time that one of them says to wait, None where none does."""
    return max((fault.after for fault in faults if fault.after), default=None)


def classify_refusal(mailbox: str, refusal: tuple[int, bytes]) -> Fault:
    """Tell what it means that the server refused one recipient."""
    return _refusal(smtplib.SMTPRecipientsRefused({mailbox: refusal}), "rcpt")


def _refusal(exception: smtplib.SMTPException, command: str) -> Fault:
    code, answer = _smtp_answer(exception)
    kind = smtp_kind(command, code, answer or "")
    return fault_of(
        exception,
        kind,
        code,
        answer,
        after=_told_to_wait(answer or "") if kind in (Kind.TRANSIENT, Kind.THROTTLED) else None,
        connection_is_usable=code is not None and code not in LOST_CONNECTION and kind is not Kind.BACKEND,
        was_interrupted=code == SERVICE_CLOSES,
    )


def smtp_kind(command: str, code: int | None, answer: str) -> Kind:
    """Tell what a server's answer to MAIL, RCPT or DATA means."""
    if TOO_FAST.search(answer):
        return Kind.THROTTLED
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", answer)
    told = f"{command} {code} {enhanced[0] if enhanced else '-'}"
    return next((kind for pattern, kind in SMTP if re.fullmatch(pattern, told)), Kind.TRANSIENT)


def _told_to_wait(answer: str) -> timedelta | None:
    """Return how long the server says to wait, where it does."""
    told = WAIT.search(answer)
    if told is None:
        return None
    if told["count"]:
        wait = timedelta(seconds=int(told["count"]) * SECONDS[told["unit"][0].lower()])
    else:
        hours, minutes, seconds = (int(told[unit]) for unit in ("hours", "minutes", "seconds"))
        wait = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return min(wait, LONGEST_WAIT)


def _smtp_answer(exception: Exception) -> tuple[int | None, str | None]:
    """Return the code and text of the server."""
    if isinstance(exception, smtplib.SMTPRecipientsRefused) and exception.recipients:
        code, answer = next(iter(exception.recipients.values()))
        return (code if code > 0 else None), _text(answer)
    if isinstance(exception, smtplib.SMTPResponseException):
        # smtplib uses -1 where a server broke off within its answer.
        code = exception.smtp_code
        return (code if code and code > 0 else None), _text(exception.smtp_error)
    return None, None


def _text(answer: Any) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
