"""What one version of Django makes of single header fields and parts: the words of a dialect.

Of what is common a dialect knows the form by heart. For the rest it asks Django, or Python as Django
does, about this one field or part, and remembers the answer for a while. Whatever is neither raises
`Unsure`, and then only Django itself can tell.
"""

from __future__ import annotations

import binascii
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from email.message import Message
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, cast

from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import EmailAttachment

from ...compat import built
from .words import is_plain_mailbox

# A line that is known by heart is no longer than this; every version folds at 76 or 78 characters.
SHORT = 76
# Longer values are not remembered.
LONGEST_REMEMBERED = 1000
# Nor are larger files; the same one often goes to many recipients.
LARGEST_REMEMBERED = 250_000
MIME_VERSION = b"MIME-Version: 1.0\r\n"

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,50}")
_IN_LINES = re.compile(rb".{1,76}", re.DOTALL)


class Unsure(Exception):
    """Only Django itself can tell what these bytes are."""


class Place(Enum):
    """Where a part stands; that says whether it has a MIME-Version of its own."""

    WHOLE = "the message itself"
    FIRST = "the first part of it"
    LATER = "another part"
    INNER = "the HTML beside its images"


class Encoded(NamedTuple):
    """A content in the form in which it is transferred."""

    encoding: str
    content: bytes


class Dialect(ABC):
    # Parts that have a MIME-Version.
    versioned: frozenset[Place]

    @abstractmethod
    def by_heart(self, name: str, value: str) -> bytes | None:
        """Return a field of the common form, or None for any other."""

    @abstractmethod
    def asked(self, name: str, value: str) -> bytes:
        """Return a field as Django writes it. Raises whatever Django raises."""

    @abstractmethod
    def date(self, seconds: int) -> bytes:
        """Return the field Date for a moment in seconds since the epoch."""

    @abstractmethod
    def encoded(self, text: str) -> Encoded:
        """Return a text as Django encodes it."""

    @abstractmethod
    def head_of_text(self, kind: bytes, version: bytes, encoding: bytes) -> bytes:
        """Return the fields about the content of a text, in their order."""

    @abstractmethod
    def head_of_multipart(self, kind: bytes, version: bytes) -> bytes:
        """Return the fields about the content of a multipart, in their order."""

    @abstractmethod
    def blank(self) -> Message:
        """Return a message without fields, of the kind that Django builds."""

    @abstractmethod
    def flattened(self, part: Message) -> bytes:
        """Return a part as it is serialised within a message."""

    # --- fields ---------------------------------------------------------------------------------

    def field(self, name: str, value: Any) -> bytes:
        if not isinstance(value, str) or not _FIELD_NAME.fullmatch(name):
            raise Unsure
        known = self.by_heart(name, value)
        if known is not None:
            return known
        try:
            return (
                self._remembered(name, value) if len(value) <= LONGEST_REMEMBERED else self.asked(name, value)
            )
        except Exception as fault:  # Django will raise it again
            raise Unsure from fault

    def mailboxes(self, name: str, mailboxes: Sequence[Any]) -> bytes:
        """Return a field with mailboxes."""
        texts = [str(mailbox) for mailbox in mailboxes]
        text = ", ".join(texts)
        if len(name) + len(text) + 2 <= SHORT and all(map(is_plain_mailbox, texts)):
            return f"{name}: {text}\r\n".encode()
        return self.field(name, text)

    @lru_cache(maxsize=2048)  # noqa: B019 - a dialect lives as long as its process
    def _remembered(self, name: str, value: str) -> bytes:
        return self.asked(name, value)

    # --- parts ----------------------------------------------------------------------------------

    def version(self, place: Place) -> bytes:
        return MIME_VERSION if place in self.versioned else b""

    @lru_cache(maxsize=32)  # noqa: B019
    def kind_of_multipart(self, mimetype: str) -> tuple[bytes, bytes]:
        """Return the field Content-Type of a multipart: what stands before its boundary, and after it."""
        boundary = a_boundary(0)
        part = self.blank()
        part["Content-Type"] = mimetype
        part.set_boundary(boundary)
        before, _, after = _head(self.flattened(part)).partition(boundary.encode())
        return before, after

    @lru_cache(maxsize=512)  # noqa: B019
    def head_of_attachment(self, filename: str | None, mimetype: str, encoding: str) -> bytes:
        """Return the fields of an attachment whose content is encoded like this."""
        is_text = mimetype.startswith("text/")
        message = EmailMultiAlternatives(body="body")
        message.attachments = [EmailAttachment(filename, "" if is_text else b"", mimetype)]
        part = cast(Message, built(message).get_payload(1))
        usual = encoding_field("7bit" if is_text else "base64")
        before, found, after = _head(self.flattened(part)).partition(usual)
        if not found:
            raise Unsure
        return before + encoding_field(encoding) + after


def encoding_field(encoding: str) -> bytes:
    return f"Content-Transfer-Encoding: {encoding}\r\n".encode()


def a_boundary(number: int) -> str:
    """Return a boundary as Python makes it of a number below `sys.maxsize`."""
    return f"{'=' * 15}{number:019d}=="


def in_base64(content: bytes) -> bytes:
    """Return a content in lines of 76 characters (RFC 2045, section 6.8)."""
    return _remembered_base64(content) if len(content) <= LARGEST_REMEMBERED else _base64(content)


@lru_cache(maxsize=8)
def _remembered_base64(content: bytes) -> bytes:
    return _base64(content)


def _base64(content: bytes) -> bytes:
    encoded = binascii.b2a_base64(content, newline=False)
    return b"\r\n".join([*_IN_LINES.findall(encoded), b""])


def _head(part: bytes) -> bytes:
    return part.partition(b"\r\n\r\n")[0] + b"\r\n"
