"""The way through the queue, laid under tests that know nothing of it.

Django's tests of mail send by `send_mail()` and its sisters and look into `mail.outbox`; or they make an
`EmailMessage` and look at what its `message()` returns. `ThroughTheQueue` sends both on a round trip:

- What they take for Django's locmem backend is `QueueBeforeLocmem`: it queues with post_office's backend,
  reads the new rows from the database and delivers each through the true locmem backend. So what is in
  `mail.outbox` was a row in between.
- `EmailMessage.message()` and `.recipients()` queue the message, deliver it to a backend that keeps it, and
  return what the delivered message answers. Post_office itself meets Django's own methods: they are put back
  for the time of the trip.

What a trip refuses, it raises where the test called it, as Django would.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.core.mail import DNS_NAME, EmailMessage
from django.core.mail.backends import locmem
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend as Locmem
from django.test import TestCase, override_settings

import post_office
from post_office.models import STATUS, Email
from post_office.signals import email_queued

# What Django's tests send by. Each delivers under its own name, which locmem notes in `sent_using`.
ALIASES = ("default", "custom", "notifications", "test_alias")
BACKENDS = dict.fromkeys(ALIASES, f"{__name__}.Outbox") | {"keeper": f"{__name__}.Keeper"}

travelled: Counter[str] = Counter()  # for the summary of the run


class NotDelivered(AssertionError):
    """A queued mail did not come out at the other end. Says what the delivery met."""


class ThroughTheQueue(TestCase):
    """Mixin for a test case of Django's, which becomes one with a database."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(patch.object(settings, "EMAIL_BACKEND", f"{locmem.__name__}.EmailBackend"))
        cls.enterClassContext(patch.object(locmem, "EmailBackend", QueueBeforeLocmem))
        cls.enterClassContext(patch.multiple(EmailMessage, message=message, recipients=recipients))
        cls.enterClassContext(override_settings(POST_OFFICE={"BACKENDS": BACKENDS}))
        cls.enterClassContext(patch.dict(vars(DNS_NAME)))  # one of Django's tests leaves another name behind
        super().setUpClass()

    @contextmanager
    def subTest(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Let the first fault of a test be its fault, so that a test passes or fails as a whole."""
        yield


# --- sending ------------------------------------------------------------------------------------


class QueueBeforeLocmem(post_office.EmailBackend):
    """What Django's tests take for the locmem backend."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        alias = kwargs.get("alias")
        super().__init__(*args, using=alias if alias in ALIASES else "default", **kwargs)

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        with as_django_has_them(), announced() as queued:
            accepted = super().send_messages(email_messages)
            for email in queued:
                deliver(email)
        return accepted


QueueBeforeLocmem.__qualname__ = "EmailBackend"  # for Django's warnings about a backend


class Outbox(Locmem):
    """Django's locmem backend; what it holds is known to have travelled."""

    def send_messages(self, messages: Iterable[EmailMessage]) -> int:
        arrived = list(messages)
        for message in arrived:
            message.has_travelled = True  # type: ignore[attr-defined]
        return super().send_messages(arrived)


@contextmanager
def announced() -> Iterator[list[Email]]:
    """Collect the mail that is queued in the block."""
    queued: list[Email] = []

    def collect(sender: type[Email], emails: list[Email], **kwargs: Any) -> None:
        queued.extend(emails)

    email_queued.connect(collect)
    try:
        yield queued
    finally:
        email_queued.disconnect(collect)


def deliver(email: Email) -> None:
    """Dispatch a mail as any process would that finds its row. Raises `NotDelivered`."""
    found = Email.objects.get(pk=email.pk)
    if found.dispatch() != STATUS.sent:
        log = found.logs.get()
        raise NotDelivered(f"{log.exception_type}: {log.message}")
    travelled["mails"] += 1


# --- message() and recipients() -----------------------------------------------------------------

DJANGOS_OWN = {"message": EmailMessage.message, "recipients": EmailMessage.recipients}


def as_django_has_them() -> AbstractContextManager[Any]:
    return patch.multiple(EmailMessage, **DJANGOS_OWN)


def message(self: EmailMessage, **kwargs: Any) -> Any:
    with as_django_has_them():
        arrived = self if hasattr(self, "has_travelled") else delivered(self)
        return arrived.message(**kwargs)


def recipients(self: EmailMessage) -> list[str]:
    with as_django_has_them():
        if hasattr(self, "has_travelled") or not self.recipients():
            return self.recipients()
        return delivered(self).recipients()


def delivered(message: EmailMessage) -> EmailMessage:
    """Queue a message and return what arrives for it at a backend."""
    message = copy.copy(message)
    # It would not come to the queue if it had a connection to somewhere else.
    vars(message).update(dict.fromkeys({"connection", "_connection"} & vars(message).keys()))
    if not message.recipients():
        message.bcc = ["somebody@example.com"]  # nothing is queued for nobody, and this does not show
    Keeper.kept.clear()
    with announced() as queued:
        accepted = post_office.EmailBackend(using="keeper").send_messages([message])
    assert (accepted, len(queued)) == (1, 1)
    deliver(queued[0])
    (arrived,) = Keeper.kept
    return arrived


class Keeper(BaseEmailBackend):
    """Keeps the messages of a trip for the one who sent it."""

    kept: list[EmailMessage] = []

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        arrived = list(email_messages)
        self.kept.extend(arrived)
        return len(arrived)
