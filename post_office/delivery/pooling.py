"""Open connections: until when each may be used, and how threads share those of which there may be few.

A connection is a thread's own. Where the entry of a backend has MAX_CONNECTIONS, it is lent for one mail
and then given to whichever thread needs it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

from .policies import option

logger = logging.getLogger("post_office")

# A connection that nobody used for so long is closed, where its backend says nothing else in IDLE_TIMEOUT.
IDLE_TIMEOUT = timedelta(seconds=60)
# One that nobody used for so many seconds is asked whether it still stands.
ASK_AFTER = 10.0


@dataclass(eq=False)
class Held:
    """An open connection, to be used as its backend said when it was opened.

    Attributes:
        most_mails: None for any number.
        idle_timeout, greatest_age: In seconds.
        is_shared: It is lent for one mail.
    """

    alias: str
    backend: BaseEmailBackend
    opened_at: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)
    mails: int = 0

    def __post_init__(self) -> None:
        idle: timedelta = option(self.alias, "IDLE_TIMEOUT") or IDLE_TIMEOUT
        age: timedelta | None = option(self.alias, "MAX_CONNECTION_AGE")
        self.most_mails: int | None = option(self.alias, "MAX_MESSAGES")
        self.idle_timeout = idle.total_seconds()
        self.greatest_age = math.inf if age is None else age.total_seconds()
        self.is_shared = option(self.alias, "MAX_CONNECTIONS") is not None

    def is_fit(self) -> bool:
        """Return whether it may be used for one more mail."""
        return self.may_go_on() and self._stands()

    def may_go_on(self) -> bool:
        """Return whether it may be used for one more mail while it is in use; nothing is asked of the
        server."""
        is_used_up = self.most_mails is not None and self.mails >= self.most_mails
        return not is_used_up and not self.is_too_old()

    def is_too_old(self) -> bool:
        """Return whether it is to be closed even if no mail comes."""
        now = time.monotonic()
        return now - self.used_at >= self.idle_timeout or now - self.opened_at >= self.greatest_age

    def use(self) -> BaseEmailBackend:
        """Return the backend, for one mail."""
        self.mails += 1
        self.used_at = time.monotonic()
        return self.backend

    def close(self) -> None:
        """Close it. A fault in that is logged only: what was sent is sent."""
        try:
            self.backend.close()
        except Exception as fault:
            logger.debug("Closing the connection to backend %s failed: %s", self.alias, fault)

    def _stands(self) -> bool:
        recently = time.monotonic() - self.used_at < ASK_AFTER
        if recently or not isinstance(self.backend, SMTPBackend) or self.backend.connection is None:
            return True
        try:
            code, _answer = self.backend.connection.noop()
        except OSError:  # smtplib's exceptions are of it
            return False
        return code == 250


class Shared:
    """Connections that the threads of one worker share, of backends with MAX_CONNECTIONS."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_use: Counter[str] = Counter()
        self._idle: dict[str, list[Held]] = {}
        # By alias, how many there may be; looked up once.
        self._most: dict[str, int | None] = {}

    def enter(self, alias: str, wait: float | None) -> bool:
        """Take the right to use one connection; returns False where there is none within some seconds."""
        if alias not in self._most:
            self._most[alias] = option(alias, "MAX_CONNECTIONS")
        most = self._most[alias]
        if most is None:
            return True
        with self._changed:
            if not self._changed.wait_for(lambda: self._in_use[alias] < most, wait):
                return False
            self._in_use[alias] += 1
            return True

    def leave(self, alias: str) -> None:
        """Give the right back, where there is one to be given."""
        if self._most[alias] is None:
            return
        with self._changed:
            self._in_use[alias] -= 1
            self._changed.notify_all()

    def has_idle(self, alias: str) -> bool:
        return bool(self._idle.get(alias))

    def take(self, alias: str) -> Held | None:
        """Return a connection that nobody uses, the last one first, so that others may grow old."""
        with self._changed:
            idle = self._idle.get(alias)
            return idle.pop() if idle else None

    def put(self, held: Held) -> None:
        with self._changed:
            self._idle.setdefault(held.alias, []).append(held)

    def close(self, *, only_old: bool = False) -> None:
        """Close those that nobody uses."""
        with self._changed:
            idle = [held for connections in self._idle.values() for held in connections]
            closing = [held for held in idle if held.is_too_old() or not only_old]
            self._idle = {
                alias: [held for held in connections if held not in closing]
                for alias, connections in self._idle.items()
            }
        for held in closing:
            held.close()
