"""One attempt as a pipeline: gather, assemble, send, classify. What it comes to is for `deliver` to say."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.db import InterfaceError, OperationalError

from ..models import Attachment, Email
from ..rendering.message import BuiltMessage, Parts, assemble, gather
from . import recipients, smtp
from .classify import classify_content, classify_opening, classify_refusal, classify_sending
from .connections import connections, sends_by_envelope, wants_message_id
from .dialogue import Dialogue
from .faults import Fault, NotAccepted, reclassified
from .receipts import Receipt, provider_id

logger = logging.getLogger("post_office")

# The message that this thread is handing to a backend, so that the queue's own backend knows it again.
in_delivery: ContextVar[EmailMessage | None] = ContextVar("post_office_in_delivery", default=None)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A mail on its way to a sending thread, with all that it needs from the database.

    `turn` is the moment of the monotonic clock at which it may begin; None for any.
    """

    email: Email
    alias: str
    parts: Parts
    turn: float | None = None


def prepare(email: Email, alias: str, attachments: list[Attachment] | None = None) -> Job | Fault:
    """Gather what an attempt by this backend needs; on the thread that may use the database.

    `attachments` are those of the mail, where they are known already. A fault of the database is
    nobody's attempt, and raised.
    """
    try:
        return Job(email=email, alias=alias, parts=gather(email, attachments))
    except (OperationalError, InterfaceError):
        raise
    except Exception as exception:  # whatever a template raises is this mail's fault alone
        return _logged(email, classify_content(exception), exception)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A mail that was begun behind another, over the same connection."""

    job: Job
    backend: SMTPBackend
    letter: smtp.Letter
    dialogue: Dialogue

    @property
    def still_goes(self) -> bool:
        """Whether the server may still hear the rest."""
        server = self.dialogue.server
        return server is self.backend.connection and server.sock is not None


def attempt(
    job: Job, connection: BaseEmailBackend | None = None, behind: smtp.Behind = smtp.nothing
) -> Receipt | Fault:
    """Send one prepared mail. Uses no database.

    Args:
        connection: An open backend to use instead of this thread's own.
        behind: Begins the next mail, see `smtp.transmit`.
    """
    was_open = connection is None and connections.is_open(job.alias)
    result = _attempt_once(job, connection, behind)
    if was_open and isinstance(result, Fault) and result.was_interrupted:
        # Servers close connections that were idle, or used often enough. That is no fault of this mail,
        # and the next connection is a new one.
        return _attempt_once(job, connection, behind)
    return result


def begin(job: Job, backend: SMTPBackend, server: smtplib.SMTP) -> Begun | None:
    """Begin a mail behind the one that the server is about to get. Returns None for one that is to be
    begun in its own time: while its files are read, the server would be waiting for the other.
    """
    if job.parts.attachments:
        return None
    try:
        message = _composed(job, backend)
        if not message.recipients():
            return None
        letter = smtp.letter(message, backend)
        return Begun(job=job, backend=backend, letter=letter, dialogue=smtp.opening(letter, server))
    except Exception:  # comes again in its own time, and is told then
        return None


def finish(begun: Begun, behind: smtp.Behind) -> Receipt | Fault:
    """Send a mail that was begun. Uses no database."""
    if not begun.still_goes:
        return attempt(begun.job, behind=behind)
    give = partial(transmit, begun.letter, begun.backend, behind, begun=begun.dialogue)
    result = _sent(begun.job, give, own_connection=True)
    if isinstance(result, Fault) and result.was_interrupted:
        return _attempt_once(begun.job, None, behind)
    return result


def _attempt_once(job: Job, connection: BaseEmailBackend | None, behind: smtp.Behind) -> Receipt | Fault:
    try:
        backend = connection or connections[job.alias]
    except Exception as exception:
        return _logged(job.email, classify_opening(exception), exception)
    try:
        message = _composed(job, backend)
        if not message.recipients():
            return Receipt()
        if smtp.hears_each_answer(backend):
            give = partial(transmit, smtp.letter(message, backend), backend, behind)
        else:
            give = partial(send_messages, message, backend)
    except Exception as exception:
        return _logged(job.email, classify_content(exception), exception)
    return _sent(job, give, own_connection=connection is None)


def _sent(job: Job, give: Callable[[], Receipt], *, own_connection: bool) -> Receipt | Fault:
    """Give a mail to its backend, and say what came of it."""
    try:
        return _heard_again(give(), job.email)
    except Exception as exception:
        fault = _logged(job.email, classify_sending(exception), exception)
        if own_connection and not fault.connection_is_usable:
            connections.discard(job.alias)
        return fault


def _heard_again(receipt: Receipt, email: Email) -> Receipt:
    """Let the project say what the refusals of single recipients mean."""
    if not receipt.refused:
        return receipt
    refused = {
        mailbox: reclassified(
            smtplib.SMTPRecipientsRefused({mailbox: (fault.code or 0, (fault.answer or "").encode())}),
            fault,
            email,
        )
        for mailbox, fault in receipt.refused.items()
    }
    return replace(receipt, refused=refused)


def _composed(job: Job, backend: BaseEmailBackend) -> BuiltMessage:
    """Build the message, without the recipients that are not to be asked again."""
    message = assemble(job.parts, with_message_id=wants_message_id(backend))
    if job.email.answers and (done := recipients.done_with(job.email.answers)):
        if sends_by_envelope(backend):
            message.leave_out(done)
        else:
            message.take_out(done)
    return message


def send_messages(message: EmailMessage, backend: BaseEmailBackend) -> Receipt:
    token = in_delivery.set(message)
    try:
        accepted = backend.send_messages([message])
    finally:
        in_delivery.reset(token)
    # Django's contract is the number sent; many backends return nothing, which says nothing.
    if accepted == 0:
        raise NotAccepted("The backend reports that it sent no message.")
    return Receipt(provider_id=provider_id(message))


def transmit(
    letter: smtp.Letter,
    backend: SMTPBackend,
    behind: smtp.Behind = smtp.nothing,
    begun: Dialogue | None = None,
) -> Receipt:
    refusals = smtp.transmit(letter, backend, behind, begun=begun)
    return Receipt(
        accepted=tuple(mailbox for mailbox, _ in letter.recipients if mailbox not in refusals),
        refused={mailbox: classify_refusal(mailbox, refusal) for mailbox, refusal in refusals.items()},
    )


def _logged(email: Email, fault: Fault, exception: Exception) -> Fault:
    fault = reclassified(exception, fault, email)
    logger.debug("Email %s: %s fault", email.pk, fault.kind.value, exc_info=exception)
    return fault
