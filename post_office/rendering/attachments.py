"""Files that go out with mail: read what callers give, keep it in the storage, read it back.

What callers give is read once, before any row is made, so that a missing file refuses the mail.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.db import router

from ..exceptions import AttachmentGone, InvalidArgument
from ..headers import validate_header_value, validate_headers
from ..models import Attachment, Email
from .inline import InlineImage


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The content of an attachment that is not stored yet."""

    name: str | None
    content: bytes
    mimetype: str = ""
    headers: Mapping[str, str] | None = None
    # What Django's attachment held beyond these; see `Attachment.as_given`.
    as_given: dict[str, Any] | None = None


class Reader:
    """Reads attachments as callers of `mail.send()` give them, each object once.

    One reader serves one call of `send` or `send_many`: an open file given with many mails is
    read once, and becomes one stored attachment of all of them.
    """

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], tuple[Any, Upload]] = {}

    def read(self, attachments: Mapping[str, Any] | None) -> tuple[Upload, ...]:
        """Read a dict of file name to content.

        A content is bytes, a path, an open file, Django's `File` or `ContentFile`, or a dict with
        one of these as "file" and optional "mimetype" and "headers".

        Raises:
            FileNotFoundError: There is no file at the path.
            InvalidArgument: A content is none of these.
        """
        if attachments is None:
            return ()
        if not isinstance(attachments, Mapping):
            raise InvalidArgument(
                f"attachments: {attachments!r} is not a dict of file names to files, paths or bytes."
            )
        return tuple(self._upload(name, value) for name, value in attachments.items())

    def _upload(self, name: str, value: Any) -> Upload:
        key = (name, id(value))
        if key not in self._read:
            # The value is kept beside its upload, so that its id stays its own.
            self._read[key] = (value, _upload(name, value))
        return self._read[key][1]


def _upload(name: str, value: Any) -> Upload:
    if not isinstance(name, str) or not name or len(name) > 255:
        raise InvalidArgument(f"attachments: {name!r} is not a file name of 1 to 255 characters.")
    validate_header_value("attachments", name)
    if not isinstance(value, Mapping):
        return Upload(name=name, content=_content(name, value))
    if "file" not in value:
        raise InvalidArgument(f"attachments: {name!r} is a dict without the key 'file'.")
    return Upload(
        name=name,
        content=_content(name, value["file"]),
        mimetype=_mimetype(name, value.get("mimetype")),
        headers=_headers(name, value.get("headers")),
    )


def _content(name: str, value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (str, os.PathLike)):
        return Path(value).read_bytes()
    if not hasattr(value, "read"):
        raise InvalidArgument(f"attachments: {name!r} is {value!r}, not a file, path or bytes.")
    if getattr(value, "closed", False) and hasattr(value, "open"):
        value.open("rb")
    if hasattr(value, "seekable") and value.seekable():
        value.seek(0)
    content = value.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _mimetype(name: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or value.count("/") != 1 or any(c in value for c in "\r\n\0"):
        raise InvalidArgument(f"attachments: {name!r} has the mimetype {value!r}, not one like 'text/csv'.")
    return value


def _headers(name: str, value: Any) -> dict[str, str] | None:
    return validate_headers(f"attachments[{name!r}]", value)


@dataclass
class Store:
    """Keeps uploads as attachments, each once, and can take the files back.

    Rows are undone by the caller's transaction; files are not, so `undo` removes them.
    """

    _kept: dict[int, tuple[Upload, Attachment]] = field(default_factory=dict)

    def keep(self, upload: Upload) -> Attachment:
        if id(upload) not in self._kept:
            attachment = Attachment(
                name=upload.name or "",
                mimetype=upload.mimetype,
                headers=dict(upload.headers) if upload.headers else None,
                as_given=upload.as_given,
            )
            attachment.file.save(_file_name(upload), ContentFile(upload.content), save=False)
            attachment.name = upload.name or ""  # the field gives a name to what has none
            self._kept[id(upload)] = (upload, attachment)
            attachment.save(using=router.db_for_write(Attachment))
        return self._kept[id(upload)][1]

    def undo(self) -> None:
        for _upload, attachment in self._kept.values():
            attachment.file.storage.delete(str(attachment.file.name))


def _file_name(upload: Upload) -> str:
    """Return a name whose ending tells the type, by which storages and web servers go."""
    name = upload.name or "attachment"
    if Path(name).suffix or not upload.mimetype:
        return name
    return name + (mimetypes.guess_extension(upload.mimetype) or "")


def link(emails: Iterable[tuple[Email, Iterable[Upload]]], store: Store) -> None:
    """Attach uploads to saved emails, in their order."""
    through = Attachment.emails.through
    links = [
        through(email_id=email.pk, attachment_id=store.keep(upload).pk)
        for email, uploads in emails
        for upload in uploads
    ]
    through._default_manager.using(router.db_for_write(Email)).bulk_create(links)


def image_uploads(images: Iterable[InlineImage]) -> tuple[Upload, ...]:
    """Return inline images as uploads, with the headers that mark them as such."""
    return tuple(
        Upload(name=image.cid, content=image.content, mimetype=image.mimetype, headers=image.headers)
        for image in images
    )


def add_images(email: Email, images: Iterable[InlineImage]) -> None:
    """Attach the images of a render to a saved email."""
    link([(email, image_uploads(images))], Store())


def of(email: Email) -> list[Attachment]:
    """Return the attachments of an email in the order in which they were attached."""
    links = Attachment.emails.through._default_manager.using(router.db_for_write(Email))
    return [link.attachment for link in links.filter(email=email).order_by("pk").select_related("attachment")]


def read(attachment: Attachment) -> bytes:
    """Read an attachment from its storage.

    Raises:
        AttachmentGone: The storage has no such file.
    """
    path = str(attachment.file.name)
    try:
        with attachment.file.storage.open(path, "rb") as file:
            return bytes(file.read())
    except FileNotFoundError as fault:
        raise AttachmentGone(attachment.name, path) from fault
