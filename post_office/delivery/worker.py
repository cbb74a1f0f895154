"""One worker: claim, prepare, feed the sending threads, settle, beat, stop.

All SQL runs on the thread that calls `run`. What a sending thread took is in flight until its
outcome is settled; everything else that is held can be released at any moment.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from django.db import Error as DatabaseFault
from django.db import connections as databases
from django.db import router
from django.utils import timezone

from ..conf import conf
from ..models import Attachment, Email, Worker
from ..queue import claims, liveness, tallies
from ..queue.lanes import PRIORITIES
from ..queue.outcomes import Outcome, Released, Settled
from ..rendering import attachments
from .attempts import Job, prepare
from .classify import Fault, Kind
from .connections import alias_of
from .courier import Courier
from .deliver import outcome
from .line import READY, Line
from .outage import PASSING, Outage, in_one_line
from .pacing import URGENT, Pacer
from .pulse import Pulse
from .routes import Routes
from .senders import Result, Senders
from .unsettled import SETTLE_AFTER, SETTLE_AT, Unsettled

logger = logging.getLogger("post_office")

LOOK_AGAIN = 0.5  # seconds between claims when the last one got less than it asked for


@dataclass
class WorkerLoop:
    """Delivers until nothing is due, its limit is reached, or it is told to stop.

    One that has `calls` stays when nothing is due, and when the database is away for however long.

    Args:
        log_level: As in LOG_LEVEL.
        limit: Mails to deliver at most; None for all.
        should_stop: Asked often; True ends the run after what is in flight.
        on_settled: Told of each batch of outcomes.
        calls: How a worker that stays is called when there is new mail.
        only_aliases: Backends to serve; None for all.
        only_priorities: Priorities to serve; None for all.
        dispatcher_id: The program that it is a part of.
    """

    log_level: int
    limit: int | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_settled: Callable[[Settled], None] = lambda settled: None
    threads: int = field(default_factory=lambda: conf.THREADS_PER_PROCESS)
    calls: Line | None = None
    only_aliases: Sequence[str] | None = None
    only_priorities: Sequence[int | None] | None = None
    dispatcher_id: UUID | None = None

    def __post_init__(self) -> None:
        self.total = Settled()
        self.stopping = False
        # Filled at the end: backends whose mail waits, each with a sentence that says why.
        self.paused: dict[str, str] = {}
        self._claimed: deque[Email] = deque()
        # Within the rate limits, to be sent now.
        self._ready: deque[Email] = deque()
        # Of mail that is held and not prepared yet, by its key.
        self._attachments: dict[int, list[Attachment]] = {}
        self._unsettled = Unsettled(log_level=self.log_level, on_settled=self._settled)
        self._tally = tallies.Unwritten()
        self._claim_not_before = 0.0
        # Until the database answers again.
        self._claim_is_put_off = False
        # What is due now is not for a worker that holds so much; see `Claimer`.
        self._claim_below: float = math.inf
        self._accepted = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._waiting_since: float | None = None
        self._said_waiting = False
        self._outage = Outage(self._gives_up)
        self._pulse = Pulse(self.dispatcher_id)
        self._rng = random.Random()
        self._priorities = PRIORITIES if self.only_priorities is None else self.only_priorities
        self._urgent = [priority for priority in self._priorities if priority in URGENT]
        self._routes = Routes(self._rng, self.only_aliases, self._priorities)
        self._pacer = Pacer(self._routes)

    def run(self) -> Settled:
        """Deliver, and return what was settled."""
        if not self._arrive():
            return self.total
        if self.calls is not None:
            self.calls.report(READY)
        self._senders = Senders(self.threads, self._send)
        try:
            while self._step():
                pass
            self._say_what_waits()
        finally:
            # After a fault of our own, threads give back what they have not begun.
            self.stopping = True
            self._close()
        return self.total

    def _step(self) -> bool:
        """Do whatever can be done now, wait a little for threads; returns False at the end."""
        if self._outage.lasts:
            self._settle_if_due()  # what servers took, before the database is asked for anything else
        self._beat_if_due()
        if not self.stopping and self.should_stop():
            self._stop()
        self._look_at_brakes()
        self._feed()
        if self._claim_if_wanted():
            self._feed()
        self._collect()
        self._settle_if_due()
        if self._tally.is_due and not self._outage.rests:
            self._write_tally()
        if self._outage.rests and not self._senders.in_hand:
            time.sleep(LOOK_AGAIN / 5)
        if self._claimed and not self._senders.in_hand:
            time.sleep(SETTLE_AFTER)  # for allowance
        if self._held:
            return True
        return not self.stopping and not self._limit_is_reached and self._at_rest()

    @property
    def _held(self) -> int:
        return len(self._claimed) + len(self._ready) + self._senders.in_hand + len(self._unsettled)

    @property
    def _limit_is_reached(self) -> bool:
        return self.limit is not None and self._accepted >= self.limit

    # --- brakes -------------------------------------------------------------------------------

    def _look_at_brakes(self) -> None:
        """Learn which backends may be used, and give back what waits here for one that may not."""
        if self._outage.rests:
            return
        is_news = False
        with self._outage.borne("look at the brakes"):
            is_news = self._routes.refresh()
        if not is_news:
            return
        waiting, self._claimed = self._claimed, deque()
        for email in waiting:
            if self._routes.by(email):
                self._claimed.append(email)
            else:
                self._note(email, Released(backend=alias_of(email)))

    def _slow(self, alias: str, after: timedelta | None) -> None:
        with self._outage.borne("write what a backend is like"):
            self._routes.slow(alias, after)

    def _learn(self, email: Email, decided: Outcome) -> None:
        with self._outage.borne("write what a backend is like"):
            self._routes.learn(email, decided)

    # --- claim --------------------------------------------------------------------------------

    def _claim_if_wanted(self) -> bool:
        """Claim mail while the threads have the last of what is held. Returns whether any came."""
        if self.calls is not None and self.calls.was_called():
            self._claim_not_before = 0.0
        self._claim_is_put_off = self._outage.rests
        too_soon = time.monotonic() < self._claim_not_before or self._claim_is_put_off
        if self.stopping or self._limit_is_reached or too_soon:
            return False
        # What only waits for its turn must not keep us from mail that can go.
        to_send = self._held - len(self._unsettled) - self._senders.waiting
        window = self._window()
        if to_send >= window or self._held >= self._claim_below:
            return False
        # Much at a time; but no thread is to wait for that.
        if len(self._ready) + len(self._claimed) >= SETTLE_AT or to_send >= max(self.threads, window * 3 / 4):
            return False
        room = window - to_send
        got = self._claim(room)
        self._claim_below = max(self._held, 1) if self._claimer.is_over else math.inf
        if got < room and self._held and not self._claimer.is_over:
            self._claim_not_before = time.monotonic() + LOOK_AGAIN
        return got > 0

    def _claim(self, room: int) -> int:
        """Claim up to `room` mails; returns how many came."""
        before = self._accepted
        self._claimer.in_company = self._held > 0
        self._claimer.threads = self.threads - self._held
        try:
            with self._outage.borne("claim mail"):
                self._accept(self._routes.probe(self._claimer, timezone.now()))
                room -= self._accepted - before
                if self.limit is not None:
                    room = min(room, self.limit - self._accepted)
                if room > 0:
                    self._claim_open(room)
                self._outage.is_over()
        except liveness.TakenForDead:
            self._start_anew()
            return self._claim(room)
        return self._accepted - before

    def _claim_open(self, room: int) -> None:
        """Claim mail of backends that may be used; urgent mail alone where the rest has used up its rate."""
        if aliases := self._pacer.claimable(urgent=True):
            free, in_company = self.threads - self._held, self._held > 0
            claimer = claims.Claimer(self.row, self._urgent, threads=free, in_company=in_company)
            urgent = claimer.claim(room, aliases, timezone.now())
            self._accept(urgent)
            room -= len(urgent)
            self._claimer.in_company = self._held > 0
        if room > 0:
            self._accept(self._claimer.claim(room, self._pacer.claimable(urgent=False), timezone.now()))

    def _accept(self, claimed: list[Email]) -> None:
        self._claimed.extend(claimed)
        self._accepted += len(claimed)
        self._attachments |= {email.pk: [] for email in claimed}
        self._attachments |= attachments.of_each([email for email in claimed if email.has_attachments])

    def _window(self) -> int:
        """Return how much to hold: a second's worth, so that urgent mail need not wait for more."""
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - 1:
            self._recent.popleft()
        per_second = sum(count for _, count in self._recent)
        return max(1, min(conf.BATCH_SIZE, max(2 * self.threads, per_second)))

    # --- send ---------------------------------------------------------------------------------

    @property
    def _room(self) -> int:
        """Return for how many mails to draw allowance: some ahead of the threads, and not one by one."""
        room = 2 * self.threads - self._senders.in_hand - len(self._ready)
        return room if room >= self.threads else 0

    @property
    def _room_in_hand(self) -> int:
        """Return how many more mails may be given to the threads.

        Were the database to stand still now, so many could be sent and not written down, and no more.
        """
        return 2 * self.threads + SETTLE_AT - self._senders.in_hand - len(self._unsettled)

    def _admit(self) -> None:
        """See what may go now within the rate limits."""
        if not self._claimed or self._outage.rests:
            return
        with self._outage.borne("draw allowance"):
            go, back = self._pacer.admit(self._claimed, self._room)
            self._ready.extend(go)
            for email, released in back:
                self._note(email, released)

    def _feed(self) -> None:
        """Give the threads as much as they may have."""
        self._admit()
        for _ in range(min(self._room_in_hand, len(self._ready))):
            self._prepare(self._ready.popleft())

    def _prepare(self, email: Email) -> None:
        """Give one mail to the threads, or back to the queue where it is not to go now."""
        turn = self._pacer.turn_of(email)
        # What expired since it was claimed is for the next claim to say so.
        expired = email.expires_at is not None and email.expires_at <= timezone.now()
        alias = self._routes.by(email)
        if expired or alias is None:
            self._note(email, Released(backend=alias_of(email)))
            return
        try:
            job = prepare(email, alias, self._attachments.pop(email.pk, None))
        except PASSING as fault:
            self._note(email, Released(backend=alias_of(email)))
            self._outage.failed("prepare a mail", fault)
            return
        if isinstance(job, Job):
            self._senders.give(job if turn is None else replace(job, turn=turn))
        else:
            self._routes.abandon_probe(email)
            self._note(email, job)

    def _send(self, job: Job, courier: Courier) -> Result:
        """Send one mail; on a sending thread."""
        may_begin = self._pulse.is_trusted and self._routes.may_begin(job.email, job.alias)
        if self.stopping or not may_begin:
            courier.abandon()
            return Released(backend=job.alias)
        return courier.attempt(job)

    def _collect(self) -> None:
        """Take in what the threads have done, when it is enough to be worth it."""
        if self._outage.rests:
            self._senders.wait(self._senders.in_hand, SETTLE_AFTER)
        elif not self._unsettled.is_full:
            # Mail that waits for an idle thread waits for nothing else.
            each_counts = bool(self._claimed) or self._claimer.is_over
            self._senders.wait(1 if each_counts else self._unsettled.room, self._unsettled.patience)
        for email, result in self._senders.results():
            self._note(email, result)

    # --- settle -------------------------------------------------------------------------------

    def _note(self, email: Email, result: Result) -> None:
        """Decide what an attempt came to, and keep it for the next settle."""
        if not isinstance(result, Released):
            alias = self._routes.used_by(email)
            if isinstance(result, Fault) and result.kind is Kind.THROTTLED:
                self._slow(alias, result.after)
            decided = outcome(email, result, timezone.now(), self._rng, alias=alias)
        else:
            decided = result
        self._attachments.pop(email.pk, None)
        self._unsettled.add(email, decided)
        self._learn(email, decided)

    def _settle_if_due(self) -> None:
        due = self._unsettled.is_due(company_may_come=self._senders.in_hand > 0)
        if not due or self._outage.rests:
            return
        # What a server took must be written down: try as long as this process lives.
        with self._outage.borne("write outcomes"):
            self._unsettled.settle(self.row)

    def _settled(self, settled: Settled) -> None:
        self._outage.is_over()
        self._recent.append((time.monotonic(), settled.sent + settled.failed + settled.requeued))
        self.total += settled
        self._tally.add(sent=settled.sent, failed=settled.failed)
        self.on_settled(settled)

    def _write_tally(self) -> None:
        """Write how much came to its end since the last time."""
        with self._outage.borne("write how much was sent"):
            self._tally.write(self.row.pk, timezone.now())

    def _gives_up(self, away_for: float) -> bool:
        """Return whether a run ends when the database has been away for so many seconds."""
        too_long = away_for > conf.LEASE_DURATION.total_seconds()
        return self.calls is None and not self._held and too_long

    # --- rest and end -------------------------------------------------------------------------

    def _at_rest(self) -> bool:
        """With nothing held: look for more, or wait for it. Returns False at the end."""
        if self._outage.rests or self._claim_is_put_off:
            return True
        if self.calls is None:
            return self._more_to_come()
        self._write_tally()
        # Waiting comes before looking: what is due, but locked by others, must not keep us busy.
        self.calls.wait()
        # A call that came while the database was away is answered by a claim as soon as it is back.
        while not (self.should_stop() or self._something_is_due() or self._outage.rests):
            self._beat_if_due()
            self.calls.wait()
        self._claim_not_before = 0.0
        return True

    def _something_is_due(self) -> bool:
        """Return whether a claim may find mail; this is one query."""
        if self._outage.rests:
            return False
        with self._outage.borne("look for mail"):
            self._routes.refresh()
            now = timezone.now()
            aliases = self._pacer.claimable(urgent=False) + self._routes.to_be_tried(now)
            return claims.something_is_due(aliases, now, self._priorities) or claims.something_is_due(
                self._pacer.claimable(urgent=True), now, self._urgent
            )
        return False

    def _say_what_waits(self) -> None:
        with self._outage.borne("see what waits"):
            self.paused = self._pacer.sentences() | self._routes.sentences(timezone.now())

    def _more_to_come(self) -> bool:
        """With nothing held: look for mail of dead workers, and once more for mail that is due."""
        with self._outage.borne("look for mail of dead workers"):
            # Before the claim, so that a probe of another that ends between the two counts for one of them.
            now = timezone.now()
            if self._pulse.observer.free_dead(self.row) or self._claim(self._window()):
                return True
            undecided = self._pulse.observer.undecided(self.row)
            probed = self._routes.is_probed_elsewhere(now)
            if undecided:
                self._wait_for(undecided)
            elif probed:
                time.sleep(SETTLE_AFTER)
            # A claim that the database did not let us make is to be made again.
            return bool(undecided) or probed or self._outage.rests
        return True

    def _wait_for(self, undecided: list[Worker]) -> None:
        self._waiting_since = self._waiting_since or time.monotonic()
        silent_for = time.monotonic() - self._waiting_since
        # One that lives shows it within a beat, and then there is nothing to say.
        if silent_for > 2 * liveness.beat_interval() and not self._said_waiting:
            names = ", ".join(str(worker) for worker in undecided)
            logger.info("Mail is held by silent workers; waiting to see whether they live: %s", names)
            self._said_waiting = True
        time.sleep(min(LOOK_AGAIN, liveness.beat_interval() / 4))

    def _stop(self) -> None:
        """Release what no thread has begun."""
        self.stopping = True
        waiting = [*self._claimed, *self._ready, *self._senders.take_back()]
        self._claimed.clear()
        self._ready.clear()
        for email in waiting:
            self._note(email, Released(backend=alias_of(email)))

    def _close(self) -> None:
        """Write down what is known, and leave. Where the database does not let us, the claims stay
        until others find that this worker is gone."""
        for email, result in self._senders.finish():
            self._note(email, result)
        try:
            self._leave()
        except DatabaseFault as fault:
            logger.warning("Worker %s could not leave in order: %s", self.row, in_one_line(fault))

    def _leave(self) -> None:
        """Settle what is left and end; once more where the connection was lost while nothing was asked."""
        connection = databases[router.db_for_write(Email)]
        try:
            self._say_goodbye()
        except PASSING:
            if connection.in_atomic_block:
                raise
            connection.close()
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        if self._unsettled:
            self._unsettled.settle(self.row)
        liveness.retire(self.row)
        self._tally.write(self.row.pk, timezone.now())

    # --- beats --------------------------------------------------------------------------------

    def _arrive(self) -> bool:
        """Make our row, and free what the dead held. A worker that stays waits for a database that is
        away; returns False where it is told to stop meanwhile."""
        has_row = False
        while True:
            try:
                if not has_row:  # a second one would stay behind
                    self._register()
                    has_row = True
                self._pulse.look_after_others()
                return True
            except PASSING as fault:
                if self.calls is None:
                    raise
                self._outage.failed("begin", fault)
            while self._outage.rests:
                if self.should_stop():
                    return False
                time.sleep(LOOK_AGAIN / 5)

    def _register(self) -> None:
        self._pulse.begin()
        self._claimer = claims.Claimer(self.row, self._priorities)

    @property
    def row(self) -> Worker:
        return self._pulse.row

    def _beat_if_due(self) -> None:
        if self._outage.rests or not self._pulse.is_due:
            return
        with self._outage.borne("show that we live"):
            if self._pulse.beat():
                self._pulse.look_after_others()
            else:
                self._start_anew()

    def _start_anew(self) -> None:
        """Others have our mail by now. What is in flight is settled in vain, and says so."""
        logger.error("Worker %s was taken for dead; it starts anew.", self.row)
        self._claimed.clear()
        self._ready.clear()
        self._routes.forget_probes()
        while self._senders.in_hand:
            self._senders.wait(1, SETTLE_AFTER)
            for email, result in self._senders.results():
                self._note(email, result)
        if self._unsettled:
            self._unsettled.settle(self.row)
        self._register()
