"""The public verbs: queue mail, and deliver what is queued."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from itertools import islice
from typing import Any

from django.db import router, transaction
from django.db.models import Model, prefetch_related_objects
from django.utils import timezone

from . import arguments, compose, lockfile, storing
from .aliases import validate_alias
from .conf import conf
from .delivery import deliver
from .delivery.connections import connections as connections
from .delivery.supervisor import Supervisor, Totals, stopped_by_signals
from .enums import PRIORITY as PRIORITY
from .enums import STATUS as STATUS
from .exceptions import InvalidArgument
from .lockfile import FileLock as FileLock
from .lockfile import FileLocked as FileLocked
from .models import Email, EmailTemplate
from .models import Log as Log
from .querysets import EmailQuerySet
from .queue import brakes, environment, liveness, outcomes
from .signals import email_queued

logger = logging.getLogger("post_office")


def __getattr__(name: str) -> Any:
    # Depends on the database in use, so it is not known when this module is imported.
    if name == "default_lockfile":
        return lockfile.default_path()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- queueing ---------------------------------------------------------------------------------


def send(
    recipients: str | Iterable[str] | None = None,
    sender: str | None = None,
    template: EmailTemplate | str | None = None,
    context: Mapping[str, Any] | None = None,
    subject: str | None = "",
    message: str | None = "",
    html_message: str | None = "",
    scheduled_time: date | None = None,
    expires_at: date | None = None,
    headers: Mapping[str, Any] | None = None,
    priority: int | str | None = None,
    attachments: Mapping[str, Any] | None = None,
    render_on_delivery: bool = False,
    log_level: int | None = None,
    commit: bool = True,
    cc: str | Iterable[str] | None = None,
    bcc: str | Iterable[str] | None = None,
    language: str = "",
    backend: str = "",
    *,
    tags: Iterable[str] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    related_object: Model | None = None,
    idempotency_key: str | None = None,
    max_retries: int | None = None,
    on_unknown: str | None = None,
    time_zone: str = "",
) -> Email:
    """Queue one mail, or deliver it at once with priority "now", and return it.

    The mail is a row of the caller's transaction: it is sent when that commits, and never when it
    rolls back. Only "now" does not wait, see NOW_ON_COMMIT.

    Args:
        recipients, cc, bcc: One mailbox as a str, or several as a list; "Ann <ann@example.com>" is fine.
        sender: Defaults to DEFAULT_FROM_EMAIL.
        template: An EmailTemplate, its name, or that of one made of files; not together with subject,
            message or html_message.
        context: Variables for the template, or for tags in subject, message and html_message.
        scheduled_time: A date or datetime before which the mail is not sent.
        expires_at: A date or datetime from which on the mail is not sent any more.
        headers: Additional header fields.
        priority: "low", "medium", "high" or "now", or a number of PRIORITY.
        attachments: {file name: path, bytes, file, ContentFile or {"file": …, "mimetype": …, "headers": …}}
        render_on_delivery: Store template and context, and render when the mail is sent.
        log_level: As in LOG_LEVEL, for priority "now".
        commit: False returns the mail unsaved; for a bulk_create of your own.
        language: Of the template, and in which it is rendered; see LANGUAGE_FALLBACK.
        backend: Alias in BACKENDS or MAILERS.
        tags: Labels, to find the mail by; providers get them, too.
        metadata: Plain values of your own, kept with the mail; providers get them, too.
        related_object: A saved object that the mail is about; see `Email.related_object` and
            `Email.objects.about(…)`.
        idempotency_key: A text of your own, such as "order-7-shipped". As long as there is a mail with it,
            it is returned, and nothing is queued or sent; the database sees to that.
        max_retries: Of this mail, in place of MAX_RETRIES.
        on_unknown: "resend" or "hold", in place of UNKNOWN.
        time_zone: In which the mail is rendered, such as "Europe/Berlin".

    Raises:
        ValidationError: An address, the context or a field is not valid.
        ValueError: Any other argument cannot be what it is; see `post_office.exceptions`.
        EmailTemplate.DoesNotExist: There is no such template in that language.
        FileNotFoundError: An attachment is a path without a file.
    """
    if not commit:
        _refuse_without_commit(priority, attachments)
    made = compose.draft(
        recipients=recipients,
        sender=sender,
        template=template,
        context=context,
        subject=subject,
        message=message,
        html_message=html_message,
        scheduled_time=scheduled_time,
        expires_at=expires_at,
        headers=headers,
        priority=priority,
        attachments=attachments,
        render_on_delivery=render_on_delivery,
        cc=cc,
        bcc=bcc,
        language=language,
        backend=backend,
        tags=tags,
        metadata=metadata,
        related_object=related_object,
        idempotency_key=idempotency_key,
        max_retries=max_retries,
        on_unknown=on_unknown,
        time_zone=time_zone,
    )
    if not commit:
        return made.email
    return queue([made], log_level=log_level)[0]


def send_many(kwargs_list: Iterable[Mapping[str, Any]]) -> list[Email]:
    """Queue many mails in one transaction: each dict holds arguments of `send`. Returns the emails.

    Raises what `send` raises, before any row is made; and ValueError for priority "now".
    """
    known = inspect.signature(send).parameters
    drafts = compose.each(_of_send_many(kwargs, known) for kwargs in kwargs_list)
    return queue(drafts) if drafts else []


def send_stream(kwargs_stream: Iterable[Mapping[str, Any]], batch_size: int = 1000) -> int:
    """Queue however many mails in as much memory as one batch takes.

    For a newsletter whose arguments come from a generator. Each batch is a transaction of its own, or, inside
    a transaction of the caller, a part of that: what was queued before a fault stays queued. With an
    `idempotency_key` in each dict, the whole may be run again after a fault, and queues only what is missing.

    Args:
        kwargs_stream: Dicts of arguments of `send`, as for `send_many`.
        batch_size: Mails in one transaction.

    Returns:
        How many mails are in the queue now, those included whose key had been taken.

    Raises:
        ValueError: `batch_size` is less than 1.
        Exception: What `send_many` raises. The log says how many mails had been queued; none of the batch
            with the fault is among them.
    """
    if batch_size < 1:
        raise InvalidArgument(f"batch_size: {batch_size!r} is not 1 or more.")
    stream, queued = iter(kwargs_stream), 0
    try:
        while batch := list(islice(stream, batch_size)):
            queued += len(send_many(batch))
    except Exception:
        logger.error(
            "send_stream stopped at a fault; the first %d mails are queued, and no other is.", queued
        )
        raise
    return queued


def create(
    sender: str | None,
    recipients: str | Iterable[str] | None = None,
    cc: str | Iterable[str] | None = None,
    bcc: str | Iterable[str] | None = None,
    subject: str | None = "",
    message: str | None = "",
    html_message: str | None = "",
    context: Mapping[str, Any] | None = None,
    scheduled_time: date | None = None,
    expires_at: date | None = None,
    headers: Mapping[str, Any] | None = None,
    template: EmailTemplate | str | None = None,
    priority: int | str | None = None,
    render_on_delivery: bool = False,
    commit: bool = True,
    backend: str = "",
    *,
    tags: Iterable[str] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    related_object: Model | None = None,
    idempotency_key: str | None = None,
    max_retries: int | None = None,
    on_unknown: str | None = None,
    time_zone: str = "",
) -> Email:
    """Make an email without sending a signal, and without delivering it for priority "now".

    Takes the arguments of `send`. With `commit=False` the email is not saved.
    """
    made = compose.draft(
        sender=sender,
        recipients=recipients,
        cc=cc,
        bcc=bcc,
        subject=subject,
        message=message,
        html_message=html_message,
        context=context,
        scheduled_time=scheduled_time,
        expires_at=expires_at,
        headers=headers,
        template=template,
        priority=priority,
        render_on_delivery=render_on_delivery,
        backend=backend,
        tags=tags,
        metadata=metadata,
        related_object=related_object,
        idempotency_key=idempotency_key,
        max_retries=max_retries,
        on_unknown=on_unknown,
        time_zone=time_zone,
    )
    return storing.store([made])[0] if commit else made.email


def queue(drafts: list[compose.Draft], log_level: int | None = None) -> list[Email]:
    """Store drafts; deliver those for "now" and announce the others with `email_queued`.

    Returns an email for each draft.
    """
    later = [made for made in drafts if not made.is_for_now]
    stored = storing.store(later)
    # In place of a draft whose idempotency key is taken stands the email that has it.
    new = [email for email, made in zip(stored, later, strict=True) if email is made.email]
    if new:
        email_queued.send(sender=Email, emails=new)
    emails = iter(stored)
    return [_deliver_now(made, log_level) if made.is_for_now else next(emails) for made in drafts]


def _deliver_now(made: compose.Draft, log_level: int | None) -> Email:
    environment.require_own()
    using = router.db_for_write(Email)
    if conf.NOW_ON_COMMIT and transaction.get_connection(using).in_atomic_block:
        email = storing.store([made])[0]
        if email is made.email:
            transaction.on_commit(partial(email.dispatch, log_level=log_level), using=using)
        return email
    # Held by us from its first moment, so that no dispatcher takes it; and a row like any other,
    # so that one does when this process dies.
    with liveness.short_lived_worker(timezone.now()) as worker:
        email = storing.store([made], holder=worker)[0]
        if email is made.email:
            deliver.dispatch(email, log_level=log_level, worker=worker)
        return email


def _refuse_without_commit(priority: int | str | None, attachments: Any) -> None:
    if arguments.parse_priority(conf.DEFAULT_PRIORITY if priority is None else priority) == PRIORITY.now:
        raise InvalidArgument("send_many() can't be used with priority = 'now'")
    if attachments:
        raise InvalidArgument("Can't add attachments with send_many()")


def _of_send_many(kwargs: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := kwargs.keys() - known.keys():
        raise TypeError(f"send_many: {', '.join(sorted(map(repr, unknown)))}: no argument of send().")
    arguments = {key: value for key, value in kwargs.items() if key not in ("commit", "log_level")}
    _refuse_without_commit(arguments.get("priority"), None)
    return arguments


# --- mending ----------------------------------------------------------------------------------


def cancel(emails: Iterable[Email]) -> int:
    """Take mail out of the queue before it is sent. Returns how many; mail in delivery stays."""
    return outcomes.cancel([email.pk for email in emails], timezone.now())


def requeue(emails: Iterable[Email]) -> int:
    """Put finished mail into the queue again, whatever became of it. Returns how many."""
    return outcomes.requeue([email.pk for email in emails], timezone.now())


# --- brakes -----------------------------------------------------------------------------------


def pause(backend: str = "", *, by: str = "") -> bool:
    """Hold the mail of one backend, or all mail, until it is resumed.

    Every worker on every host sees it within a second. What is in the hands of a server then goes on
    its way; all else stays in the queue, mail with priority "now", too. A fallback does not take over.

    Args:
        backend: Alias in BACKENDS or MAILERS; "" for all mail.
        by: Who does it, for those who wonder.

    Returns:
        False where it was paused already, and nothing is changed.

    Raises:
        UnknownBackend: None is configured under the alias.
    """
    return brakes.pause(validate_alias(backend) or brakes.EVERYTHING, by=by, now=timezone.now())


def resume(backend: str = "", *, by: str = "") -> bool:
    """Let go what `pause` with the same argument held. Returns False where nothing did.

    One backend that is out of order is also tried again at once. Resuming all mail does not resume a
    backend that was paused by itself.

    Raises:
        UnknownBackend: None is configured under the alias.
    """
    return brakes.resume(validate_alias(backend) or brakes.EVERYTHING, by=by, now=timezone.now())


# --- delivering -------------------------------------------------------------------------------


def get_queued() -> EmailQuerySet:
    """Return what is due now and held by nobody, in order, at most BATCH_SIZE.

    For looking only: a worker claims its mail, and two that look see the same.
    """
    due = Email.objects.primary().claimable(timezone.now()).order_by(*conf.SENDING_ORDER, "due_at", "id")
    return due.select_related("template").prefetch_related("attachments")[: conf.BATCH_SIZE]


def attach_templates(emails: list[Email]) -> None:
    """Load the templates of these mails, all with one query."""
    prefetch_related_objects(emails, "template")


def send_queued(processes: int = 1, log_level: int | None = None) -> tuple[int, int, int]:
    """Deliver up to BATCH_SIZE mails that are due. Returns how many were sent, failed and requeued.

    Args:
        processes: 1 delivers in the calling thread, with sending threads beside it.
        log_level: As in LOG_LEVEL, which is the default.
    """
    totals = Supervisor(processes=processes, log_level=log_level, limit=conf.BATCH_SIZE).run()
    return totals.sent, totals.failed, totals.requeued


def _send_bulk(
    emails: Iterable[Email], uses_multiprocessing: bool = True, log_level: int | None = None
) -> tuple[int, int, int]:
    """Deliver these mails in the calling thread, one after another; for tests that have long called it.

    Takes `uses_multiprocessing` and has no use for it. Returns as `send_queued` does.
    """
    try:
        became = Counter(email.dispatch(log_level, disconnect_after_delivery=False) for email in emails)
    finally:
        connections.close()
    return became[STATUS.sent], became[STATUS.failed], became[STATUS.requeued]


def send_queued_mail_until_done(
    lockfile: str | None = None, processes: int = 1, log_level: int | None = None
) -> Totals | None:
    """Deliver until nothing is due any more.

    Args:
        lockfile: Path, without ".lock", of the lock that keeps a second run on this host away;
            None is that of the database, "" is no lock.

    Returns:
        What was done, or None when another run holds the lock.
    """
    return deliver_all(Supervisor(processes=processes, log_level=log_level), lockfile)


def deliver_all(supervisor: Supervisor, path: str | None) -> Totals | None:
    """Run a supervisor under a lock, stopped in order by SIGTERM and Ctrl-C."""
    path = lockfile.default_path() if path is None else path
    with stopped_by_signals(supervisor):
        if not path:
            return supervisor.run()
        try:
            with FileLock(path):
                return supervisor.run()
        except FileLocked:
            logger.info("Failed to acquire lock, terminating now.")
            return None
