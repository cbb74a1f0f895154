"""The supervisor's dealings with the database: its beats, and the notifications of new mail.

They have a thread of their own, so that a database that does not answer never keeps the supervisor from
its workers and from signals.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait

from django.db import DatabaseError, connections
from django.utils import timezone

from ..models import Dispatcher
from ..queue import dispatchers, liveness
from ..queue.notifications import Listener
from ..queue.outcomes import Settled
from .bell import Bell
from .outage import in_one_line

logger = logging.getLogger("post_office")

TRY_AGAIN = 5.0  # seconds until the database is tried again
LAST_WORDS = 5.0  # seconds that the row may take to be written at the end


class Lookout:
    """Beats for a dispatcher, and says when mail was queued.

    Args:
        row: Of the dispatcher; it need not be in the database yet.
        total: Returns what the dispatcher has done so far.
        on_mail: Called, in the thread, when mail was queued.
    """

    def __init__(self, row: Dispatcher, total: Callable[[], Settled], on_mail: Callable[[], None]) -> None:
        self._row = row
        self._total = total
        self._on_mail = on_mail
        self._listener = Listener()
        self._bell = Bell()
        self._ending = False
        self._beat_next = self._listen_next = time.monotonic()
        self._tidied = self._deaf = False
        self._thread = threading.Thread(target=self._run, name="post_office lookout", daemon=True)

    def __enter__(self) -> Lookout:
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        """Say in the row that the dispatcher ends, if the database lets us do so soon."""
        self._ending = True
        self._bell.ring()
        self._thread.join(LAST_WORDS)
        if not self._thread.is_alive():
            self._bell.close()

    def _run(self) -> None:
        try:
            while not self._ending:
                self._beat_if_due()
                self._open_listener_if_due()
                self._listen()
            connections.close_all()  # the one of the last beat may be long dead
            dispatchers.end(self._row, self._total(), timezone.now())
        except DatabaseError as fault:
            logger.warning(
                "The end of dispatcher %s could not be written down: %s", self._row, in_one_line(fault)
            )
        finally:
            self._listener.close()
            connections.close_all()

    def _beat_if_due(self) -> None:
        if time.monotonic() < self._beat_next:
            return
        try:
            dispatchers.beat(self._row, self._total(), timezone.now())
            if not self._tidied:
                dispatchers.remove_old(timezone.now())
                self._tidied = True
            self._beat_next = time.monotonic() + liveness.beat_interval()
        except DatabaseError as fault:
            logger.warning("Dispatcher %s could not show that it lives: %s", self._row, in_one_line(fault))
            connections.close_all()
            self._beat_next = time.monotonic() + TRY_AGAIN

    def _open_listener_if_due(self) -> None:
        if self._listener.is_open() or time.monotonic() < self._listen_next:
            return
        self._listen_next = time.monotonic() + TRY_AGAIN
        try:
            self._listener.open()
        except DatabaseError as fault:
            self._say_deaf(fault)
            return
        if self._listener.is_open() and self._deaf:
            logger.info("Notifications of new mail are heard again.")
            self._deaf = False
            self._on_mail()  # what was queued meanwhile was not heard of

    def _listen(self) -> None:
        """Wait until there is something to hear or to do."""
        ears = [self._bell.fileno(), *([self._listener.fileno()] if self._listener.is_open() else [])]
        soonest = self._beat_next if self._listener.is_open() else min(self._beat_next, self._listen_next)
        wait(ears, timeout=max(0.0, soonest - time.monotonic()))
        self._bell.silence()
        if not self._listener.is_open():
            return
        try:
            if self._listener.heard():
                self._on_mail()
        except DatabaseError as fault:
            self._say_deaf(fault)

    def _say_deaf(self, fault: DatabaseError) -> None:
        if not self._deaf:
            logger.warning(
                "Notifications of new mail are not heard, looking for mail instead: %s", in_one_line(fault)
            )
            self._deaf = True
