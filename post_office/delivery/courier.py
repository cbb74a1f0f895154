"""The attempts of one sending thread, one after the other over its open connections.

Where an SMTP server takes several commands at once, the envelope of the next mail goes with the content of
this one (RFC 2920, section 3.1). So a mail takes one round trip and not two. The server cannot have taken the
next mail before it has its content, so until then that can be given back.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable

from . import smtp
from .attempts import Begun, Job, attempt, begin, finish
from .connections import connections
from .faults import Fault
from .receipts import Receipt


class Courier:
    """Everything is for the thread whose attempts it makes.

    Args:
        upcoming: Returns the job that this thread does next, and waits for none. None where there is none, or
            another thread may be free for it.
    """

    def __init__(self, upcoming: Callable[[], Job | None]) -> None:
        self._upcoming = upcoming
        self._alias = ""
        self._begun: Begun | None = None

    def attempt(self, job: Job) -> Receipt | Fault:
        """Send one prepared mail. Uses no database."""
        begun, self._begun = self._begun, None
        self._alias = job.alias
        return finish(begun, self._begin_next) if begun else attempt(job, behind=self._begin_next)

    def abandon(self) -> None:
        """Leave the mail that was begun, if one was: it is not to go now, or not by this thread."""
        if self._begun is not None:
            smtp.abandon(self._begun.dialogue)
            connections.discard(self._begun.job.alias)
            self._begun = None

    def _begin_next(self, server: smtplib.SMTP) -> bytes:
        """Return what begins the next mail over this connection; nothing where it goes another way."""
        self._begun = None
        job = self._upcoming() if server.has_extn("pipelining") else None
        if job is None or job.alias != self._alias:
            return b""
        held = connections.again(job.alias)
        if held is None or not smtp.hears_each_answer(held.backend) or held.backend.connection is not server:
            return b""
        self._begun = begin(job, held.backend, server)
        if self._begun is None:
            return b""
        held.use()
        return self._begun.dialogue.next_group()
