"""Delete mail whose story is over, and the files that no mail needs any more.

Mail that is still to be sent is never deleted, however old. Everything goes in batches, each its
own short transaction, so that a run may be stopped at any point and started again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.models import F
from django.db.models.signals import post_delete, pre_delete

from ..models import Addressee, Attachment, Email, Log
from ..querysets import AttachmentQuerySet, EmailQuerySet
from . import statements

logger = logging.getLogger("post_office")

NO_ROW = 0  # keys begin with 1
# How databases say that one of those who wait for each other has to give way.
MYSQL_DEADLOCK = 1213
POSTGRES_DEADLOCK = "40P01"


def count_removable(cutoff: datetime) -> int:
    """Return how many mails `remove_emails` would delete."""
    return _removable(cutoff).count()


def count_orphaned_attachments(cutoff: datetime) -> int:
    """Return how many attachments would belong to no mail any more after `remove_emails`."""
    staying = Email.objects.primary().exclude(pk__in=_removable(cutoff).values("pk"))
    return Attachment.objects.primary().exclude(emails__in=staying).count()


def remove_emails(cutoff: datetime, batch_size: int = 1000) -> int:
    """Delete finished mail created before `cutoff`, with its log. Returns how many."""
    rows = _removable(cutoff)
    return sum(
        _again_after_deadlock(partial(_remove_emails, rows.filter(pk__in=pks)), rows.db)
        for pks in _batches(rows, batch_size)
    )


def _remove_emails(rows: EmailQuerySet) -> int:
    with transaction.atomic(using=rows.db):
        # Locked before they are deleted, as somebody may be queueing one again.
        if not connections[rows.db].features.has_select_for_update:
            # SQLite is locked as a whole by the first write, though it finds no row; after a read it
            # would be too late.
            rows.filter(pk=NO_ROW).update(claims=F("claims"))
        locked = list(rows.select_for_update().values_list("pk", flat=True))
        _delete(locked, rows.db)
        return len(locked)


def _delete(pks: list[int], using: str) -> None:
    """Delete emails and what refers to them, as `QuerySet.delete` does.

    That loads each row, to send signals and to follow the keys of other apps. Where nobody asks for either,
    four statements do.
    """
    emails = Email.objects.using(using).filter(pk__in=pks)
    refer = {
        field.related_model for field in Email._meta.get_fields(include_hidden=True) if field.auto_created
    }
    ours = (Log, Addressee, Email.attachments.through)
    if refer - {*ours, Attachment, None} or any(
        signal.has_listeners(Email) for signal in (pre_delete, post_delete)
    ):
        emails.delete()
    else:
        statements.delete(pks, using)


def remove_orphaned_attachments(batch_size: int = 1000) -> int:
    """Delete attachments of no mail, and the files that no other attachment uses. Returns how many.

    What a mail begins to use at this moment stays: composing locks an attachment before it links it to
    another mail. Such locks are not waited for; what is still of no mail then is for the next run.
    """
    rows = Attachment.objects.primary()
    return sum(
        _again_after_deadlock(partial(_remove_attachments, rows.filter(pk__in=pks)), rows.db)
        for pks in _batches(rows.orphaned(), batch_size)
    )


def _remove_attachments(rows: AttachmentQuerySet) -> int:
    with transaction.atomic(using=rows.db):
        locked = rows.filter(pk__in=_locked(rows))
        # Asked again, as a mail may have taken them up before they were locked.
        files = dict(locked.orphaned().values_list("pk", "file"))
        rows.filter(pk__in=files).delete()
        transaction.on_commit(partial(_delete_unused_files, set(files.values()), rows.db), using=rows.db)
    return len(files)


def _again_after_deadlock(batch: Callable[[], int], using: str) -> int:
    """Do a batch; once more each time that the database chose it to break a deadlock."""
    while True:
        try:
            return batch()
        except OperationalError as fault:
            # Within a transaction of the caller, all of that is lost, and for the caller to do again.
            if connections[using].in_atomic_block or not _is_deadlock(fault):
                raise


def _is_deadlock(fault: OperationalError) -> bool:
    sqlstate = getattr(fault.__cause__, "sqlstate", None) or getattr(fault.__cause__, "pgcode", None)
    return fault.args[:1] == (MYSQL_DEADLOCK,) or sqlstate == POSTGRES_DEADLOCK


def _locked(attachments: AttachmentQuerySet) -> list[int]:
    """Lock attachments for deletion. Returns those that nobody else holds at this moment."""
    features = connections[attachments.db].features
    if not features.has_select_for_update:
        # SQLite, which is locked as a whole by the first write.
        attachments.update(name=F("name"))
    skip = features.has_select_for_update_skip_locked
    rows = attachments.order_by("pk").select_for_update(skip_locked=skip)
    return list(rows.values_list("pk", flat=True))


def _delete_unused_files(names: set[str], using: str) -> None:
    """Delete files that no attachment names any more; to be called after the commit.

    Not before: of two clean-ups that delete the last two attachments of a file, neither would see what
    the other does. And nobody begins to use a file but through an attachment that is there.
    """
    used = Attachment.objects.using(using).filter(file__in=names).values_list("file", flat=True)
    for name in names.difference(used):
        try:
            Attachment(file=name).file.storage.delete(name)
        except FileNotFoundError:  # some storages raise for a file that is gone already
            pass
        except Exception:  # a file that cannot be deleted must not keep the others
            logger.exception("The file %r, which no attachment uses any more, could not be deleted.", name)


def _removable(cutoff: datetime) -> EmailQuerySet:
    return Email.objects.primary().finished().unheld().filter(created__lt=cutoff)


def _batches(rows: Any, size: int) -> Iterator[list[int]]:
    last = 0
    while pks := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size]):
        yield pks
        last = pks[-1]
