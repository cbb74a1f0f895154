"""Outcomes: what an attempt came to, written down. The only writer of `status`, and of `Log` about attempts.

Every UPDATE says "still held by me" (or "held by nobody") and returns how many rows it changed. A
settle of a mail that was taken over meanwhile changes nothing, and says so in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce
from django.dispatch import Signal

from .. import signals
from ..conf import conf
from ..enums import ANSWER, STATUS
from ..models import Email, Log, Worker
from ..querysets import EmailQuerySet
from . import statements, tallies

logger = logging.getLogger("post_office")

# What every end of a claim writes.
UNHELD: dict[str, Any] = {"worker": None, "claimed_at": None, "claims": 0}

# What a server said of each recipient, as in `Email.answers`.
Answers = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """How an attempt failed, in words that stay: for the log and for receivers of signals."""

    message: str
    exception_type: str
    code: int | None = None
    answer: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The backend took the mail; its provider knows it by this id, where it told.

    `report` where some recipients were refused for good; `answers` as in `Email.answers`.
    """

    backend: str
    provider_id: str | None = None
    report: Report | None = None
    answers: Answers | None = None


@dataclass(frozen=True, kw_only=True)
class Retry:
    """A fault that may pass: the mail is due again at this moment."""

    at: datetime
    backend: str
    report: Report
    answers: Answers | None = None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The mail will not be tried again, and nobody has it."""

    backend: str
    report: Report
    answers: Answers | None = None


@dataclass(frozen=True, kw_only=True)
class Released:
    """Nothing was sent and no attempt is counted; `report` where the backend was at fault.

    `at` is when the mail is due, where that is to be later than it was.
    """

    backend: str
    report: Report | None = None
    at: datetime | None = None


Outcome = Sent | Retry | Failed | Released


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How many outcomes were written, by kind; `lost` were no longer ours to write."""

    sent: int = 0
    failed: int = 0
    requeued: int = 0
    released: int = 0
    lost: int = 0

    def __add__(self, other: Settled) -> Settled:
        return Settled(**{name: getattr(self, name) + getattr(other, name) for name in self.__dict__})


def settle(
    results: Sequence[tuple[Email, Outcome]], worker: Worker, log_level: int, now: datetime
) -> Settled:
    """Write outcomes, together with their rows in the log, in one transaction.

    The instances are brought up to date, and signals are sent, after the rows say so. To count them in
    `tallies` is for the caller, who knows what else is to be counted.

    Args:
        results: Mails that `worker` holds, each with its outcome.
        log_level: 0 logs nothing, 1 what failed, 2 all.
    """
    is_usual = log_level >= 2 and all(_is_plain(*pair) for pair in results) and not _provider_ids(results)
    aliases = {outcome.backend for _, outcome in results}
    if is_usual and len(aliases) == 1 and statements.writes_at_once():
        written = _settle_at_once(results, aliases.pop(), worker, now)
    else:
        written = _settle_together(results, worker, log_level, now)
    _report_lost(results, written)
    for email, outcome in written:
        _bring_up_to_date(email, outcome, now)
    announce(written)
    return _count(results, written)


def unknown(report: Report) -> Report:
    """Say that nobody knows whether the mail was sent, and that it is not sent again for that."""
    return replace(
        report,
        message=f"It is unknown whether this mail was sent, so it is not sent again. {report.message}",
    )


def bury(rows: EmailQuerySet, report: Report, now: datetime) -> list[tuple[Email, Outcome]]:
    """End mail that a dead worker holds; returns what is to be announced after the commit.

    It is called in a transaction that has written already.
    """
    emails = list(rows)
    ended = _end(rows, [email.pk for email in emails], STATUS.failed, now)
    default = conf.DEFAULT_MAILER or "default"
    written: list[tuple[Email, Outcome]] = [
        (email, Failed(backend=email.backend_alias or default, report=report))
        for email in emails
        if email.pk in ended
    ]
    _write_log(written, conf.LOG_LEVEL)
    if emails and (holder := emails[0].worker_id):
        tallies.count(sent=0, failed=len(written), worker=holder, now=now)
    for email, outcome in written:
        _bring_up_to_date(email, outcome, now)
    return written


def expire(pks: Sequence[int], now: datetime) -> int:
    """End mail that nobody holds and that is too old to be sent. Returns how many rows changed."""
    changed = _end(Email.objects.primary().expired(now).unheld(), pks, STATUS.expired, now)
    _send(signals.email_expired, _rows(changed))
    return len(changed)


def cancel(pks: Sequence[int], now: datetime, *, actor: str | None = None) -> int:
    """End mail that nobody holds, before it is sent. Returns how many rows changed."""
    changed = _end(Email.objects.primary().unfinished().unheld(), pks, STATUS.canceled, now)
    _send(signals.email_canceled, _rows(changed))
    if changed:
        logger.info("Canceled %d emails%s.", len(changed), f" by {actor}" if actor else "")
    return len(changed)


def requeue(pks: Iterable[int], now: datetime) -> int:
    """Put finished mail into the queue again, due now. Returns how many rows changed.

    Says so with `email_queued`, as new mail does.
    """
    changed = reopen(pks, now)
    _send(signals.email_queued, _rows(changed))
    return len(changed)


def reopen(pks: Iterable[int], now: datetime) -> set[int]:
    """Make finished mail open again; its retries start anew. Returns the keys of the rows changed.

    An `expires_at` that is past no longer counts, nor does a recipient's refusal. Recipients that have
    the mail, while others do not, do not get it again.
    """
    emails = Email.objects.primary().filter(pk__in=list(pks))
    emails.finished().filter(expires_at__lte=now).update(expires_at=None)
    _forget_refusals(emails.finished())
    again = {"status": STATUS.queued, "last_updated": now}
    emails.finished().update(first_due_at=now, scheduled_time=None, number_of_retries=None, **again, **UNHELD)
    # Those changed have this moment, to the microsecond.
    return set(emails.filter(**again).values_list("pk", flat=True))


def _forget_refusals(emails: EmailQuerySet) -> None:
    for email in emails.exclude(answers=None).only("answers"):
        accepted = {
            mailbox: said
            for mailbox, said in (email.answers or {}).items()
            if said["state"] == ANSWER.accepted
        }
        emails.filter(pk=email.pk).update(answers=accepted or None)


# --- settling ---------------------------------------------------------------------------------


def _end(rows: EmailQuerySet, pks: Sequence[int], status: int, now: datetime, **more: Any) -> set[int]:
    """Give these of the rows their last status, in one UPDATE. Returns the keys of those changed.

    The UPDATE comes first: a transaction that reads first cannot always write on SQLite.
    """
    if not pks:
        return set()
    changed = rows.filter(pk__in=pks).update(status=status, last_updated=now, **UNHELD, **more)
    if changed == len(pks):
        return set(pks)
    return _ended(pks, status, now)


def _ended(pks: Sequence[int], status: int, now: datetime) -> set[int]:
    """Return which of these rows were changed, where some were not ours to change.

    Those that were have this moment, to the microsecond.
    """
    ended = Email.objects.primary().filter(pk__in=pks, status=status, last_updated=now)
    return set(ended.values_list("pk", flat=True))


def _rows(pks: set[int]) -> Iterable[Email]:
    return Email.objects.primary().filter(pk__in=pks) if pks else ()


def _is_plain(email: Email, outcome: Outcome) -> bool:
    """Return whether a mail was sent to all its recipients at once, as most are."""
    return isinstance(outcome, Sent) and not (outcome.report or outcome.answers or email.answers)


def _settle_at_once(
    results: Sequence[tuple[Email, Outcome]], alias: str, worker: Worker, now: datetime
) -> list[tuple[Email, Outcome]]:
    """Settle mail that was sent by one backend to all its recipients, and log it, by one statement."""
    pks = [email.pk for email, _ in results]
    if statements.mark_and_log_sent(pks, alias, worker, now) == len(pks):
        return list(results)
    changed = _ended(pks, STATUS.sent, now)
    return [pair for pair in results if pair[0].pk in changed]


def _settle_together(
    results: Sequence[tuple[Email, Outcome]], worker: Worker, log_level: int, now: datetime
) -> list[tuple[Email, Outcome]]:
    """Settle whatever it is by one transaction. Returns what was still ours to settle."""
    with transaction.atomic(using=router.db_for_write(Email)):
        written = [
            *_settle_sent([pair for pair in results if _is_plain(*pair)], worker, now),
            *(
                (email, outcome)
                for email, outcome in results
                if not _is_plain(email, outcome) and _settle_one(email, outcome, worker, now)
            ),
        ]
        _write_log(written, log_level)
    return written


def _settle_sent(
    results: Sequence[tuple[Email, Outcome]], worker: Worker, now: datetime
) -> list[tuple[Email, Outcome]]:
    """Settle mail that was sent to all its recipients. Returns what was still ours to settle."""
    pks = [email.pk for email, _ in results]
    if ids := _provider_ids(results):
        changed = _end(Email.objects.primary().held_by(worker.pk), pks, STATUS.sent, now, **ids)
    elif not pks or statements.mark_sent(pks, worker, now) == len(pks):
        return list(results)
    else:
        changed = _ended(pks, STATUS.sent, now)
    return [pair for pair in results if pair[0].pk in changed]


def _provider_ids(results: Sequence[tuple[Email, Outcome]]) -> dict[str, Case]:
    """Return what the UPDATE of sent mail writes of providers' ids: each mail its own.

    One that is sent again where no id is told keeps the last; reports may still come for that.
    """
    told = {email.pk: sent.provider_id for email, sent in results if isinstance(sent, Sent)}
    cases = [When(pk=pk, then=Value(provider_id)) for pk, provider_id in told.items() if provider_id]
    return {"provider_id": Case(*cases, default=F("provider_id"))} if cases else {}


def _settle_one(email: Email, outcome: Outcome, worker: Worker, now: datetime) -> bool:
    values: dict[str, Any] = {"last_updated": now, **UNHELD}
    match outcome:
        case Sent():
            values["status"] = STATUS.sent
            values |= {"answers": outcome.answers, **_provider_ids([(email, outcome)])}
        case Retry():
            values["status"] = STATUS.requeued
            # Before the time that it is made of: MariaDB and MySQL assign one after the other.
            values["first_due_at"] = Coalesce(F("first_due_at"), F("due_at"))
            values["scheduled_time"] = outcome.at
            values["number_of_retries"] = Coalesce(F("number_of_retries"), 0) + 1
        case Failed():
            values["status"] = STATUS.failed
        case Released(at=datetime() as at):
            values["scheduled_time"] = at
            values["first_due_at"] = Coalesce(F("first_due_at"), F("due_at"))
    if isinstance(outcome, (Retry, Failed)) and outcome.answers is not None:
        values["answers"] = outcome.answers
    return bool(Email.objects.primary().held_by(worker.pk).filter(pk=email.pk).update(**values))


def _write_log(written: Sequence[tuple[Email, Outcome]], log_level: int) -> None:
    plain = [pair for pair in written if _is_plain(*pair)]
    if log_level >= 2:
        for alias in {outcome.backend for _, outcome in plain}:
            statements.log_sent([email.pk for email, outcome in plain if outcome.backend == alias], alias)
    rows = [
        row
        for email, outcome in written
        if not _is_plain(email, outcome)
        for row in _log_rows(email, outcome)
        if log_level >= (2 if row.status == STATUS.sent else 1)
    ]
    if rows:
        Log.objects.using(router.db_for_write(Log)).bulk_create(rows)


def _log_rows(email: Email, outcome: Outcome) -> Iterator[Log]:
    """Yield what an outcome leaves in the log: what was sent, and what was not."""
    # A fault of the backend is no attempt of the mail.
    attempt = None if isinstance(outcome, Released) else (email.number_of_retries or 0) + 1
    common: dict[str, Any] = {"email": email, "backend": outcome.backend, "attempt": attempt}
    if isinstance(outcome, Sent):
        yield Log(status=STATUS.sent, message="", **common)
    if outcome.report is not None:
        yield Log(
            status=STATUS.failed,
            message=outcome.report.message,
            exception_type=outcome.report.exception_type[:255],
            code=outcome.report.code,
            answer=outcome.report.answer,
            **common,
        )


def _report_lost(results: Sequence[tuple[Email, Outcome]], written: Sequence[tuple[Email, Outcome]]) -> None:
    mine = {email.pk for email, _ in written}
    for email, outcome in results:
        if email.pk not in mine:
            logger.warning(
                "Email %s came to %s here, but another worker had taken it over; nothing is written.",
                email.pk,
                type(outcome).__name__,
            )


def _bring_up_to_date(email: Email, outcome: Outcome, now: datetime) -> None:
    email.worker_id, email.claimed_at, email.claims, email.last_updated = None, None, 0, now
    match outcome:
        case Sent():
            email.status = STATUS.sent
            email.provider_id = outcome.provider_id or email.provider_id
            email.answers = outcome.answers
        case Retry():
            email.status = STATUS.requeued
            email.scheduled_time = outcome.at
            email.number_of_retries = (email.number_of_retries or 0) + 1
        case Failed():
            email.status = STATUS.failed
        case Released(at=datetime() as at):
            email.scheduled_time = at
    if isinstance(outcome, (Retry, Failed)) and outcome.answers is not None:
        email.answers = outcome.answers


def announce(written: Sequence[tuple[Email, Outcome]]) -> None:
    """Send the signals of outcomes; after the rows say so."""
    for kind, signal in (
        (Sent, signals.email_sent),
        (Failed, signals.email_failed),
        (Retry, signals.email_requeued),
    ):
        pairs = [pair for pair in written if isinstance(pair[1], kind)]
        if pairs:
            _send(signal, [email for email, _ in pairs], outcomes=[outcome for _, outcome in pairs])


def _send(signal: Signal, emails: Iterable[Email], **facts: Any) -> None:
    if not signal.receivers:
        return
    if listed := list(emails):
        signal.send_robust(sender=Email, emails=listed, **facts)


def _count(results: Sequence[tuple[Email, Outcome]], written: Sequence[tuple[Email, Outcome]]) -> Settled:
    kinds = [type(outcome) for _, outcome in written]
    return Settled(
        sent=kinds.count(Sent),
        failed=kinds.count(Failed),
        requeued=kinds.count(Retry),
        released=kinds.count(Released),
        lost=len(results) - len(written),
    )
