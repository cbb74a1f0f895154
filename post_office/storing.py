"""From drafts to rows, with their attachments, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections as databases
from django.db import router, transaction
from django.utils import timezone

from .compose import Draft
from .models import Email, Worker
from .rendering import attachments as files


def store(drafts: Sequence[Draft], *, holder: Worker | None = None) -> list[Email]:
    """Make rows of drafts, with their attachments, in one transaction. Returns saved emails.

    Args:
        holder: A worker that holds the mail from its first moment.
    """
    emails = [item.email for item in drafts]
    if holder is not None:
        for email in emails:
            email.worker, email.claimed_at, email.claims = holder, timezone.now(), 1
    kept = files.Store()
    using = router.db_for_write(Email)
    try:
        with transaction.atomic(using=using):
            _insert(emails, using)
            files.link([(item.email, item.uploads) for item in drafts if item.uploads], kept)
    except BaseException:
        kept.undo()
        raise
    return emails


def _insert(emails: Sequence[Email], using: str) -> None:
    if len(emails) > 1 and databases[using].features.can_return_rows_from_bulk_insert:
        Email.objects.using(using).bulk_create(emails)
        return
    for email in emails:
        # Validated already, and save() would do it again.
        email.save_base(using=using, force_insert=True)
