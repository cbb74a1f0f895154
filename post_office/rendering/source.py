"""Messages that stand as bytes: those of classes that build them in their own way.

They go out as those bytes, whatever serialises them; only the ends of lines are the server's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.header import Header
from email.message import Message
from email.policy import Policy
from email.utils import formataddr
from typing import Any

from django.utils.encoding import punycode

from ..addresses import bare_address, display_name
from ..compat import HAS_MODERN_EMAIL
from .parts import source_of


class SourceMessage(Message):
    """Parsed, so that its headers and parts can be read; serialised as the bytes that it was made of."""

    source: bytes | None = None

    def as_bytes(
        self, unixfrom: bool = False, policy: Policy | None = None, linesep: str | None = None
    ) -> bytes:
        if self.source is None:  # a part of such a message
            return super().as_bytes(unixfrom, policy)
        return self.source.replace(b"\n", (linesep or (policy or self.policy).linesep).encode())

    def __bytes__(self) -> bytes:
        return self.as_bytes()

    def as_string(self, *args: Any, **kwargs: Any) -> str:
        return self.as_bytes().decode("ascii", "surrogateescape")

    __str__ = as_string


def parsed(source: bytes, **kwargs: Any) -> SourceMessage:
    """Return a source as a message.

    Args:
        kwargs: As for `EmailMessage.message`: the policy, which gives the ends of lines.
    """
    own_policy: Policy = policy.default if HAS_MODERN_EMAIL else policy.compat32
    message: SourceMessage = message_from_bytes(
        source, SourceMessage, policy=kwargs.get("policy", own_policy)
    )
    message.source = source
    return message


def message_id_of(source: bytes) -> str | None:
    """Return the Message-ID of a source."""
    found = message_from_bytes(source)["Message-ID"]
    return str(found).strip() if found else None


# Columns of an email, and the headers that say the same.
_HEADERS = {"subject": "Subject", "from_email": "From", "to": "To", "cc": "Cc"}


def edited(source: bytes, changed: Mapping[str, str | Sequence[str]]) -> bytes:
    """Return a source with other headers; an empty value removes one.

    Args:
        changed: Values by the name of a column or of a header: a text, or a list of mailboxes.
    """
    if not changed:
        return source
    message = message_from_bytes(source, policy=policy.compat32)
    for name, value in changed.items():
        header = _HEADERS.get(name, name)
        del message[header]
        mailboxes = [value] if header == "From" else value
        if value:
            message[header] = _words(mailboxes) if isinstance(mailboxes, str) else _mailboxes(mailboxes)
    return source_of(message)


def _mailboxes(mailboxes: Any) -> str:
    pairs = [(display_name(mailbox), bare_address(mailbox)) for mailbox in mailboxes]
    return ", ".join(formataddr((name, _in_ascii(address))) for name, address in pairs)


def _in_ascii(address: str) -> str:
    local_part, at, domain = address.rpartition("@")
    return f"{local_part}{at}{punycode(domain)}"


def _words(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8").encode()
