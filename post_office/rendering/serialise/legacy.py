"""The dialect of Django 5.2: Python's old API of email, with Django's own classes for parts."""

from __future__ import annotations

import re
from email.charset import Charset
from email.generator import BytesGenerator
from email.message import Message
from email.utils import formatdate
from functools import lru_cache
from io import BytesIO

from ...compat import field_of_5_2, text_of_5_2
from .dialect import SHORT, Dialect, Encoded, Place
from .words import has_plain_blanks, named

# Of a line in a text (RFC 5322, section 2.1.1).
LONGEST_LINE = 998
# Whose values are mailboxes.
_OF_ADDRESSES = {
    *("from", "sender", "reply-to", "to", "cc", "bcc"),
    *("resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc"),
}
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Legacy(Dialect):
    versioned = frozenset((Place.WHOLE, Place.FIRST, Place.LATER))

    # --- fields ---------------------------------------------------------------------------------

    def by_heart(self, name: str, value: str) -> bytes | None:
        room = SHORT - len(name) - 2
        if len(value) > room or not has_plain_blanks(value):
            return None
        found: str | None = value
        if not value.isascii():
            found = _mailbox(value) if name.lower() in _OF_ADDRESSES else _encoded_word(value)
        return None if found is None or len(found) > room else f"{name}: {found}\r\n".encode()

    def asked(self, name: str, value: str) -> bytes:
        message = Message()
        message.__setitem__(*field_of_5_2(name, value))
        return self.flattened(message).removesuffix(b"\r\n")

    @lru_cache(maxsize=4)  # noqa: B019 - a dialect lives as long as its process
    def date(self, seconds: int) -> bytes:
        return f"Date: {formatdate(seconds)}\r\n".encode()

    # --- parts ----------------------------------------------------------------------------------

    def head_of_text(self, kind: bytes, version: bytes, encoding: bytes) -> bytes:
        return kind + version + encoding

    def head_of_multipart(self, kind: bytes, version: bytes) -> bytes:
        return kind + version

    def blank(self) -> Message:
        return Message()

    def flattened(self, part: Message) -> bytes:
        found = BytesIO()
        BytesGenerator(found, mangle_from_=False).flatten(part, linesep="\r\n")
        return found.getvalue()

    def encoded(self, text: str) -> Encoded:
        source = text.encode()
        if len(source) > LONGEST_LINE and max(map(len, source.splitlines())) > LONGEST_LINE:
            part = text_of_5_2(text)
            _head, _, content = self.flattened(part).partition(b"\r\n\r\n")
            return Encoded(str(part["Content-Transfer-Encoding"]), content)
        if b"\r" in source:
            source = _LINE_END.sub(b"\n", source)
        return Encoded("7bit" if text.isascii() else "8bit", source.replace(b"\n", b"\r\n"))


def _encoded_word(text: str) -> str:
    return Charset("utf-8").header_encode(text)


def _mailbox(mailbox: str) -> str | None:
    found = named(mailbox)
    if found is None:
        return None
    name, address = found
    return mailbox if name.isascii() else f"{_encoded_word(name)} <{address}>"
