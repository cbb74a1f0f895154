"""What Celery's tasks and Django's tasks have in common: mail that is queued wakes a worker.

The wake-up says nothing but "look into the queue". Which mail a worker gets is decided by its claims
alone, so one wake-up too many finds nothing to do, and one that is lost is made up for by the next, or
by a run of cron.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import router, transaction

from .conf import conf
from .delivery.supervisor import Supervisor
from .logutils import complain, is_complaining
from .models import Email

logger = logging.getLogger("post_office")


@dataclass
class _Ticket:
    """Good for one wake-up."""

    spent: bool = False


class _Here(threading.local):
    """What a thread is at."""

    def __init__(self) -> None:
        # By database, where the transactions of a thread follow each other.
        self.tickets: dict[str, _Ticket] = {}
        self.delivering = False
        self.asked_again = False


class Waker:
    """Wakes workers of one task framework.

    Args:
        framework: Its name, for the log.
        enqueue: Enqueues a task that calls `deliver()`.
    """

    def __init__(self, framework: str, enqueue: Callable[[], object]) -> None:
        self._framework = framework
        self._enqueue = enqueue
        self._here = _Here()

    def after_commit(self, emails: Sequence[Email]) -> None:
        """Wake one worker when the transaction that queued `emails` commits, and none if it rolls back.

        All that is queued in one transaction shares one wake-up. What goes wrong with it is logged
        and not raised: the mail is in the queue by then.
        """
        using = emails[0]._state.db if emails else None
        using = using or router.db_for_write(Email)
        ticket = self._here.tickets.get(using)
        if ticket is None or ticket.spent:
            ticket = self._here.tickets[using] = _Ticket()
        # Each registers, since a savepoint may take back the others. A ticket of a transaction that
        # was rolled back is as good for the next.
        transaction.on_commit(partial(self._spend, ticket), using=using)

    def _spend(self, ticket: _Ticket) -> None:
        if not ticket.spent:
            ticket.spent = True
            self._wake()

    def _wake(self) -> None:
        # The log may be mailed to the admins, by this very queue.
        if is_complaining():
            return
        try:
            self._enqueue()
        except Exception as fault:  # whatever a broker or its client may raise; nobody is waiting for it
            said = "%s could not wake a worker. Queued mail waits for the next wake-up or a cron run: %s"
            complain(said, self._framework, fault, fault=fault)

    def deliver(self, processes: int = 1, log_level: int | None = None) -> None:
        """Deliver one batch, and wake a worker for the rest if there is more.

        In batches, so that a worker that is told to stop need not wait for a whole newsletter, and
        other tasks get their turn. Takes no lock and handles no signals: workers share the queue by
        claims, and the framework has its own way to stop them.
        """
        # A framework that is set to run tasks in the calling thread, as in tests, comes back here
        # from `_wake()`: the loop goes on instead.
        if self._here.delivering:
            self._here.asked_again = True
            return
        self._here.delivering = True
        try:
            while self._deliver_batch(processes, log_level):
                self._here.asked_again = False
                self._wake()
                if not self._here.asked_again:
                    break
        finally:
            self._here.delivering = False

    def _deliver_batch(self, processes: int, log_level: int | None) -> bool:
        """Deliver up to BATCH_SIZE mails. Returns whether there may be more that can be sent now."""
        limit = conf.BATCH_SIZE
        totals = Supervisor(processes=processes, log_level=log_level, limit=limit).run()
        # Without an attempt, all of it was released, as its backend is out of order: no more for now.
        return totals.attempted > 0 and totals.attempted + totals.released >= limit
