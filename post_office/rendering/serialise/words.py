"""Header values whose form leaves nothing to decide: plain words, plain mailboxes, plain Message-IDs.

And the encoded words (RFC 2047) of those with letters beyond ASCII.
"""

from __future__ import annotations

import binascii
import re

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ATOMS = rf"{_ATOM}(?:\.{_ATOM})*"
_ADDRESS = rf"{_ATOMS}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_BARE = re.compile(_ADDRESS)
_NAME = rf'{_ATOM}(?: {_ATOM})*|"[^"\\ ]+(?: [^"\\ ]+)*"'
_MAILBOX = re.compile(rf"(?P<named>(?:{_NAME}) <)?{_ADDRESS}(?(named)>)")
# A name of words that need no quotes, with letters of any language.
_WORDS = r"[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*"
_NAMED = re.compile(rf'(?P<quote>"?)(?P<name>{_WORDS})(?P=quote) <(?P<address>{_ADDRESS})>')
# What an encoded word need not escape (RFC 2047, section 5, the strictest rule).
_TO_ESCAPE = re.compile(rb"[^A-Za-z0-9!*+/_-]|_")
_ID = re.compile(rf"<{_ATOMS}@{_ATOMS}>")


def is_bare_address(text: str) -> bool:
    """Return whether this is an address of plain words (RFC 5322, section 3.2.3), and nothing else."""
    return bool(_BARE.fullmatch(text)) and "=?" not in text


def is_plain_mailbox(text: str) -> bool:
    """Return whether this is one mailbox that stands in a header as it is."""
    return bool(_MAILBOX.fullmatch(text)) and is_plain(text)


def is_plain(text: str) -> bool:
    """Return whether these are ASCII words between single blanks, and none of them looks encoded."""
    return has_plain_blanks(text) and text.isascii()


def has_plain_blanks(text: str) -> bool:
    """Return whether these are words between single blanks, of characters that are seen."""
    return bool(
        text
        and text.isprintable()
        and "=?" not in text
        and "?=" not in text
        and "  " not in text
        and text[0] != " "
        and text[-1] != " "
    )


def is_message_id(text: str) -> bool:
    return bool(_ID.fullmatch(text)) and "=?" not in text


def named(mailbox: str) -> tuple[str, str] | None:
    """Return the name and the address of a mailbox with a name of plain words, else None."""
    match = _NAMED.fullmatch(mailbox)
    if match and has_plain_blanks(mailbox):
        return match["name"], match["address"]
    return None


def encoded_word(text: str) -> str:
    """Return a text as one encoded word, quoted rather than in base64 if that is no longer by far."""
    source = text.encode()
    in_base64 = binascii.b2a_base64(source, newline=False).decode()
    quoted = _TO_ESCAPE.sub(_escaped, source).decode()
    if len(quoted) - len(in_base64) < 5:
        return f"=?utf-8?q?{quoted}?="
    return f"=?utf-8?b?{in_base64}?="


def _escaped(match: re.Match[bytes]) -> bytes:
    octet = match[0]
    return b"_" if octet == b" " else b"=%02X" % octet[0]


def in_words(text: str) -> str:
    """Return a text with one encoded word, from the first word that needs it to the last."""
    words = text.split(" ")
    needy = [number for number, word in enumerate(words) if not word.isascii()]
    first, last = needy[0], needy[-1] + 1
    return " ".join([*words[:first], encoded_word(" ".join(words[first:last])), *words[last:]])
