"""Files that go out with mail: kept in the storage, each content once, and read back.

A content is known by its SHA-256. What is attached again, by whomever, is linked to the row that is
there; under another name or type it gets a row of its own, over the same file. Two that store a new
content at the same moment may store it twice, which harms nobody.

Clean-up may be about to delete what is found. So what is shared is locked before it is used, in the
transaction that uses it; what is being deleted at that moment counts as not there.
"""

from __future__ import annotations

import logging
import mimetypes
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.db import connections as databases
from django.db import router, transaction
from django.db.models import F, Max, Q

from ..exceptions import AttachmentGone, AttachmentNotKept, AttachmentNotRead
from ..models import Attachment, Email
from .inline import InlineImage
from .uploads import Identity, identity
from .uploads import Reader as Reader
from .uploads import Upload as Upload

logger = logging.getLogger("post_office")

T = TypeVar("T")

# An attachment of a mail, and how many like it the mail has before it: a mail may hold one twice, and
# a row is linked to a mail once.
Place = tuple[Identity, int]

AT_ONCE = 500  # attachments in one query; databases limit the number of parameters


@dataclass
class Store:
    """Keeps uploads as attachments, and can take the files back.

    To be used within a transaction that has written something. Rows are undone by that transaction;
    files are not, so `undo` removes those that are new.
    """

    using: str = field(default_factory=lambda: router.db_for_write(Attachment))
    _new_files: list[str] = field(default_factory=list)

    def keep(self, wanted: Mapping[Place, Upload]) -> dict[Place, Attachment]:
        """Return an attachment for each place, of those that are there where they are the same."""
        kept: dict[Place, Attachment] = {}
        for places in _portions(wanted):
            found = self._usable([wanted[place] for place in places])
            alike: dict[Identity, list[Attachment]] = defaultdict(list)
            for row in found:
                alike[_identity(row)].append(row)
            for place in places:
                same, number = place
                if number < len(alike[same]):
                    kept[place] = alike[same][number]
            missing = [place for place in places if place not in kept]
            kept.update(zip(missing, self._make([wanted[place] for place in missing], found), strict=True))
        return kept

    def make(self, uploads: Sequence[Upload]) -> list[Attachment]:
        """Return a new attachment for each upload, over the files that are there."""
        return [row for some in _portions(uploads) for row in self._make(some, self._usable(some))]

    def undo(self) -> None:
        for name in self._new_files:
            try:
                Attachment(file=name).file.storage.delete(name)
            except Exception:  # what made us undo is what the caller is to hear of
                logger.exception("The file %r of an attachment that was given up could not be deleted.", name)

    # --- what is there --------------------------------------------------------------------

    def _usable(self, uploads: Sequence[Upload]) -> list[Attachment]:
        """Find rows that may stand for uploads or lend them their file; they stay till the transaction ends.

        Of one content they have one file, the one that was stored last: earlier ones may be in a storage
        that is no longer the one in use, or have vanished.
        """
        names = {upload.digest: upload.name for upload in uploads}
        rows = Attachment.objects.using(self.using).filter(digest__in=names)
        latest = dict(rows.values_list("digest").annotate(Max("pk")))
        if not latest:
            return []
        wanted = Q(pk__in=latest.values()) | Q(name__in={upload.name or "" for upload in uploads})
        found = list(rows.filter(wanted).order_by("pk"))
        # By their keys: on MariaDB, a search by another index would lock that, too.
        alive = Attachment.objects.using(self.using).filter(pk__in=[row.pk for row in found]).keep_alive()
        found = [row for row in found if row.pk in alive]
        there = {
            digest: file for digest, file in _files(found).items() if self._is_there(file, names[digest])
        }
        return [row for row in found if there.get(str(row.digest)) == row.file.name]

    def _is_there(self, file: str, name: str | None) -> bool:
        try:
            return Attachment(file=file).file.storage.exists(file)
        except Exception as fault:  # storages raise whatever they like
            raise AttachmentNotKept(name, fault) from fault

    # --- what is new ----------------------------------------------------------------------

    def _make(self, uploads: Sequence[Upload], found: Iterable[Attachment]) -> list[Attachment]:
        files = _files(found)
        for upload in uploads:
            if upload.digest not in files:
                files[upload.digest] = self._save(upload)
        rows = [_row(upload, files[upload.digest]) for upload in uploads]
        if databases[self.using].features.can_return_rows_from_bulk_insert:
            return Attachment.objects.using(self.using).bulk_create(rows)
        for row in rows:
            row.save(using=self.using, force_insert=True)
        return rows

    def _save(self, upload: Upload) -> str:
        file = Attachment(name=upload.name or "attachment").file
        try:
            file.save(_file_name(upload), ContentFile(upload.content), save=False)
        except Exception as fault:  # storages raise whatever they like
            raise AttachmentNotKept(upload.name, fault) from fault
        self._new_files.append(str(file.name))
        return self._new_files[-1]


def _row(upload: Upload, file: str) -> Attachment:
    return Attachment(
        file=file,
        digest=upload.digest,
        name=upload.name or "",
        mimetype=upload.mimetype,
        headers=dict(upload.headers) if upload.headers else None,
        as_given=upload.as_given,
    )


def _identity(row: Attachment) -> Identity:
    return identity(row.digest, row.name, row.mimetype, row.headers, row.as_given)


def _files(rows: Iterable[Attachment]) -> dict[str, str]:
    """Return the file of each content; of rows in the order of their keys, the latest."""
    return {str(row.digest): str(row.file.name) for row in rows}


def _file_name(upload: Upload) -> str:
    """Return a name whose ending tells the type, by which storages and web servers go."""
    name = upload.name or "attachment"
    if Path(name).suffix or not upload.mimetype:
        return name
    return name + (mimetypes.guess_extension(upload.mimetype) or "")


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while portion := list(islice(rest, AT_ONCE)):
        yield portion


@contextmanager
def storing() -> Iterator[Store]:
    """Keep uploads in one transaction; when that fails, the new files go, too."""
    store = Store()
    try:
        with transaction.atomic(using=store.using):
            # The lock on all of SQLite; a transaction that reads before it writes may not get it later.
            if not databases[store.using].features.has_select_for_update:
                Attachment.objects.using(store.using).filter(pk=0).update(name=F("name"))
            yield store
    except BaseException:
        store.undo()
        raise


def make(uploads: Iterable[Upload]) -> list[Attachment]:
    """Store uploads as attachments of no mail yet, which are the caller's to change."""
    with storing() as store:
        return store.make(list(uploads))


def link(emails: Iterable[tuple[Email, Iterable[Upload]]], store: Store) -> None:
    """Attach uploads to saved emails, in their order."""
    places = [(email.pk, place, upload) for email, uploads in emails for place, upload in _places(uploads)]
    kept = store.keep({place: upload for _pk, place, upload in places})
    through = Attachment.emails.through
    links = [through(email_id=pk, attachment_id=kept[place].pk) for pk, place, _upload in places]
    through._default_manager.using(router.db_for_write(Email)).bulk_create(links)


def _places(uploads: Iterable[Upload]) -> Iterator[tuple[Place, Upload]]:
    before: Counter[Identity] = Counter()
    for upload in uploads:
        yield (upload.identity, before[upload.identity]), upload
        before[upload.identity] += 1


def image_uploads(images: Iterable[InlineImage]) -> tuple[Upload, ...]:
    """Return inline images as uploads, with the headers that mark them as such."""
    return tuple(
        Upload(name=image.cid, content=image.content, mimetype=image.mimetype, headers=image.headers)
        for image in images
    )


def add_images(email: Email, images: Iterable[InlineImage]) -> None:
    """Attach the images of a render to a saved email, but for those that it has."""
    with storing() as store:
        there = {_identity(attachment) for attachment in of(email)}
        link([(email, [image for image in image_uploads(images) if image.identity not in there])], store)


def of(email: Email) -> list[Attachment]:
    """Return the attachments of an email in the order in which they were attached."""
    return of_each([email])[email.pk]


def of_each(emails: Sequence[Email]) -> dict[int, list[Attachment]]:
    """Return the attachments of emails by their keys, with one query for all; none for no emails."""
    attached: dict[int, list[Attachment]] = {email.pk: [] for email in emails}
    if not attached:
        return {}
    links = Attachment.emails.through._default_manager.using(router.db_for_write(Email))
    for link in links.filter(email__in=attached).order_by("pk").select_related("attachment"):
        attached[link.email_id].append(link.attachment)
    return attached


def read(attachment: Attachment) -> bytes:
    """Read an attachment from its storage.

    Raises:
        AttachmentGone: The storage has no such file.
        AttachmentNotRead: The storage failed; another time it may not.
    """
    path = str(attachment.file.name)
    try:
        with attachment.file.storage.open(path, "rb") as file:
            return bytes(file.read())
    except FileNotFoundError as fault:
        raise AttachmentGone(attachment.name, path) from fault
    except SuspiciousOperation:
        raise
    except Exception as fault:  # storages raise whatever they like
        raise AttachmentNotRead(attachment.name, path, fault) from fault
