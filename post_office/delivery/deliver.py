"""Delivery of one mail in the calling thread, and what an attempt, there or elsewhere, comes to."""

from __future__ import annotations

import logging
import random
import time
from contextlib import nullcontext
from datetime import datetime
from typing import cast

from django.core.mail.backends.base import BaseEmailBackend
from django.db import InterfaceError, OperationalError, router, transaction
from django.utils import timezone

from ..conf import conf
from ..enums import FINISHED, HOLD, STATUS
from ..models import Email, Worker
from ..queue import brakes, claims, environment, liveness, outcomes, tallies
from ..queue.outcomes import Failed, Outcome, Released, Report, Retry, Sent
from ..rendering.keeping import keep_as_sent
from ..rendering.message import assemble, gather
from . import recipients, smtp
from .attempts import Job, attempt, prepare, send_messages, transmit
from .classify import longest_wait
from .connections import alias_of, connections, wants_message_id
from .faults import Fault, Kind
from .pacing import is_within_limits
from .policies import last_moment, retry_policy
from .receipts import Receipt
from .routes import Way, find_way, slow

logger = logging.getLogger("post_office")

SETTLE_AGAIN = 0.5  # seconds between tries to write an outcome


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
        if smtp.hears_each_answer(backend):
            transmit(smtp.letter(message, backend), backend)
        else:
            send_messages(message, backend)
    return STATUS.sent
