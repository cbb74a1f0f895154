"""One worker process: claim, prepare, feed the sending threads, settle, beat, stop.

All SQL runs on the thread that calls `run`. What a sending thread took is in flight until its
outcome is settled; everything else that is held can be released at any moment.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import Error as DatabaseFault
from django.db import InterfaceError, OperationalError, router
from django.db import connections as databases
from django.utils import timezone

from ..conf import conf
from ..models import Email, Worker
from ..queue import claims, liveness, outcomes
from ..queue.outcomes import Outcome, Released, Settled
from .classify import Fault
from .connections import aliases, connections, default_alias
from .deliver import Job, attempt, outcome, prepare

logger = logging.getLogger("post_office")

SETTLE_AFTER = 0.020  # seconds that an outcome waits for company
SETTLE_AT = 25  # outcomes that are written together
LOOK_AGAIN = 0.5  # seconds between claims when the last one got less than it asked for


@dataclass
class WorkerLoop:
    """Delivers until nothing is due, its limit is reached, or it is told to stop.

    Args:
        log_level: As in LOG_LEVEL.
        limit: Mails to deliver at most; None for all.
        should_stop: Asked often; True ends the run after what is in flight.
        on_settled: Told of each batch of outcomes.
    """

    log_level: int
    limit: int | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_settled: Callable[[Settled], None] = lambda settled: None
    threads: int = field(default_factory=lambda: conf.THREADS_PER_PROCESS)

    def __post_init__(self) -> None:
        self.total = Settled()
        self.stopping = False
        # Backends that cannot be reached; this run leaves them alone. With the reason.
        self.paused: dict[str, str] = {}
        self._claimed: deque[Email] = deque()
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Email, Fault | Released | None]] = queue.SimpleQueue()
        self._with_threads = 0
        self._unsettled: list[tuple[Email, Outcome]] = []
        self._oldest_unsettled = 0.0
        self._settle_not_before = 0.0
        self._claim_not_before = 0.0
        self._accepted = 0
        self._said_waiting = False
        self._recent: deque[tuple[float, int]] = deque()
        self._observer = liveness.Observer()
        self._rng = random.Random()

    def run(self) -> Settled:
        """Deliver, and return what was settled."""
        self._register()
        self._observer.free_dead(self.row)
        senders = [
            threading.Thread(target=self._send_all, name=f"post_office sender {number}", daemon=True)
            for number in range(1, self.threads + 1)
        ]
        for thread in senders:
            thread.start()
        try:
            while self._step():
                pass
            return self.total
        finally:
            # After a fault of our own, threads give back what they have not begun.
            self.stopping = True
            for _ in senders:
                self._todo.put(None)
            for thread in senders:
                thread.join()
            self._close()

    # --- the main thread ----------------------------------------------------------------------

    def _step(self) -> bool:
        """Do whatever can be done now, wait a little for threads; returns False at the end."""
        self._beat_if_due()
        if not self.stopping and self.should_stop():
            self._stop()
        self._claim_if_wanted()
        self._feed()
        self._collect()
        self._settle_if_due()
        if self._held:
            return True
        return not self.stopping and not self._limit_is_reached and self._more_to_come()

    @property
    def _held(self) -> int:
        return len(self._claimed) + self._with_threads + len(self._unsettled)

    @property
    def _limit_is_reached(self) -> bool:
        return self.limit is not None and self._accepted >= self.limit

    def _claim_if_wanted(self) -> None:
        if self.stopping or self._limit_is_reached or time.monotonic() < self._claim_not_before:
            return
        wanted = self._window()
        if self._held > wanted // 2:
            return
        room = wanted - self._held
        if self.limit is not None:
            room = min(room, self.limit - self._accepted)
        got = self._claim(room)
        self._claimed.extend(got)
        self._accepted += len(got)
        if len(got) < room and self._held:
            self._claim_not_before = time.monotonic() + LOOK_AGAIN

    def _claim(self, room: int) -> list[Email]:
        try:
            return self._claimer.claim(room, self._aliases(), timezone.now())
        except (OperationalError, InterfaceError) as fault:
            self._database_failed("claim mail", fault)
            self._claim_not_before = time.monotonic() + LOOK_AGAIN
            if not self._held:
                time.sleep(LOOK_AGAIN)
            return []

    def _window(self) -> int:
        """Return how much to hold: a second's worth, so that urgent mail need not wait for more."""
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - 1:
            self._recent.popleft()
        per_second = sum(count for _, count in self._recent)
        return max(1, min(conf.BATCH_SIZE, max(2 * self.threads, per_second)))

    def _aliases(self) -> list[str]:
        open_aliases = [alias for alias in aliases() if alias not in self.paused]
        return ["", *open_aliases] if default_alias() not in self.paused else open_aliases

    def _feed(self) -> None:
        """Prepare mail for the threads, a little ahead of them, and no more while outcomes wait."""
        while self._claimed and self._todo.qsize() < self.threads and len(self._unsettled) < SETTLE_AT:
            email = self._claimed.popleft()
            if (alias := email.backend_alias or default_alias()) in self.paused:
                self._note(email, Released(backend=alias))
                continue
            job = prepare(email)
            if isinstance(job, Job):
                self._with_threads += 1
                self._todo.put(job)
            else:
                self._note(email, job)
            if not self._done.empty():
                break

    def _collect(self) -> None:
        if not self._with_threads:
            return
        wait = SETTLE_AFTER
        if self._claimed and self._todo.qsize() < self.threads and len(self._unsettled) < SETTLE_AT:
            wait = 0
        while self._with_threads:
            try:
                email, result = self._done.get(timeout=wait) if wait else self._done.get_nowait()
            except queue.Empty:
                return
            self._with_threads -= 1
            self._note(email, result)
            if len(self._unsettled) >= SETTLE_AT:
                return
            wait = 0

    def _note(self, email: Email, result: Fault | Released | None) -> None:
        if not self._unsettled:
            self._oldest_unsettled = time.monotonic()
        if not isinstance(result, Released):
            result_now = outcome(email, result, timezone.now(), self._rng)
        else:
            result_now = result
        if isinstance(result_now, Released) and result_now.report is not None:
            self._pause(result_now.backend, result_now.report.message)
        self._unsettled.append((email, result_now))

    def _pause(self, alias: str, reason: str) -> None:
        if alias not in self.paused:
            logger.error("Backend %s is out of order, its mail waits: %s", alias, reason)
            self.paused[alias] = reason

    def _settle_if_due(self) -> None:
        now = time.monotonic()
        if not self._unsettled or now < self._settle_not_before:
            return
        waited = now - self._oldest_unsettled
        if waited < SETTLE_AFTER and len(self._unsettled) < SETTLE_AT and self._with_threads:
            return
        try:
            settled = outcomes.settle(self._unsettled, self.row, self.log_level, timezone.now())
        except (OperationalError, InterfaceError) as fault:
            # What a server took must be written down: try as long as this process lives.
            self._database_failed("write outcomes", fault)
            self._settle_not_before = time.monotonic() + LOOK_AGAIN
            if not self._with_threads:
                time.sleep(LOOK_AGAIN)
            return
        self._recent.append((now, len(self._unsettled)))
        self._unsettled = []
        self.total += settled
        self.on_settled(settled)

    def _database_failed(self, what: str, fault: DatabaseFault) -> None:
        connection = databases[router.db_for_write(Email)]
        if connection.in_atomic_block:
            raise fault
        logger.warning("The database did not let us %s, trying again: %s", what, fault)
        connection.close()

    def _more_to_come(self) -> bool:
        """With nothing held: look for mail of dead workers, and once more for mail that is due."""
        if self._observer.free_dead(self.row):
            return True
        got = self._claim(self._window())
        if got:
            self._claimed.extend(got)
            self._accepted += len(got)
            return True
        undecided = self._observer.undecided(self.row)
        if undecided:
            self._wait_for(undecided)
            return True
        return False

    def _wait_for(self, undecided: list[Worker]) -> None:
        names = ", ".join(str(worker) for worker in undecided)
        if not self._said_waiting:
            logger.info("Nothing else is due; waiting to see whether these workers live: %s", names)
            self._said_waiting = True
        time.sleep(min(LOOK_AGAIN, liveness.beat_interval() / 4))

    def _stop(self) -> None:
        """Take back what no thread has begun, and release it with what was only claimed."""
        self.stopping = True
        waiting = list(self._claimed)
        self._claimed.clear()
        while True:
            try:
                job = self._todo.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                self._with_threads -= 1
                waiting.append(job.email)
        for email in waiting:
            self._note(email, Released(backend=email.backend_alias))

    # --- beats --------------------------------------------------------------------------------

    def _register(self) -> None:
        self.row = liveness.register(timezone.now())
        self._claimer = claims.Claimer(self.row)
        self._beat_at = time.monotonic()

    def _beat_if_due(self) -> None:
        if time.monotonic() - self._beat_at < liveness.beat_interval():
            return
        try:
            alive = liveness.beat(self.row, timezone.now())
        except (OperationalError, InterfaceError) as fault:
            self._database_failed("show that we live", fault)
            return
        if not alive:
            logger.error("Worker %s was taken for dead; it starts anew.", self.row)
            self._forget_claims()
            self._register()
            return
        self._beat_at = time.monotonic()
        self._observer.free_dead(self.row)

    def _forget_claims(self) -> None:
        """Others have our mail by now. What is in flight will be settled in vain, and say so."""
        self._claimed.clear()
        while self._with_threads:
            email, result = self._done.get()
            self._with_threads -= 1
            self._note(email, result)
        if self._unsettled:
            outcomes.settle(self._unsettled, self.row, self.log_level, timezone.now())
            self._unsettled = []

    def _close(self) -> None:
        """Write down what is known, and leave. Where the database does not let us, the claims stay
        until others find that this worker is gone."""
        while not self._done.empty():
            self._note(*self._done.get())
        try:
            if self._unsettled:
                self.total += outcomes.settle(self._unsettled, self.row, self.log_level, timezone.now())
            liveness.retire(self.row)
        except DatabaseFault as fault:
            logger.warning("Worker %s could not leave in order: %s", self.row, fault)

    # --- sending threads ----------------------------------------------------------------------

    def _send_all(self) -> None:
        try:
            while (job := self._todo.get()) is not None:
                self._done.put((job.email, self._send(job)))
        finally:
            connections.close()
            # A storage may keep its files in the database.
            databases.close_all()

    def _send(self, job: Job) -> Fault | Released | None:
        if self.stopping or job.alias in self.paused:
            return Released(backend=job.alias)
        # A process that was suspended may have been taken for dead meanwhile.
        if time.monotonic() - self._beat_at > conf.LEASE_DURATION.total_seconds() / 2:
            return Released(backend=job.alias)
        return attempt(job)
