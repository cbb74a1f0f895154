"""The sending threads of a worker: they take prepared mail, send it, and hand back what came of it.

They use no database. What a thread has taken is in flight; what still waits can be taken back.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import cast

from django.db import connections as databases

from ..models import Email
from ..queue.outcomes import Released
from .attempts import Job
from .classify import unexpected
from .connections import connections
from .courier import Courier
from .faults import Fault
from .pooling import Shared
from .receipts import Receipt
from .turns import Turns

LOOK_AT_IDLE = 1.0  # seconds between looks of a thread that has nothing to do
TURN = 0.05  # seconds to wait for a connection where a backend may have few

# What a thread hands back: that the backend took the mail, a fault, or that it did not begin.
Result = Receipt | Fault | Released


class Senders:
    """Threads that send; each has one open connection to each backend, and closes it at its end.

    Args:
        threads: How many.
        send: Sends one prepared mail, on a sending thread, by the courier of that thread.
    """

    def __init__(self, threads: int, send: Callable[[Job, Courier], Result]) -> None:
        self._send = send
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._turns: Turns[Job] = Turns(self._todo.put)
        self._done: deque[tuple[Email, Result]] = deque()
        # Of what is done, how much the main thread waits for; and how it is woken then. To wake it for
        # each mail would cost more than to send one.
        self._wanted = math.inf
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Mails given and not handed back yet.
        self.in_hand = 0
        # What each thread has taken before its time.
        self._upcoming: list[deque[Job]] = []
        self._shared = Shared()
        self._finishing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"post_office sender {number}", daemon=True)
            for number in range(1, threads + 1)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many mails wait for their turn."""
        return len(self._turns)

    def give(self, job: Job) -> None:
        """Let a thread send this, as soon as one is free and its turn has come."""
        self.in_hand += 1
        if job.turn is None:
            self._todo.put(job)
        else:
            self._turns.put(job, job.turn)

    def wait(self, count: int, seconds: float) -> None:
        """Return when so many mails are done, all that are in hand, one with a fault, or the time is over."""
        self._wanted = min(count, self.in_hand)
        # What is done from here on rings. A fault has done so before.
        if len(self._done) < self._wanted:
            with suppress(queue.Empty):
                self._bell.get(timeout=seconds)
        self._wanted = math.inf
        while not self._bell.empty():
            self._bell.get_nowait()

    def results(self) -> Iterator[tuple[Email, Result]]:
        """Yield what is done."""
        while self._done:
            self.in_hand -= 1
            yield self._done.popleft()

    def take_back(self) -> list[Email]:
        """Return the mails of which no server has any content yet; they are no longer in hand."""
        taken = [job.email for job in self._turns.take_back()]
        for upcoming in self._upcoming:
            with suppress(IndexError):
                taken.append(upcoming.popleft().email)
        with suppress(queue.Empty):
            while True:
                # The word to end is said later than this.
                taken.append(cast(Job, self._todo.get_nowait()).email)
        self.in_hand -= len(taken)
        return taken

    def finish(self) -> Iterator[tuple[Email, Result]]:
        """End the threads when they have done what was given to them; yield the last results."""
        self._finishing = True
        self._turns.end()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()
        self._shared.close()
        yield from self.results()

    def _work(self) -> None:
        connections.share(self._shared)
        upcoming: deque[Job] = deque()
        self._upcoming.append(upcoming)
        courier = Courier(lambda: self._look_ahead(upcoming))
        try:
            while (job := self._next(upcoming, courier)) is not None:
                self._do(job, courier)
        finally:
            courier.abandon()
            connections.close()
            # A storage may keep its files in the database.
            databases.close_all()

    def _next(self, upcoming: deque[Job], courier: Courier) -> Job | None:
        with suppress(IndexError):
            return upcoming.popleft()
        # Where one was begun, it was taken back.
        courier.abandon()
        while True:
            try:
                return self._todo.get(timeout=LOOK_AT_IDLE)
            except queue.Empty:
                connections.close_old()

    def _look_ahead(self, upcoming: deque[Job]) -> Job | None:
        """Take a job before its time, where there are enough that few threads could be idle for that."""
        if self._todo.qsize() <= len(self._threads) // 2 or self._finishing:
            return None
        try:
            job = self._todo.get_nowait()
        except queue.Empty:
            return None
        if job is None:  # the word to end is for whoever is idle
            self._todo.put(None)
            return None
        upcoming.append(job)
        return job

    def _do(self, job: Job, courier: Courier) -> None:
        # A thread that waited for its turn at a backend would keep the mail of others from going.
        if not self._shared.enter(job.alias, wait=None if self._finishing else TURN):
            self._todo.put(job)
            return
        try:
            result = self._try(job, courier)
            connections.give_back()
        finally:
            self._shared.leave(job.alias)
        self._done.append((job.email, result))
        # A fault may be the backend's, whom no other mail is to trouble then.
        if len(self._done) >= self._wanted or isinstance(result, Fault):
            self._bell.put(None)

    def _try(self, job: Job, courier: Courier) -> Result:
        """Send, and hand something back whatever happens: a mail without an outcome would be waited
        for without end."""
        try:
            return self._send(job, courier)
        except BaseException as exception:  # as of gevent or asyncio
            courier.abandon()
            connections.close()
            return unexpected(exception)
