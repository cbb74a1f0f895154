"""Django's mail backend: `send_mail()` and `EmailMessage.send()` put mail into the queue."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from . import arguments, compose, mail
from .compat import connection_of
from .logutils import complain


class EmailBackend(BaseEmailBackend):
    """Queues messages as they are: subject and bodies are no templates here.

    Usable as EMAIL_BACKEND = "post_office.EmailBackend" and as BACKEND in MAILERS.

    Args:
        fail_silently: Do not raise for a message that cannot be queued; log it.
        using: Alias of the backend that is to deliver; the default one otherwise.
        priority: Of the mail; DEFAULT_PRIORITY otherwise.
    """

    queues_in_post_office = True

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        using: str = "",
        priority: str | int | None = None,
        **kwargs: Any,
    ) -> None:
        if "alias" not in kwargs:
            _warn_about_options(kwargs)
            kwargs = {}
        # With an alias, of MAILERS, Django refuses what is left over.
        super().__init__(**kwargs)
        self.fail_silently = fail_silently
        self.using = using
        self.priority = None if priority is None else arguments.parse_priority(priority)

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        """Queue messages, in one transaction. Returns how many have recipients and are accepted.

        Raises what `compose.of_message` raises, before any message is queued, and what the database
        raises. With `fail_silently`, such a message is left out.
        """
        drafts = [made for message in email_messages or () if (made := self._draft(message))]
        try:
            if drafts:
                mail.queue(drafts)
        except Exception as fault:
            if not self.fail_silently:
                raise
            complain("%s messages could not be queued: %s", len(drafts), fault, fault=fault)
            return 0
        return len(drafts)

    def _draft(self, message: EmailMessage) -> compose.Draft | None:
        try:
            if not message.recipients():
                return None
            _warn_about_connection(message)
            return compose.of_message(message, priority=self.priority, backend=self.using)
        except Exception as fault:
            if not self.fail_silently:
                raise
            complain("A message could not be queued: %s", fault, fault=fault)
            return None


def _warn_about_options(options: dict[str, Any]) -> None:
    """Say that what is meant for a server is not kept with the mail, such as `auth_user` of `send_mail()`."""
    given = [name for name, value in options.items() if value not in (None, "")]
    if given:
        names = {"username": "auth_user", "password": "auth_password"}
        warnings.warn(
            f"{', '.join(names.get(name, name) for name in given)}: not kept with queued mail. Configure a "
            "backend with these options in POST_OFFICE['BACKENDS'] and name it in `using`.",
            stacklevel=4,
        )


def _warn_about_connection(message: EmailMessage) -> None:
    connection = connection_of(message)
    if connection is not None and not getattr(connection, "queues_in_post_office", False):
        warnings.warn(
            f"connection: {connection!r} is not kept with queued mail. Configure a backend like it in "
            "POST_OFFICE['BACKENDS'] and name it in `using`.",
            stacklevel=4,
        )
