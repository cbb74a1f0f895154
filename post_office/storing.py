"""From drafts to rows, with their attachments, in one transaction.

An idempotency key is had by one email only, which the database sees to: of two processes that queue
with the same key at the same moment, one waits for the other's commit and then finds its email.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, router, transaction
from django.db import connections as databases
from django.utils import timezone

from . import addressees, bulk_insert
from .aliases import default_alias
from .compose import Draft
from .delivery.attempts import in_delivery
from .exceptions import SelfReferringBackend
from .models import Email, Worker
from .rendering import attachments as files

# Mail that is queued by the delivery of other mail, such as the report of an error, may be so itself: once.
MOST_HOPS = 2
# How often others may take keys of one call between our look and our insert.
TRIES = 5


def store(drafts: Sequence[Draft], *, holder: Worker | None = None) -> list[Email]:
    """Make rows of drafts, with their attachments, in one transaction. Returns saved emails.

    A draft whose idempotency key is taken makes no row: the email that has the key stands in its place.

    Args:
        holder: A worker that holds the mail from its first moment.

    Raises:
        SelfReferringBackend: A backend queues again what it is to deliver.
    """
    _count_hops(drafts)
    known = _by_key(drafts)
    for tries_left in reversed(range(TRIES)):
        new = _first_of_each_key(drafts, known)
        try:
            _store(new, holder)
            break
        except IntegrityError:
            before, known = known, _by_key(drafts)
            if known == before or not tries_left:
                raise
    known |= {made.email.idempotency_key: made.email for made in new if made.email.idempotency_key}
    return [known.get(made.email.idempotency_key or "", made.email) for made in drafts]


def _count_hops(drafts: Sequence[Draft]) -> None:
    """Note of each how many mails deep it is queued by the delivery of another; refuse what goes round."""
    delivering = in_delivery.get()
    if delivering is None:
        return
    hops = getattr(delivering, "_hops", 0) + 1
    for made in drafts:
        # A report of an error that happened while sending is another mail, and welcome.
        same = (made.email.subject, made.email.to) == (delivering.subject, delivering.to)
        if same or hops > MOST_HOPS:
            raise SelfReferringBackend(made.email.backend_alias or default_alias())
        made.email.as_given = {**(made.email.as_given or {}), "hops": hops}


def _by_key(drafts: Sequence[Draft]) -> dict[str, Email]:
    """Return the emails that have keys of these drafts."""
    keys = [made.email.idempotency_key for made in drafts if made.email.idempotency_key]
    if not keys:
        return {}
    emails = Email.objects.primary().filter(idempotency_key__in=keys)
    return {str(email.idempotency_key): email for email in emails}


def _first_of_each_key(drafts: Sequence[Draft], known: dict[str, Email]) -> list[Draft]:
    taken = set(known)
    first: list[Draft] = []
    for made in drafts:
        key = made.email.idempotency_key
        if key is None or key not in taken:
            first.append(made)
        if key is not None:
            taken.add(key)
    return first


def _store(drafts: Sequence[Draft], holder: Worker | None) -> None:
    emails = [made.email for made in drafts]
    if holder is not None:
        for email in emails:
            email.worker, email.claimed_at, email.claims = holder, timezone.now(), 1
    kept = files.Store()
    using = router.db_for_write(Email)
    if _is_one_statement(drafts) and not databases[using].in_atomic_block:
        _insert(emails, using)  # one statement, a transaction by itself
        return
    try:
        with transaction.atomic(using=using):
            _insert(emails, using)
            addressees.note(emails, using)
            files.link([(made.email, made.uploads) for made in drafts if made.uploads], kept)
    except BaseException:
        kept.undo()
        raise


def _is_one_statement(drafts: Sequence[Draft]) -> bool:
    return len(drafts) == 1 and not drafts[0].uploads and addressees.is_found_alone(drafts[0].email)


def _insert(emails: Sequence[Email], using: str) -> None:
    if len(emails) > 1 and databases[using].features.can_return_rows_from_bulk_insert:
        bulk_insert.insert(emails, using)
        return
    for email in emails:
        # Validated already, and save() would do it again.
        email.save_base(using=using, force_insert=True)
