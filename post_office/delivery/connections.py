"""Connections: one open connection to each backend for every thread."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from django.core.mail.backends import console, dummy, locmem
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.utils.module_loading import import_string

from .. import compat
from ..aliases import backends, default_alias, delivering_alias, queues_mail
from ..conf import conf
from ..exceptions import SelfReferringBackend, UnknownBackend
from .dialogue import let_the_system_wait
from .pooling import Held, Shared

if TYPE_CHECKING:
    from ..models import Email

logger = logging.getLogger("post_office")

# What they write is a message as it stands, and so it is with their subclasses.
DJANGOS_OWN = (SMTPBackend, console.EmailBackend, locmem.EmailBackend, dummy.EmailBackend)


def alias_of(email: Email) -> str:
    """Return the alias that delivers a mail."""
    return delivering_alias(email.backend_alias) if email.backend_alias else default_alias()


def open_connection(alias: str) -> BaseEmailBackend:
    """Return a new, open backend that delivers what is queued for an alias.

    Raises:
        UnknownBackend: No backend has this alias.
        SelfReferringBackend: It would queue the mail again.
    """
    alias = delivering_alias(alias)
    entry = backends().get(alias)
    if entry is not None:
        backend_class = import_string(entry["BACKEND"])
        if queues_mail(backend_class):
            raise SelfReferringBackend(alias)
        backend = compat.construct_backend(backend_class, alias, dict(entry["OPTIONS"]))
    elif alias in compat.mailers():
        backend = compat.mailer(alias)
        if queues_mail(type(backend)):
            raise SelfReferringBackend(alias)
    else:
        raise UnknownBackend(alias)
    if isinstance(backend, SMTPBackend) and backend.timeout is None:
        # Without one, a server that stops answering holds a thread for ever.
        backend.timeout = conf.BATCH_DELIVERY_TIMEOUT
    backend.open()
    if type(backend) is SMTPBackend and backend.connection is not None:  # others may have anything there
        let_the_system_wait(backend.connection)
    return backend


def wants_message_id(backend: BaseEmailBackend) -> bool:
    """Return whether our Message-ID goes out through this backend.

    Django's own write whatever they are given; some providers refuse mail that brings one.
    """
    return isinstance(backend, DJANGOS_OWN) or conf.MESSAGE_ID_ENABLED


def sends_by_envelope(backend: BaseEmailBackend) -> bool:
    """Return whether a backend delivers to `message.recipients()`, whatever the headers say."""
    return isinstance(backend, DJANGOS_OWN)


class ConnectionHandler(threading.local):
    """Open backends by alias, each thread its own: `connections["default"]`.

    Unlike Django's handlers it opens what it makes, forgets what it closes, and takes each look-up for
    one mail: a connection that had its share, or that the server has closed, is replaced by a new one.
    """

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._shared: Shared | None = None

    def __getitem__(self, alias: str) -> BaseEmailBackend:
        held = self._held.pop(alias, None) or (self._shared.take(alias) if self._shared else None)
        if held is not None and not held.is_fit():
            held.close()
            held = None
        held = held or Held(alias, open_connection(alias))
        self._held[alias] = held
        return held.use()

    def again(self, alias: str) -> Held | None:
        """Return the connection that a mail is going by, if one more may `use` it right behind; None where
        another is to be used, or another thread is to have this one."""
        held = self._held.get(alias)
        return held if held is not None and not held.is_shared and held.may_go_on() else None

    def share(self, shared: Shared) -> None:
        """Let this thread share connections with others, where a backend may have few."""
        self._shared = shared

    def give_back(self) -> None:
        """Let other threads have the connections that are shared."""
        for held in [held for held in self._held.values() if held.is_shared]:
            if self._shared is not None:
                self._shared.put(self._held.pop(held.alias))

    def is_open(self, alias: str) -> bool:
        """Return whether a connection is open already, which the server may have closed by now."""
        return alias in self._held or bool(self._shared and self._shared.has_idle(alias))

    def all(self) -> list[BaseEmailBackend]:
        """Return this thread's open backends."""
        return [held.backend for held in self._held.values()]

    def close(self) -> None:
        """Close this thread's backends. A fault in closing is logged; the mail is sent by then."""
        for alias in list(self._held):
            self.discard(alias)

    def close_old(self) -> None:
        """Close what was not used for long, or is open for too long; for a thread with nothing to do."""
        for alias, held in list(self._held.items()):
            if held.is_too_old():
                self.discard(alias)
        if self._shared is not None:
            self._shared.close(only_old=True)

    def discard(self, alias: str) -> None:
        """Close one backend, which may be broken; the next use opens a new one."""
        held = self._held.pop(alias, None)
        if held is not None:
            held.close()


connections = ConnectionHandler()
