"""Backends for tests: each does one thing that a real one may do."""

import os
import smtplib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend as LocmemBackend

from post_office import EmailBackend


class FaultyBackend(BaseEmailBackend):
    """Raises what `faults` says for the first recipient; else delivers to the outbox."""

    faults: dict[str, Exception] = {}
    opened: list["FaultyBackend"] = []
    closed: list["FaultyBackend"] = []

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outbox = LocmemBackend(**({"alias": self.alias} if getattr(self, "alias", None) else {}))

    def open(self) -> None:
        if "open" in self.faults:
            raise self.faults["open"]
        self.opened.append(self)

    def close(self) -> None:
        self.closed.append(self)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            if fault := self.faults.get(message.to[0]):
                raise fault
        return self.outbox.send_messages(email_messages)


class SilentBackend(BaseEmailBackend):
    """Sends nothing, raises nothing, and says so."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        return 0


class WordlessBackend(LocmemBackend):
    """Delivers and returns nothing, as many backends do."""

    @staticmethod
    def deliver(email_messages: Sequence[EmailMessage]) -> int:
        from django.core import mail

        for message in email_messages:
            mail.outbox.append(message)
        return len(email_messages)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> None:  # type: ignore[override]
        super().send_messages(email_messages)


class ThirdPartyBackend(BaseEmailBackend):
    """One that is not Django's own."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        return WordlessBackend.deliver(email_messages)


class ProviderBackend(BaseEmailBackend):
    """Leaves the provider's id on the message, as Anymail's backends do."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            message.anymail_status = SimpleNamespace(  # type: ignore[attr-defined]
                message_id={f"id of {message.to[0]}"}
            )
        return WordlessBackend.deliver(email_messages)


class DeadlyBackend(WordlessBackend):
    """Ends the process that sends a certain mail, as a library that crashes does."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> None:  # type: ignore[override]
        if any(message.subject == "Deadly" for message in email_messages):
            os._exit(1)


class QueueingBackend(EmailBackend):
    """A project's own subclass of the queue."""


TRY_LATER = smtplib.SMTPDataError(451, b"4.3.0 try later")
NO_SUCH_USER = smtplib.SMTPRecipientsRefused({"ann@example.com": (550, b"5.1.1 no such user")})
