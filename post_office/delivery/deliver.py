"""One attempt as a pipeline: gather, assemble, send, classify, outcome."""

from __future__ import annotations

import logging
import random
import smtplib
import time
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.db import InterfaceError, OperationalError, router, transaction
from django.utils import timezone

from ..conf import conf
from ..enums import FINISHED, HOLD, STATUS
from ..models import Attachment, Email, Worker
from ..queue import brakes, claims, environment, liveness, outcomes, tallies
from ..queue.outcomes import Failed, Outcome, Released, Report, Retry, Sent
from ..rendering.keeping import keep_as_sent
from ..rendering.message import BuiltMessage, Parts, assemble, gather
from . import recipients, smtp
from .classify import classify_content, classify_opening, classify_refusal, classify_sending, longest_wait
from .connections import alias_of, connections, sends_by_envelope, wants_message_id
from .faults import Fault, Kind, NotAccepted, reclassified
from .pacing import is_within_limits
from .policies import last_moment, retry_policy
from .receipts import Receipt, provider_id
from .routes import Way, find_way, slow

logger = logging.getLogger("post_office")

# The message that this thread is handing to a backend, so that the queue's own backend knows it again.
in_delivery: ContextVar[EmailMessage | None] = ContextVar("post_office_in_delivery", default=None)

SETTLE_AGAIN = 0.5  # seconds between tries to write an outcome


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


def attempt(job: Job, connection: BaseEmailBackend | None = None) -> Receipt | Fault:
    """Send one prepared mail. Uses no database.

    Args:
        connection: An open backend to use instead of this thread's own.
    """
    was_open = connection is None and connections.is_open(job.alias)
    result = _attempt_once(job, connection)
    if was_open and isinstance(result, Fault) and result.was_interrupted:
        # Servers close connections that were idle, or used often enough. That is no fault of this mail,
        # and the next connection is a new one.
        return _attempt_once(job, connection)
    return result


def _attempt_once(job: Job, connection: BaseEmailBackend | None) -> Receipt | Fault:
    try:
        backend = connection or connections[job.alias]
    except Exception as exception:
        return _logged(job.email, classify_opening(exception), exception)
    try:
        message = _addressed(assemble(job.parts, with_message_id=wants_message_id(backend)), job, backend)
        if not message.recipients():
            return Receipt()
        letter = smtp.letter(message, backend) if smtp.hears_each_answer(backend) else None
    except Exception as exception:
        return _logged(job.email, classify_content(exception), exception)
    try:
        return _heard_again(send(message, backend, letter), job.email)
    except Exception as exception:
        fault = _logged(job.email, classify_sending(exception), exception)
        if connection is None and not fault.connection_is_usable:
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


def _addressed(message: BuiltMessage, job: Job, backend: BaseEmailBackend) -> BuiltMessage:
    """Return a message without the recipients that are not to be asked again."""
    if job.email.answers and (done := recipients.done_with(job.email.answers)):
        if sends_by_envelope(backend):
            message.leave_out(done)
        else:
            message.take_out(done)
    return message


def send(message: EmailMessage, backend: BaseEmailBackend, letter: smtp.Letter | None = None) -> Receipt:
    """Hand one message to a backend. Raises what the backend raises, and `NotAccepted`.

    Args:
        letter: The same message, for a backend that hears each answer.
    """
    if letter is not None:
        return _transmit(letter, cast(SMTPBackend, backend))
    token = in_delivery.set(message)
    try:
        accepted = backend.send_messages([message])
    finally:
        in_delivery.reset(token)
    # Django's contract is the number sent; many backends return nothing, which says nothing.
    if accepted == 0:
        raise NotAccepted("The backend reports that it sent no message.")
    return Receipt(provider_id=provider_id(message))


def _transmit(letter: smtp.Letter, backend: SMTPBackend) -> Receipt:
    refusals = smtp.transmit(letter, backend)
    return Receipt(
        accepted=tuple(mailbox for mailbox, _ in letter.recipients if mailbox not in refusals),
        refused={mailbox: classify_refusal(mailbox, refusal) for mailbox, refusal in refusals.items()},
    )


def outcome(
    email: Email, result: Receipt | Fault, now: datetime, rng: random.Random, *, alias: str
) -> Outcome:
    """Decide what an attempt by the backend of this alias came to."""
    if isinstance(result, Fault) and result.kind is Kind.BACKEND:
        return Released(backend=alias, report=_report(result))
    if isinstance(result, Receipt) and not result.refused:
        return Sent(backend=alias, provider_id=result.provider_id, answers=recipients.taken(email.answers))
    accepted = result.accepted if isinstance(result, Receipt) else ()
    answers = recipients.heard(email.answers, accepted, result.refused)
    report = recipients.report_of(result.refused) if result.refused else _report(cast(Fault, result))
    if isinstance(result, Fault) and result.kind is Kind.UNKNOWN and email.on_unknown == HOLD:
        return Failed(backend=alias, report=outcomes.unknown(report), answers=answers)
    at = _next_try(email, result, now, rng)
    if at is not None:
        return Retry(at=at, backend=alias, report=report, answers=answers)
    answers = recipients.given_up(answers)
    if recipients.some_have_it(answers):
        return Sent(backend=alias, report=report, answers=answers)
    return Failed(backend=alias, report=report, answers=answers)


def _next_try(email: Email, result: Receipt | Fault, now: datetime, rng: random.Random) -> datetime | None:
    """Return when to try again for the recipients that may still take the mail."""
    faults = [*result.refused.values()] or [cast(Fault, result)]
    passing = [fault for fault in faults if fault.kind is not Kind.PERMANENT]
    if not passing:
        return None
    return retry_policy(email, alias_of(email)).next_try(
        email.number_of_retries or 0,
        now=now,
        expires_at=last_moment(email),
        rng=rng,
        after=longest_wait(passing),
    )


def _report(fault: Fault) -> Report:
    return Report(
        message=fault.message, exception_type=fault.exception_type, code=fault.code, answer=fault.answer
    )


def dispatch(
    email: Email,
    *,
    log_level: int | None = None,
    disconnect_after_delivery: bool = True,
    commit: bool = True,
    connection: BaseEmailBackend | None = None,
    worker: Worker | None = None,
) -> int | None:
    """Deliver one mail in the calling thread; see `Email.dispatch`.

    Args:
        worker: The worker that holds the mail already.
    """
    environment.require_own()
    try:
        if not commit:
            return _send_without_record(email, connection)
        with nullcontext(worker) if worker else liveness.short_lived_worker(timezone.now()) as holder:
            if worker is None and not _claim(email, holder):
                email.refresh_from_db(fields=["status"])
                return email.status
            decided = _deliver(email, connection)
            _settle(email, decided, holder, conf.LOG_LEVEL if log_level is None else log_level)
        return email.status
    finally:
        if disconnect_after_delivery:
            connections.close()


def _deliver(email: Email, connection: BaseEmailBackend | None) -> Outcome:
    """Make one attempt, unless the brakes are on. A connection that is given is used in any case."""
    # Inside a transaction of the caller's we only look: what we wrote of the backend would be locked,
    # and for others not so, until that transaction ends.
    may_write = not transaction.get_connection(router.db_for_write(Email)).in_atomic_block
    way = Way(alias=alias_of(email)) if connection else find_way(alias_of(email), may_probe=may_write)
    if way is None:
        return Released(backend=alias_of(email))
    rng = random.Random()
    decided: Outcome = Released(backend=way.alias)
    found = decided
    if connection or not may_write or is_within_limits(email, way):
        job = prepare(email, way.alias)
        result = attempt(job, connection) if isinstance(job, Job) else job
        decided = outcome(email, result, timezone.now(), rng, alias=way.alias)
        if may_write and isinstance(result, Fault) and result.kind is Kind.THROTTLED:
            slow(way.alias, result.after)
        found = decided if isinstance(job, Job) else found
    if may_write and connection is None:
        brakes.learn(found, is_probe=way.is_probe, now=timezone.now(), rng=rng)
    return decided


def _settle(email: Email, result: outcomes.Outcome, holder: Worker, log_level: int) -> None:
    """Write the outcome, and try again for a lease: a server may have the mail by now.

    When the database stays away, the fault is raised and the claim left to run out.
    """
    connection = transaction.get_connection(router.db_for_write(Email))
    give_up_at = time.monotonic() + conf.LEASE_DURATION.total_seconds()
    while True:
        try:
            now = timezone.now()
            settled = outcomes.settle([(email, result)], holder, log_level, now)
            tallies.count(sent=settled.sent, failed=settled.failed, worker=holder.pk, now=now)
            if isinstance(result, Sent):
                keep_as_sent([email], now)
            return
        except (OperationalError, InterfaceError) as fault:
            if connection.in_atomic_block or time.monotonic() > give_up_at:
                raise
            logger.warning("The outcome of email %s cannot be written, trying again: %s", email.pk, fault)
            connection.close()
            time.sleep(SETTLE_AGAIN)


def _claim(email: Email, holder: Worker) -> bool:
    """Claim a mail that is to go now, whatever became of it before."""
    now = timezone.now()
    if email.status in (*FINISHED, None):
        outcomes.reopen([email.pk], now)
        email.refresh_from_db(fields=["status", "number_of_retries", "scheduled_time", "expires_at"])
    return claims.claim_one(email, holder, now)


def _send_without_record(email: Email, connection: BaseEmailBackend | None) -> int:
    backend = connection or connections[alias_of(email)]
    message = assemble(gather(email), with_message_id=wants_message_id(backend))
    if message.recipients():
        send(message, backend, smtp.letter(message, backend) if smtp.hears_each_answer(backend) else None)
    return STATUS.sent


def _logged(email: Email, fault: Fault, exception: Exception) -> Fault:
    fault = reclassified(exception, fault, email)
    logger.debug("Email %s: %s fault", email.pk, fault.kind.value, exc_info=exception)
    return fault
