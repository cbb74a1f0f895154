"""Text in quoted-printable (RFC 2045, section 6.7), in lines as Python's email package breaks them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email import quoprimime

# With fewer octets to escape in a text, it is quicker to look for each.
FEW = 64

# All that needs an escape, but for the equals sign.
_NEEDY = re.compile(rb"[^\t\n !-~]")
_BLANK_AT_END = re.compile(rb"[ \t]\n")
_ESCAPES = [
    f"={octet:02X}" if quoprimime.body_check(octet) and octet != ord("\n") else chr(octet)
    for octet in range(256)
]


def quoted(lines: Sequence[bytes], width: int) -> str:
    """Return the lines of a text in lines of this width, each of which ends with "\\n"."""
    text = b"\n".join([*lines, b""])
    if _BLANK_AT_END.search(text):
        return quoprimime.body_encode(text.decode("latin-1"), width)
    found: list[str] = []
    for line in _escaped(text).split("\n"):
        while len(line) > width:
            end = width - 1
            if line[end - 2] == "=":  # no escape is broken
                end -= 2
            elif line[end - 1] == "=":
                end -= 1
            found.append(line[:end] + "=")
            line = line[end:]
        found.append(line)
    return "\n".join(found)


def _escaped(text: bytes) -> str:
    if len(_NEEDY.findall(text)) < FEW:
        return _NEEDY.sub(_escape, text.replace(b"=", b"=3D")).decode()
    return text.decode("latin-1").translate(_ESCAPES)


def _escape(match: re.Match[bytes]) -> bytes:
    return _ESCAPES[match[0][0]].encode()
