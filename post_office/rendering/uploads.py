"""What callers give as attachments, read once.

All is read before any row is made, so that a missing file refuses the mail.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..exceptions import InvalidArgument
from ..headers import validate_header_value, validate_headers
from ..packing import pack

# What makes one attachment the same as another: digest, name, type, headers, and what is beyond these.
Identity = tuple[str, str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The content of an attachment, with all that its row is to say of it."""

    name: str | None
    content: bytes
    mimetype: str = ""
    headers: Mapping[str, str] | None = None
    # What Django's attachment held beyond these; see `Attachment.as_given`.
    as_given: dict[str, Any] | None = None

    @cached_property
    def digest(self) -> str:
        return sha256(self.content).hexdigest()

    @cached_property
    def identity(self) -> Identity:
        return identity(self.digest, self.name, self.mimetype, self.headers, self.as_given)


def identity(
    digest: str | None,
    name: str | None,
    mimetype: str,
    headers: Mapping[str, Any] | None,
    as_given: Mapping[str, Any] | None,
) -> Identity:
    """Return what two attachments have in common when one may stand for the other."""
    # A database may keep headers in an order of its own.
    headers_text = json.dumps(dict(headers), sort_keys=True) if headers else ""
    return (digest or "", name or "", mimetype, headers_text, pack(as_given) if as_given else "")


class Reader:
    """Reads attachments as callers of `mail.send()` give them, each object once.

    One reader serves one call of `send` or `send_many`: an open file given with many mails is read
    once, and the same content, given in whatever way, is in memory once.
    """

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], tuple[Any, Upload]] = {}
        self._contents: dict[str, bytes] = {}

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
            upload = _upload(name, value)
            known = self._contents.setdefault(upload.digest, upload.content)
            if known is not upload.content:
                upload = replace(upload, content=known)
            # The value is kept beside its upload, so that its id stays its own.
            self._read[key] = (value, upload)
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
        try:
            return Path(value).read_bytes()
        except OSError as fault:
            # The errno makes it the same class again, such as FileNotFoundError.
            sentence = f"attachments: {name!r} cannot be read: {fault.strerror}"
            raise OSError(fault.errno, sentence, str(value)) from fault
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
