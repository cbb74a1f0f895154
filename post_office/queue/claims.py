"""Claims: take the right to deliver a mail. The only writer of the claim columns,
beside `outcomes`, which ends a claim together with its status, and `liveness`, for the dead.

A claim walks those lanes in which anything is due, see `lanes`. So it reads just what it takes; what was
sent or is scheduled for later is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connections, transaction
from django.db.models import F, Q

from ..conf import PostOfficeSettings, conf
from ..enums import HOLD
from ..models import Email, Worker
from ..querysets import EmailQuerySet
from . import liveness, outcomes
from .lanes import PRIORITIES, occupied


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
    """

    worker: Worker
    # Those to serve, from high to low; None stands for rows without one.
    priorities: Sequence[int | None] = PRIORITIES
    threads: int | None = None
    in_company: bool = False
    is_over: bool = False
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
        taken: list[int] = []
        self._has_suspect = self._has_suspect and self.in_company
        self.is_over = self._has_suspect
        for rows in self._in_order(aliases, now):
            if len(taken) >= limit or self.is_over:
                break
            taken += self._take(rows, limit - len(taken), now)
        mine = self._mine(taken, now) if taken else []
        self._strays.clear()
        return mine

    def _give_strays_back(self) -> None:
        """Free what an earlier claim took before it met a fault of the database."""
        if self._strays:
            mine = Email.objects.primary().held_by(self.worker.pk).filter(claimed_at__in=self._strays)
            mine.update(**outcomes.UNHELD)
            self._strays.clear()

    def _in_order(self, aliases: Sequence[str], now: datetime) -> Iterable[EmailQuerySet]:
        if not by_lanes():
            rows = Email.objects.primary().filter(backend_alias__in=aliases)
            if self.priorities != PRIORITIES:
                numbers = [number for number in self.priorities if number is not None]
                no_number = Q(priority__isnull=True) if None in self.priorities else Q()
                rows = rows.filter(Q(priority__in=numbers) | no_number)
            yield rows.order_by(*conf.SENDING_ORDER)
            return
        # No backend is always first among its equals.
        self._turn = (self._turn + 1) % max(len(aliases), 1)
        in_turn = [*aliases[self._turn :], *aliases[: self._turn]]
        for lane in occupied(in_turn, now, self.priorities):
            yield lane.rows()

    def _take(self, rows: EmailQuerySet, limit: int, now: datetime) -> list[int]:
        """Claim from one lane; expire what is found past its time, and look behind it."""
        taken: list[int] = []
        while len(taken) < limit:
            wanted = limit - len(taken)
            head = list(rows.due(now).unheld().values_list("pk", flat=True)[:wanted])
            late = list(rows.expired(now).filter(pk__in=head).values_list("pk", flat=True)) if head else []
            outcomes.expire(late, now)
            got = self._hold(rows.claimable(now), wanted, now) if len(late) < len(head) else []
            taken += got
            if not late or self.is_over:
                break
        return taken

    def _hold(self, claimable: EmailQuerySet, limit: int, now: datetime) -> list[int]:
        """Mark rows as ours; returns the keys of all that may be."""
        connection = connections[claimable.db]
        candidates = claimable.values_list("pk", "claims", "on_unknown")
        with transaction.atomic(using=claimable.db):
            liveness.hold_row(self.worker)
            if connection.features.has_select_for_update_skip_locked:
                # A custom order may join other tables, which are not to be locked.
                of = ("self",) if connection.features.has_select_for_update_of else ()
                candidates = candidates.select_for_update(skip_locked=True, of=of)
            pks = list(self._with_care(candidates[:limit]))
            # The predicate again: a database without these locks may have given a row to another.
            Email.objects.using(claimable.db).filter(pk__in=pks).claimable(now).update(
                worker=self.worker, claimed_at=now, claims=F("claims") + 1
            )
        return pks

    def _with_care(self, candidates: Iterable[tuple[int, int, str | None]]) -> Iterator[int]:
        """Yield of these, in their order, what may be claimed now."""
        for pk, claims, on_unknown in candidates:
            is_suspect = claims > 0 and claims >= conf.MAX_CLAIMS - 1
            no_thread = on_unknown == HOLD and self.threads is not None and self.threads <= 0
            if no_thread or (is_suspect and self.in_company):
                self.is_over = True
                return
            if self.threads is not None:
                self.threads -= 1
            self.in_company = True
            yield pk
            if is_suspect:
                self._has_suspect = self.is_over = True
                return

    def _mine(self, pks: Sequence[int], claimed_at: datetime) -> list[Email]:
        order = [F("priority").desc(nulls_last=True), "due_at", "id"] if by_lanes() else conf.SENDING_ORDER
        held = Email.objects.primary().filter(pk__in=pks).held_by(self.worker.pk)
        return list(held.filter(claimed_at=claimed_at).select_related("template").order_by(*order))


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
