"""Messages as bytes for Django's SMTP backend: quickly where they are of the common shape.

What comes out is, byte for byte, what this Django and this Python make of the message, but for the
moment in Date and the number in a boundary. Samples are compared with Django's own before the first
message, and again when what makes messages was changed meanwhile. Where they differ, or a message is of
no common shape, Django does the work.
"""

from __future__ import annotations

import logging
from email import policy
from email.charset import CHARSETS
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail import message as django_message
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

from ...compat import HAS_MODERN_EMAIL, built_bytes, smtp_address
from ..message import BuiltMessage
from .addresses import known_address
from .dialect import Dialect
from .drift import what_differs
from .layout import written
from .legacy import Legacy
from .modern import Modern

if TYPE_CHECKING:
    from typing import TypeGuard

logger = logging.getLogger("post_office")

# Of attributes of a message, those that would change how it is built.
_CHANGE_IT = frozenset(name for name in dir(BuiltMessage) if callable(getattr(BuiltMessage, name))) | {
    "mixed_subtype",
    "alternative_subtype",
}


class Serialiser:
    """Makes envelopes and bytes of messages, and knows whether it may do so by itself."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._verified: list[Any] | None = None
        self._dialect: Dialect | None = None

    def __call__(self, message: EmailMessage) -> bytes:
        """Return the bytes of a message as Django's SMTP backend sends it.

        Raises whatever Django raises for a message that it cannot build.
        """
        return _serialised(message, self.dialect())

    def with_envelope(self, message: EmailMessage, backend: SMTPBackend) -> tuple[str, list[str], bytes]:
        """Return sender and recipients as this backend hands them to smtplib, and the bytes.

        Raises ValueError for an address that it refuses.
        """
        dialect = self.dialect()
        is_usual = type(backend) is SMTPBackend and "prep_address" not in vars(backend)
        address = known_address if is_usual and dialect else smtp_address
        encoding = message.encoding or settings.DEFAULT_CHARSET
        mailboxes = [message.from_email, *message.recipients()]
        sender, *recipients = [address(mailbox, encoding, backend) for mailbox in mailboxes]
        return sender, recipients, _serialised(message, dialect)

    def dialect(self) -> Dialect | None:
        """Return what messages are written in, or None where Django is to do all of it.

        The first call compares samples; so a worker makes it before it has mail.
        """
        around = _surroundings()
        if around != self._verified:
            with self._lock:
                if around != self._verified:
                    self._dialect = _verified_dialect()
                    self._verified = around
        return self._dialect


serialise = Serialiser()


def _serialised(message: EmailMessage, dialect: Dialect | None) -> bytes:
    if dialect and _is_usual(message):
        try:
            return written(message, dialect)
        except Exception as fault:  # Django raises it again, or knows what to make of it
            logger.debug("A message is left to Django: %r", fault)
    return built_bytes(message)


def _verified_dialect() -> Dialect | None:
    dialect = Modern() if HAS_MODERN_EMAIL else Legacy()
    difference = what_differs(dialect)
    if difference is None:
        return dialect
    logger.warning("Messages are built by Django alone, which is slower: %s.", difference)
    return None


def _surroundings() -> list[Any]:
    """Return what decides about the bytes of messages and may be changed or patched while we run."""
    return [
        settings.DEFAULT_CHARSET,
        settings.EMAIL_USE_LOCALTIME,
        CHARSETS.get("utf-8"),
        BuiltMessage.message,
        policy.SMTP,
        getattr(SMTPBackend, "prep_address", None),
        *vars(EmailMessage).values(),
        *vars(EmailMultiAlternatives).values(),
        *vars(django_message).values(),
    ]


def _is_usual(message: EmailMessage) -> TypeGuard[BuiltMessage]:
    """Return whether a message is one of ours, in UTF-8, and nothing in it changes how it is built."""
    return (
        type(message) is BuiltMessage
        and message._source is None
        and message.encoding in (None, "utf-8")
        and vars(message).keys().isdisjoint(_CHANGE_IT)
    )
