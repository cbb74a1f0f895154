"""Mailboxes as text (RFC 5322, section 3.4): split, check and parse them.

One string is one mailbox. A comma inside quotes, a comment or angle brackets belongs to the
mailbox; any other comma would make it two, which is how a recipient could be smuggled in.
"""

import re
from collections.abc import Iterable
from email.utils import parseaddr
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .headers import ends_line, is_storable

# A display name is words and quoted strings. What is special in a header (RFC 5322, section 3.2.3) needs
# the quotes: without them, one program reads a name where another reads an address. One character at a time:
# two ways to match the same text would take exponential time where no address follows.
_NAME = r'(?:[^()<>\[\]:;@\\,"]|"(?:[^"\\]|\\.)*")*'
# Where none of these is, a comma stands between two mailboxes.
_HIDES_COMMAS = re.compile(r'["(<\\]')
_NAME_AND_ADDRESS = re.compile(rf"{_NAME}<(?P<address>[^<>]*)>", re.DOTALL)


def split_mailboxes(text: str) -> list[str]:
    """Split a comma-separated list into mailboxes, with surrounding white space removed."""
    if not _HIDES_COMMAS.search(text):
        return [mailbox for part in text.split(",") if (mailbox := part.strip())]
    if "," not in text:
        return [mailbox] if (mailbox := text.strip()) else []
    mailboxes: list[str] = []
    start = depth = 0
    quoted = bracketed = escaped = False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\" and (quoted or depth):
            escaped = True
        elif char == '"' and not depth:
            quoted = not quoted
        elif quoted:
            pass
        elif char == "(":
            depth += 1
        elif char == ")" and depth:
            depth -= 1
        elif depth:
            pass
        elif char in "<>":
            bracketed = char == "<"
        elif char == "," and not bracketed:
            mailboxes.append(text[start:position])
            start = position + 1
    mailboxes.append(text[start:])
    return [mailbox for part in mailboxes if (mailbox := part.strip())]


def join_mailboxes(mailboxes: Iterable[str]) -> str:
    """The inverse of `split_mailboxes`."""
    return ", ".join(mailbox.strip() for mailbox in mailboxes)


@lru_cache(maxsize=1024)  # a sender stands in every mail; what is refused is not kept
def validate_mailbox(text: str) -> None:
    """Accept exactly one mailbox, with or without a display name.

    Raises ValidationError 'Enter a valid email address.'; also for a second mailbox hidden behind
    a comma and for anything that would end a header line.
    """
    if ends_line(text) or not is_storable(text) or len(split_mailboxes(text)) != 1:
        raise ValidationError(validate_email.message, code="invalid", params={"value": text})
    validate_email(bare_address(text))


def is_mailbox(text: str) -> bool:
    """Return whether `validate_mailbox` accepts this."""
    try:
        validate_mailbox(text)
    except ValidationError:
        return False
    return True


def bare_address(text: str) -> str:
    """Return the addr-spec of a mailbox, without its display name."""
    match = _NAME_AND_ADDRESS.fullmatch(text.strip())
    return match["address"].strip() if match else text.strip()


def display_name(text: str) -> str:
    """Return the display name of a mailbox, unquoted, or an empty string."""
    return parseaddr(text)[0]
