"""Claims: take the right to deliver a mail. The only writer of the claim columns,
beside `outcomes`, which ends a claim together with its status, and `liveness`, for the dead.

A claim walks those lanes in which anything is due, see `lanes`. So it reads just what it takes; what was
sent or is scheduled for later is never touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef, Q

from ..ages import lateness
from ..conf import PostOfficeSettings, conf
from ..enums import HOLD
from ..models import Attachment, Email, EmailTemplate, Worker
from ..querysets import EmailQuerySet
from . import liveness, outcomes, statements
from .lanes import PRIORITIES, Lane, any_occupied, lanes, occupied

# As long as claims get all that they ask for, they ask only every so many seconds in which lanes there is
# mail. A long queue is claimed for less so, and urgent mail comes so much later.
LOOK_AGAIN = 0.25

# Reads so many of the rows that come first.
Head = Callable[[int, datetime], list[Email]]
# Claims so many of them.
Take = Callable[[int, datetime], list[Email]]


@dataclass
class Claimer:
    """Claims for one worker.

    A claim is told from the worker's others by its moment, so these never repeat.

    Some mail is claimed with care, so that a death of the worker says something about it. A suspect, whose
    workers died before, is claimed alone. Of mail that is to arrive at most once, which a death fails, no
    more is claimed than can be sent at once. What cannot be claimed now ends the claim, so that it is not
    passed by for ever.

    Attributes:
        threads: That can begin to send at once; None for as many as there is mail.
        in_company: Whether the worker holds mail.
        is_over: Whether the last claim left mail that can be claimed when the worker holds less.
        clock: Tells seconds, from wherever it likes.
    """

    worker: Worker
    # Those to serve, from high to low; None stands for rows without one.
    priorities: Sequence[int | None] = PRIORITIES
    threads: int | None = None
    in_company: bool = False
    is_over: bool = False
    clock: Callable[[], float] = time.monotonic
    # The lanes that had mail at the last look, as long as they had enough, and when to look again.
    _known: frozenset[Lane] = frozenset()
    _look_at: float = 0.0
    _has_suspect: bool = False
    _turn: int = 0
    _last: datetime | None = None
    # Moments of claims that were begun and not brought to their end.
    _strays: list[datetime] = field(default_factory=list)

    def claim(self, limit: int, aliases: Sequence[str], now: datetime) -> list[Email]:
        """Claim up to `limit` mails that are due, in the order in which to deliver them.

        Mail found past its `expires_at` on the way is expired.

        Args:
            aliases: Backends to serve. Mail without an alias is that of "".

        Raises:
            TakenForDead: This worker's row is gone.
        """
        if self._last is not None and now <= self._last:
            now = self._last + timedelta(microseconds=1)
        self._last = now
        self._give_strays_back()
        self._strays.append(now)
        taken: list[Email] = []
        self._has_suspect = self._has_suspect and self.in_company
        self.is_over = self._has_suspect
        places = self._in_order(aliases, now)
        # Asked for one by one: to find out about the next may take a query.
        while len(taken) < limit and not self.is_over and (take := next(places, None)):
            taken += take(limit - len(taken), now)
        if len(taken) < limit:
            self._known = frozenset()
        self._strays.clear()
        if by_lanes():
            taken.sort(key=_turn)
        return _with_templates(taken)

    def _give_strays_back(self) -> None:
        """Free what an earlier claim took before it met a fault of the database."""
        if self._strays:
            mine = Email.objects.primary().held_by(self.worker.pk).filter(claimed_at__in=self._strays)
            mine.update(**outcomes.UNHELD)
            self._strays.clear()

    def _in_order(self, aliases: Sequence[str], now: datetime) -> Iterator[Take]:
        if not by_lanes():
            rows = Email.objects.primary().filter(backend_alias__in=aliases)
            if self.priorities != PRIORITIES:
                numbers = [number for number in self.priorities if number is not None]
                no_number = Q(priority__isnull=True) if None in self.priorities else Q()
                rows = rows.filter(Q(priority__in=numbers) | no_number)
            yield partial(self._take, partial(_first_of, rows.order_by(*conf.SENDING_ORDER)))
            return
        # No backend is always first among its equals.
        self._turn = (self._turn + 1) % max(len(aliases), 1)
        in_turn = [*aliases[self._turn :], *aliases[: self._turn]]
        if self._known and self.clock() < self._look_at and not self._something_urgent_is_due(aliases, now):
            take = self._take_at_once if statements.can_take() else self._take_from
            yield from (
                partial(take, lane) for lane in lanes(in_turn, self.priorities) if lane in self._known
            )
        self._look_at = self.clock() + LOOK_AGAIN
        found = list(occupied(in_turn, now, self.priorities))
        self._known = frozenset(found)
        yield from (partial(self._take_from, lane) for lane in found)

    def _something_urgent_is_due(self, aliases: Sequence[str], now: datetime) -> bool:
        """Return whether there is mail that goes before all that is known of."""
        known = {lane.priority for lane in self._known}
        before = takewhile(lambda priority: priority not in known, self.priorities)
        return any_occupied(aliases, [number for number in before if number is not None], now)

    def _take_from(self, lane: Lane, limit: int, now: datetime) -> list[Email]:
        return self._take(partial(statements.first_of_lane, lane), limit, now)

    def _take_at_once(self, lane: Lane, limit: int, now: datetime) -> list[Email]:
        """Claim what needs no care by one statement, and then the rest."""
        taken = statements.take(lane, limit, self.worker, now)
        if taken is None:
            raise liveness.TakenForDead(self.worker)
        self.in_company = self.in_company or bool(taken)
        if self.threads is not None:
            self.threads -= len(taken)
        return taken if len(taken) == limit else [*taken, *self._take_from(lane, limit - len(taken), now)]

    def _take(self, head: Head, limit: int, now: datetime) -> list[Email]:
        """Claim from one lane; expire what is found past its time, and look behind it."""
        taken: list[Email] = []
        late: list[int] = [0]
        while late and len(taken) < limit and not self.is_over:
            got, late = self._hold(head, limit - len(taken), now)
            taken += got
            if late:
                outcomes.expire(late, now)
        return taken

    def _hold(self, head: Head, limit: int, now: datetime) -> tuple[list[Email], list[int]]:
        """Mark the first of these rows as ours. Returns them, and the keys of those past their time."""
        is_late = lateness(now)
        using = Email.objects.primary().db
        with transaction.atomic(using=using):
            liveness.hold_row(self.worker)
            first = head(limit, now)
            late = {email.pk for email in first if is_late(email)}
            emails = list(self._with_care(email for email in first if email.pk not in late))
            pks = [email.pk for email in emails]
            if pks and statements.mark_held(pks, self.worker, now) < len(pks):
                mine = Email.objects.using(using).filter(pk__in=pks).held_by(self.worker.pk)
                got = set(mine.filter(claimed_at=now).values_list("pk", flat=True))
                emails = [email for email in emails if email.pk in got]
        for email in emails:
            email.worker_id, email.claimed_at, email.claims = self.worker.pk, now, email.claims + 1
        return emails, list(late)

    def _with_care(self, candidates: Iterable[Email]) -> Iterator[Email]:
        """Yield of these, in their order, what may be claimed now."""
        for email in candidates:
            is_suspect = email.claims > 0 and email.claims >= conf.MAX_CLAIMS - 1
            no_thread = email.on_unknown == HOLD and self.threads is not None and self.threads <= 0
            if no_thread or (is_suspect and self.in_company):
                self.is_over = True
                return
            if self.threads is not None:
                self.threads -= 1
            self.in_company = True
            yield email
            if is_suspect:
                self._has_suspect = self.is_over = True
                return


def _first_of(rows: EmailQuerySet, limit: int, now: datetime) -> list[Email]:
    """Return the first of these rows that are due and held by nobody, as `statements.first_of_lane` does."""
    waiting = rows.due(now).unheld()
    links = Attachment.emails.through._default_manager.filter(email=OuterRef("pk"))
    waiting = waiting.annotate(has_attachments=Exists(links))  # type: ignore[no-redef]
    features = connections[waiting.db].features
    if features.has_select_for_update_skip_locked:
        # The order may join other tables, which are not to be locked.
        of = ("self",) if features.has_select_for_update_of else ()
        waiting = waiting.select_for_update(skip_locked=True, of=of)
    return list(waiting[:limit])


def _turn(email: Email) -> tuple[bool, int, datetime, int]:
    """Return what puts mail in the order of `lanes`, whatever backend it is for."""
    return email.priority is None, -(email.priority or 0), email.due_at, email.pk


def _with_templates(emails: list[Email]) -> list[Email]:
    """Return these with their templates, which took one query; none where no mail has one."""
    if wanted := {email.template_id for email in emails if email.template_id is not None}:
        found = EmailTemplate.objects.using(Email.objects.primary().db).in_bulk(wanted)
        for email in emails:
            email.template = found.get(email.template_id)
    return emails


def by_lanes() -> bool:
    """Return whether mail goes in the default order, which is that of the lanes."""
    return list(conf.SENDING_ORDER) == PostOfficeSettings.SENDING_ORDER


def something_is_due(
    aliases: Sequence[str], now: datetime, priorities: Sequence[int | None] = PRIORITIES
) -> bool:
    """Return whether a claim may find mail. Mail without an alias is that of ""."""
    return any(True for _ in occupied(aliases, now, priorities))


def claim_one(email: Email, worker: Worker, now: datetime) -> bool:
    """Claim this mail, due or not. Returns False when another holds it or it is finished."""
    row = Email.objects.primary().filter(pk=email.pk).unfinished().unheld()
    with transaction.atomic(using=row.db):
        liveness.hold_row(worker)
        claimed = row.update(worker=worker, claimed_at=now, claims=F("claims") + 1)
    if not claimed:
        return False
    email.worker, email.claimed_at = worker, now
    return True
