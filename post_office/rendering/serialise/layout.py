"""A message as text and HTML, images and attachments, and the bytes of these."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message, MIMEPart
from email.mime.base import MIMEBase
from email.utils import make_msgid
from typing import Any

from django.core.mail import DNS_NAME

from ...compat import HAS_MODERN_EMAIL
from ..message import BuiltMessage
from .dialect import Dialect, Place, Unsure, a_boundary, encoding_field, in_base64

# Fields that stand in a message at their own place, wherever they stand among its extra headers.
_PLACED = {"from", "to", "cc", "reply-to"}
# Fields that say what Django says by itself.
_OF_DJANGO = re.compile("subject|bcc|mime-version|content-.*").fullmatch
_SUBTYPE = re.compile(r"[a-z][a-z0-9.-]{0,20}")
_MIMETYPE = re.compile(r"(?!message/|multipart/)[a-z]+/[a-z0-9][a-z0-9.+-]*")


@dataclass(slots=True)
class Text:
    subtype: str
    content: str


@dataclass(slots=True)
class Finished:
    """A part whose bytes are known."""

    source: bytes


@dataclass(slots=True)
class Multipart:
    mimetype: str
    parts: list[Any]
    # It stands where the HTML stood, and has its other fields.
    is_in_place: bool = False


Part = Text | Finished | Multipart


def written(message: BuiltMessage, dialect: Dialect) -> bytes:
    """Return the bytes of a message. Raises `Unsure`."""
    return _Writer(dialect).part(_whole(message, dialect), Place.WHOLE, _fields(message, dialect))


# --- fields -------------------------------------------------------------------------------------------


def _fields(message: BuiltMessage, dialect: Dialect) -> bytes:
    extra = message.extra_headers
    names = {name.lower() for name in extra}
    if len(names) < len(extra) or any(map(_OF_DJANGO, names)):
        raise Unsure
    fields = [
        dialect.field("Subject", message.subject),
        dialect.field("From", extra.get("From", message.from_email)),
    ]
    for name, mailboxes in (("To", message.to), ("Cc", message.cc), ("Reply-To", message.reply_to)):
        if name in extra:
            fields.append(dialect.field(name, extra[name]))
        elif mailboxes:
            fields.append(dialect.mailboxes(name, mailboxes))
    if "date" not in names:
        fields.append(dialect.date(int(time.time())))
    if "message-id" not in names:
        fields.append(dialect.field("Message-ID", make_msgid(domain=str(DNS_NAME))))
    fields += [dialect.field(name, value) for name, value in extra.items() if name.lower() not in _PLACED]
    return b"".join(fields)


# --- parts --------------------------------------------------------------------------------------------


def _whole(message: BuiltMessage, dialect: Dialect) -> Part:
    attachments = [item for item in message.attachments if not message._is_related(item)]
    if not message.body and (attachments or message.alternatives):
        raise Unsure  # Django leaves the body out
    texts = [_text(f"text/{message.content_subtype}", message.body)]
    texts += [_text(mimetype, content) for content, mimetype in message.alternatives]
    parts: list[Any] = texts
    if len(attachments) < len(message.attachments):
        images = [item for item in message.attachments if message._is_related(item)]
        parts = _beside_images(texts, [_attached(image, dialect) for image in images])
    whole = parts[0] if len(parts) == 1 else Multipart("multipart/alternative", parts)
    if attachments:
        return Multipart("multipart/mixed", [whole, *[_attached(item, dialect) for item in attachments]])
    return whole


def _text(mimetype: str, content: Any) -> Text:
    maintype, _, subtype = mimetype.partition("/")
    if maintype != "text" or not _SUBTYPE.fullmatch(subtype) or not isinstance(content, str):
        raise Unsure
    return Text(subtype, content)


def _beside_images(texts: Sequence[Text], images: list[Finished]) -> list[Any]:
    """Put the images beside the HTML that shows them."""
    place = next((number for number, text in enumerate(texts) if text.subtype == "html"), None)
    if place is None:
        raise Unsure
    related = Multipart('multipart/related; type="text/html"', [texts[place], *images], is_in_place=True)
    return [*texts[:place], related, *texts[place + 1 :]]


def _attached(item: Any, dialect: Dialect) -> Finished:
    if isinstance(item, Message):
        if not isinstance(item, (MIMEPart, MIMEBase) if HAS_MODERN_EMAIL else MIMEBase):
            raise Unsure
        return Finished(dialect.flattened(item))
    filename, content, mimetype = item
    if not isinstance(mimetype, str) or not _MIMETYPE.fullmatch(mimetype):
        raise Unsure
    if mimetype.startswith("text/") and isinstance(content, str):
        encoding, content = dialect.encoded(content)
    elif not mimetype.startswith("text/") and isinstance(content, bytes):
        encoding, content = "base64", in_base64(content)
    else:
        raise Unsure
    head = dialect.head_of_attachment(filename, mimetype, encoding)
    return Finished(b"%b\r\n%b" % (head, content))


# --- bytes --------------------------------------------------------------------------------------------


@dataclass
class _Writer:
    dialect: Dialect

    def part(self, part: Part, place: Place, fields: bytes = b"") -> bytes:
        if isinstance(part, Finished):
            return part.source
        if isinstance(part, Text):
            return self._text(part, place, fields)
        return self._multipart(part, place, fields)

    def _text(self, text: Text, place: Place, fields: bytes) -> bytes:
        encoding, content = self.dialect.encoded(text.content)
        kind = f'Content-Type: text/{text.subtype}; charset="utf-8"\r\n'.encode()
        head = self.dialect.head_of_text(kind, self.dialect.version(place), encoding_field(encoding))
        return b"%b%b\r\n%b" % (head, fields, content)

    def _multipart(self, multipart: Multipart, place: Place, fields: bytes) -> bytes:
        first = Place.INNER if multipart.is_in_place else Place.FIRST
        parts = [
            self.part(part, first if number == 0 else Place.LATER)
            for number, part in enumerate(multipart.parts)
        ]
        boundary = _boundary_of(parts)
        before, after = self.dialect.kind_of_multipart(multipart.mimetype)
        kind, version = before + boundary + after, self.dialect.version(place)
        if multipart.is_in_place:
            head = version + fields + kind
        else:
            head = self.dialect.head_of_multipart(kind, version) + fields
        between = b"\r\n--%b\r\n" % boundary
        return b"%b%b%b\r\n--%b--\r\n" % (head, between, between.join(parts), boundary)


def _boundary_of(parts: Sequence[bytes]) -> bytes:
    """Return a boundary that occurs in none of these."""
    while True:
        boundary = a_boundary(random.randrange(sys.maxsize)).encode()
        if not any(boundary in part for part in parts):
            return boundary
