"""The dialect of Django 6: Python's modern API of email, with the header policy of our messages."""

from __future__ import annotations

import binascii
from datetime import datetime, timezone
from email.generator import BytesGenerator
from email.headerregistry import AddressHeader, MessageIDHeader, UnstructuredHeader
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from io import BytesIO

from django.core.mail import EmailMultiAlternatives

from ...compat import built
from ..folding import WholeTokens, between_tokens
from .dialect import Dialect, Encoded, Place, in_base64
from .quoted import quoted
from .words import has_plain_blanks, in_words, is_message_id, is_plain_mailbox, named

# Of a line in a header or a text.
WIDTH = 78
# How much longer an encoded word may be while Python puts it together, word by word.
ALLOWANCE = 5
# Longer texts are not remembered in their encoded form.
LONGEST_REMEMBERED = 50_000


class Modern(Dialect):
    versioned = frozenset((Place.WHOLE, Place.LATER))

    def __init__(self) -> None:
        self._policy = WholeTokens(**vars(SMTP))

    # --- fields ---------------------------------------------------------------------------------

    def by_heart(self, name: str, value: str) -> bytes | None:
        kind = _kind(name)
        found = None
        if kind is UnstructuredHeader:
            found = _unstructured(name, value)
        elif kind is AddressHeader:
            found = _mailbox(name, value)
        elif kind is MessageIDHeader and len(name) + len(value) + 2 <= WIDTH and is_message_id(value):
            found = f" {value}"
        return None if found is None else f"{name}:{found}\r\n".encode()

    def asked(self, name: str, value: str) -> bytes:
        message = EmailMessage(policy=SMTP)
        message[name] = value
        header = message[name]
        if isinstance(header, AddressHeader) and not all(each.domain.isascii() for each in header.addresses):
            # Django encodes these by itself.
            header = built(EmailMultiAlternatives(headers={name: value}))[name]
            message.replace_header(name, header)
        return self.flattened(message).removesuffix(b"\r\n")

    @lru_cache(maxsize=4)  # noqa: B019 - a dialect lives as long as its process
    def date(self, seconds: int) -> bytes:
        return f"Date: {format_datetime(datetime.fromtimestamp(seconds, timezone.utc))}\r\n".encode()

    # --- parts ----------------------------------------------------------------------------------

    def head_of_text(self, kind: bytes, version: bytes, encoding: bytes) -> bytes:
        return kind + encoding + version

    def head_of_multipart(self, kind: bytes, version: bytes) -> bytes:
        return version + kind

    def blank(self) -> Message:
        return EmailMessage(policy=SMTP)

    def flattened(self, part: Message) -> bytes:
        found = BytesIO()
        BytesGenerator(found, mangle_from_=False, policy=self._policy).flatten(part)
        return found.getvalue()

    def encoded(self, text: str) -> Encoded:
        lines = text.encode().splitlines()
        if max(map(len, lines), default=0) <= WIDTH:
            return Encoded("7bit" if text.isascii() else "8bit", b"\r\n".join(lines) + b"\r\n")
        return _remembered(text) if len(text) <= LONGEST_REMEMBERED else _transferred(text)


@lru_cache(maxsize=256)
def _kind(name: str) -> type | None:
    """Return what Python takes a header of this name for."""
    header = SMTP.header_factory(name, "")
    kinds = (UnstructuredHeader, AddressHeader, MessageIDHeader)
    return next((kind for kind in kinds if isinstance(header, kind)), None)


# What follows the colon, each:


def _unstructured(name: str, value: str) -> str | None:
    if not has_plain_blanks(value):
        return None
    if not value.isascii():
        encoded = in_words(value)
        return f" {encoded}" if len(name) + len(encoded) + 2 <= WIDTH - ALLOWANCE else None
    return f" {value}" if len(name) + len(value) + 2 <= WIDTH else _folded(name, value)


def _folded(name: str, value: str) -> str | None:
    """Fold a long value between its words."""
    whole = between_tokens(name, value, WIDTH, "\r\n")
    if whole is not None:
        return f" {whole}"
    if len(value) < WIDTH:  # it gets a line of its own
        return f"\r\n {value}"
    words = value.split(" ")
    if len(name) + 2 + len(words[0]) > WIDTH or max(map(len, words)) >= WIDTH - 1:
        return None
    lines, used = [""], len(name) + 1
    for word in words:
        if used + len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
            used = 0
    return "\r\n".join(lines)


def _mailbox(name: str, value: str) -> str | None:
    room = WIDTH - ALLOWANCE - len(name) - 2
    if len(value) > room:
        return None
    if is_plain_mailbox(value):
        return f" {value}"
    if found := named(value):
        display_name, address = found
        mailbox = value if display_name.isascii() else f"{in_words(display_name)} <{address}>"
        return f" {mailbox}" if len(mailbox) <= room else None
    return None


# --- encoded texts ----------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _remembered(text: str) -> Encoded:
    return _transferred(text)


def _transferred(text: str) -> Encoded:
    """Return a text with long lines, quoted or in base64, whichever makes less of its first lines."""
    lines = text.encode().splitlines()
    first = quoted(lines[:10], WIDTH)
    if len(first) > len(binascii.b2a_base64(b"\r\n".join([*lines[:10], b""]))):
        return Encoded("base64", in_base64(b"\r\n".join([*lines, b""])))
    whole = first + quoted(lines[10:], WIDTH)
    return Encoded("quoted-printable", whole.replace("\n", "\r\n").encode())
