"""The sending threads of a worker: they take prepared mail, send it, and hand back what came of it.

They use no database. What a thread has taken is in flight; what still waits can be taken back.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from django.db import connections as databases

from ..models import Email
from ..queue.outcomes import Released
from .classify import unexpected
from .connections import connections
from .deliver import Job
from .faults import Fault
from .pooling import Shared
from .receipts import Receipt

LOOK_AT_IDLE = 1.0  # seconds between looks of a thread that has nothing to do
TURN = 0.05  # seconds to wait for a connection where a backend may have few

# What a thread hands back: that the backend took the mail, a fault, or that it did not begin.
Result = Receipt | Fault | Released


class Senders:
    """Threads that send; each has one open connection to each backend, and closes it at its end.

    Args:
        threads: How many.
        send: Sends one prepared mail, on a sending thread.
    """

    def __init__(self, threads: int, send: Callable[[Job], Result]) -> None:
        self._send = send
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Email, Result]] = queue.SimpleQueue()
        # Mails given and not handed back yet.
        self.in_hand = 0
        self._shared = Shared()
        self._finishing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"post_office sender {number}", daemon=True)
            for number in range(1, threads + 1)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def want_more(self) -> bool:
        """Whether fewer mails wait than there are threads."""
        return self._todo.qsize() < len(self._threads)

    @property
    def have_results(self) -> bool:
        return not self._done.empty()

    def give(self, job: Job) -> None:
        self.in_hand += 1
        self._todo.put(job)

    def results(self, wait: float) -> Iterator[tuple[Email, Result]]:
        """Yield what is done; the first may be waited for, for some seconds."""
        while self.in_hand:
            try:
                done = self._done.get(timeout=wait) if wait else self._done.get_nowait()
            except queue.Empty:
                return
            self.in_hand -= 1
            yield done
            wait = 0

    def take_back(self) -> list[Email]:
        """Return the mails that no thread has begun; they are no longer in hand."""
        taken: list[Email] = []
        while True:
            try:
                job = self._todo.get_nowait()
            except queue.Empty:
                return taken
            if job is not None:
                self.in_hand -= 1
                taken.append(job.email)

    def finish(self) -> Iterator[tuple[Email, Result]]:
        """End the threads when they have done what was given to them; yield the last results."""
        self._finishing = True
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()
        self._shared.close()
        yield from self.results(wait=0)

    def _next(self) -> Job | None:
        while True:
            try:
                return self._todo.get(timeout=LOOK_AT_IDLE)
            except queue.Empty:
                connections.close_old()

    def _do(self, job: Job) -> None:
        # A thread that waited for its turn at a backend would keep the mail of others from going.
        if not self._shared.enter(job.alias, wait=None if self._finishing else TURN):
            self._todo.put(job)
            return
        try:
            result = self._try(job)
            connections.give_back()
        finally:
            self._shared.leave(job.alias)
        self._done.put((job.email, result))

    def _try(self, job: Job) -> Result:
        """Send, and hand something back whatever happens: a mail without an outcome would be waited
        for without end."""
        try:
            return self._send(job)
        except BaseException as exception:  # as of gevent or asyncio
            connections.close()
            return unexpected(exception)

    def _work(self) -> None:
        connections.share(self._shared)
        try:
            while (job := self._next()) is not None:
                self._do(job)
        finally:
            connections.close()
            # A storage may keep its files in the database.
            databases.close_all()
