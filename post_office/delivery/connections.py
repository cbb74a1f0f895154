"""Backends by alias: how each is configured, and one open connection to each for every thread.

With `compat`, the only place that knows BACKENDS from MAILERS.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.core.mail.backends import console, dummy, locmem
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.utils.module_loading import import_string

from .. import compat
from ..conf import conf
from ..exceptions import SelfReferringBackend, UnknownBackend
from .policies import option
from .pooling import Held, Shared

if TYPE_CHECKING:
    from ..models import Email

logger = logging.getLogger("post_office")

DEFAULT_ALIAS = "default"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
# Backends of Django that may be named by the last part of their path.
SHORT_NAMES = ("smtp", "console", "filebased", "locmem", "dummy")
# What they write is a message as it stands, and so it is with their subclasses.
DJANGOS_OWN = (SMTPBackend, console.EmailBackend, locmem.EmailBackend, dummy.EmailBackend)
# A mark on classes that put mail into this queue; found on subclasses, too, and under any path.
QUEUES_MAIL = "queues_in_post_office"


def backends() -> dict[str, dict[str, Any]]:
    """Return {alias: {"BACKEND": dotted path, "OPTIONS": {...}}} of BACKENDS.

    Without BACKENDS, that is EMAIL_BACKEND as "default", or SMTP where that is this queue.
    """
    configured = {alias: _normalised(entry) for alias, entry in conf.BACKENDS.items()}
    if configured or compat.mailers_are_configured():
        return configured
    path = full_path(conf.EMAIL_BACKEND or compat.legacy_email_backend())
    return {DEFAULT_ALIAS: {"BACKEND": SMTP if _is_queue(path) else path, "OPTIONS": {}}}


def aliases() -> list[str]:
    """Return the aliases to which mail can be sent."""
    known = dict.fromkeys(backends())
    if compat.mailers_are_configured():
        known |= dict.fromkeys(compat.mailers())
    return list(known)


def served_aliases(only: Sequence[str] | None) -> list[str]:
    """Return what the mail of these backends, or of all, has as its alias: "" where it names none."""
    chosen = aliases() if only is None else only
    return ["", *chosen] if default_alias() in chosen else list(chosen)


def default_alias() -> str:
    """Return the alias that delivers mail which names none."""
    return delivering_alias(conf.DEFAULT_MAILER or DEFAULT_ALIAS)


def delivering_alias(alias: str) -> str:
    """Return the alias that delivers what is sent by this one.

    That is itself; or, for a mailer of MAILERS that queues mail here, the one in its option `using`,
    or else DEFAULT_MAILER. Where this goes in a circle, what is returned queues mail, too.
    """
    passed: set[str] = set()
    while alias not in passed and (options := _options_of_queue(alias)) is not None:
        passed.add(alias)
        alias = options.get("using") or conf.DEFAULT_MAILER or DEFAULT_ALIAS
    return alias


def is_queue(alias: str) -> bool:
    """Return whether mail of an alias would be put into this queue again; BACKENDS come before MAILERS."""
    return _options_of_queue(alias) is not None


def _options_of_queue(alias: str) -> dict[str, Any] | None:
    """Return the options of a mailer of MAILERS that queues mail here, None for any other alias."""
    mailer = None if alias in conf.BACKENDS else queueing_mailers().get(alias)
    return None if mailer is None else dict(mailer.get("OPTIONS", {}))


def queueing_mailers() -> dict[str, dict[str, Any]]:
    """Return those entries of MAILERS that put mail into this queue."""
    return {
        alias: entry for alias, entry in compat.mailers().items() if _is_queue(entry.get("BACKEND", SMTP))
    }


def alias_of(email: Email) -> str:
    """Return the alias that delivers a mail."""
    return delivering_alias(email.backend_alias) if email.backend_alias else default_alias()


def validate_alias(alias: str) -> str:
    """Return the alias that delivers what is queued for this one; an empty one stands for the default.

    Raises:
        UnknownBackend: None is configured under it.
        SelfReferringBackend: It would queue the mail again.
    """
    if not alias:
        return alias
    if alias not in aliases():
        raise UnknownBackend(alias)
    delivering = delivering_alias(alias)
    if is_queue(delivering):
        raise SelfReferringBackend(alias)
    return delivering


def is_for_development(alias: str) -> bool:
    """Return whether the backend of an alias is one of Django's that deliver nothing."""
    entry = backends().get(alias) or compat.mailers().get(alias) or {}
    development = [f"django.core.mail.backends.{name}.EmailBackend" for name in SHORT_NAMES if name != "smtp"]
    return entry.get("BACKEND", SMTP) in development


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
        if _queues_mail(backend_class):
            raise SelfReferringBackend(alias)
        backend = compat.construct_backend(backend_class, alias, dict(entry["OPTIONS"]))
    elif alias in compat.mailers():
        backend = compat.mailer(alias)
        if _queues_mail(type(backend)):
            raise SelfReferringBackend(alias)
    else:
        raise UnknownBackend(alias)
    if isinstance(backend, SMTPBackend) and backend.timeout is None:
        # Without one, a server that stops answering holds a thread for ever.
        backend.timeout = conf.BATCH_DELIVERY_TIMEOUT
    backend.open()
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

    def share(self, shared: Shared) -> None:
        """Let this thread share connections with others, where a backend may have few."""
        self._shared = shared

    def give_back(self) -> None:
        """Let other threads have the connections that are shared."""
        for alias in list(self._held):
            if self._shared is not None and option(alias, "MAX_CONNECTIONS") is not None:
                self._shared.put(self._held.pop(alias))

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


def _normalised(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        entry = {"BACKEND": entry}
    return {"BACKEND": full_path(entry.get("BACKEND", SMTP)), "OPTIONS": entry.get("OPTIONS", {})}


def full_path(name: str) -> str:
    """Return the dotted path that a short name such as "smtp" or "smtp.EmailBackend" stands for."""
    module, _, backend_class = name.partition(".")
    if module in SHORT_NAMES and backend_class in ("", "EmailBackend"):
        return f"django.core.mail.backends.{module}.EmailBackend"
    return name


def _queues_mail(backend_class: type) -> bool:
    return bool(getattr(backend_class, QUEUES_MAIL, False))


def _is_queue(path: str) -> bool:
    """Return whether the backend at a path queues mail. A check names one that cannot be imported."""
    try:
        return _queues_mail(import_string(path))
    except ImportError:
        return False
