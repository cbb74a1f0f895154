"""Delete mail whose story is over, and the files that no mail needs any more.

Mail that is still to be sent is never deleted, however old. Everything goes in batches, each its
own short transaction, so that a run may be stopped at any point and started again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.db import router, transaction
from django.db.models import F

from ..models import Attachment, Email
from ..querysets import EmailQuerySet


def count_removable(cutoff: datetime) -> int:
    """Return how many mails `remove_emails` would delete."""
    return _removable(cutoff).count()


def count_orphaned_attachments(cutoff: datetime) -> int:
    """Return how many attachments would belong to no mail any more after `remove_emails`."""
    staying = Email.objects.primary().exclude(pk__in=_removable(cutoff).values("pk"))
    return Attachment.objects.using(staying.db).exclude(emails__in=staying).count()


def remove_emails(cutoff: datetime, batch_size: int = 1000) -> int:
    """Delete finished mail created before `cutoff`, with its log. Returns how many."""
    removed = 0
    for pks in _batches(_removable(cutoff), batch_size):
        rows = _removable(cutoff).filter(pk__in=pks)
        with transaction.atomic(using=rows.db):
            # Locked before they are deleted, as somebody may be queueing one again. The write is for
            # SQLite, which knows no such lock, and takes its own before the first read only.
            rows.update(claims=F("claims"))
            locked = list(rows.select_for_update().values_list("pk", flat=True))
            _total, counts = Email.objects.using(rows.db).filter(pk__in=locked).delete()
            removed += counts.get(Email._meta.label, 0)
    return removed


def remove_orphaned_attachments(batch_size: int = 1000) -> int:
    """Delete attachments of no mail, and their files when that is committed. Returns how many."""
    using = router.db_for_write(Attachment)
    orphaned = Attachment.objects.using(using).filter(emails=None)
    removed = 0
    for pks in _batches(orphaned, batch_size):
        with transaction.atomic(using=using):
            for attachment in orphaned.filter(pk__in=pks):
                attachment.delete()
                transaction.on_commit(partial(_delete_file, attachment), using=using, robust=True)
                removed += 1
    return removed


def _delete_file(attachment: Attachment) -> None:
    # Some storages raise for a file that is gone already; then there is nothing to do.
    try:
        attachment.file.storage.delete(str(attachment.file.name))
    except FileNotFoundError:
        pass


def _removable(cutoff: datetime) -> EmailQuerySet:
    return Email.objects.primary().finished().unheld().filter(created__lt=cutoff)


def _batches(rows: Any, size: int) -> Iterator[list[int]]:
    last = 0
    while pks := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size]):
        yield pks
        last = pks[-1]
