"""Images that a template shows inside its HTML, collected for each render on its own.

A compiled template is shared by threads, so nothing is ever kept on it: the images of a render
live in a context variable while it runs.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders

from ..compat import mime_part
from ..exceptions import PostOfficeError

_collected: ContextVar[dict[str, InlineImage] | None] = ContextVar("post_office_images", default=None)


class NotRenderingMail(PostOfficeError, AssertionError):
    """`{% inline_image %}` was met where nobody collects images."""

    def __init__(self) -> None:
        super().__init__(
            "{% inline_image %} works in the templates of mails and in the engine "
            "post_office.template.backends.post_office.PostOfficeTemplates."
        )


class NotAnImage(PostOfficeError, ValueError):
    """`{% inline_image %}` was given a file that is not an image."""

    def __init__(self, name: str) -> None:
        super().__init__(f"inline_image: {name!r} is not an image.")


@dataclass(frozen=True, kw_only=True)
class InlineImage:
    """An image beside the HTML, found by its Content-ID (RFC 2392): the MD5 of its content."""

    cid: str
    content: bytes
    mimetype: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Disposition": f'inline; filename="{self.cid}"',
            "Content-ID": f"<{self.cid}>",
        }

    def as_part(self) -> Message:
        return mime_part(self.mimetype, self.content, self.headers.items())


@contextmanager
def collecting() -> Iterator[dict[str, InlineImage]]:
    """Collect the images of what is rendered in this block, by their Content-ID."""
    images: dict[str, InlineImage] = {}
    token = _collected.set(images)
    try:
        yield images
    finally:
        _collected.reset(token)


def add(file: Any) -> str:
    """Add an image to the render that is running and return its `cid:` URL.

    Args:
        file: An `ImageFile`, an absolute path, or the name of a static file.

    Raises:
        FileNotFoundError: There is no such file; with DEBUG only, else an empty string is returned.
    """
    images = _collected.get()
    if images is None:
        raise NotRenderingMail
    try:
        name, content = _read(file)
    except FileNotFoundError:
        if settings.DEBUG:
            raise
        return ""
    cid = hashlib.md5(content, usedforsecurity=False).hexdigest()
    images[cid] = InlineImage(cid=cid, content=content, mimetype=_mimetype(name, content))
    return f"cid:{cid}"


def is_inline_image(headers: dict[str, Any] | None) -> bool:
    """Return whether these headers of an attachment are those that `InlineImage` makes."""
    cid = str((headers or {}).get("Content-ID", "")).strip("<>")
    disposition = str((headers or {}).get("Content-Disposition", ""))
    return bool(cid) and disposition.startswith("inline") and f'filename="{cid}"' in disposition


def _read(file: Any) -> tuple[str, bytes]:
    if hasattr(file, "read"):
        file.open()
        return str(file.name), file.read()
    path = str(file) if os.path.isabs(str(file)) else finders.find(str(file))
    if not path:
        raise FileNotFoundError(f"{file} is no static file.")
    return str(file), Path(path).read_bytes()


# What mail programs show, told apart by the first bytes where the name does not tell.
_SIGNATURES = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
]


def _mimetype(name: str, content: bytes) -> str:
    guessed = mimetypes.guess_type(name)[0] or ""
    if guessed.startswith("image/"):
        return guessed
    for signature, mimetype in _SIGNATURES:
        if content.startswith(signature):
            return mimetype
    raise NotAnImage(name)
