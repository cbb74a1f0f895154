"""Messages that stand as bytes: those of classes that build them in their own way.

They go out as those bytes, whatever serialises them; only the ends of lines are the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import Message
from email.policy import Policy
from typing import Any

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


def with_headers(source: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a source with these headers in place of those of the same names; an empty one goes."""
    message = message_from_bytes(source, policy=policy.compat32)
    for name, value in headers.items():
        del message[name]
        if value:
            message[name] = value
    return source_of(message)
