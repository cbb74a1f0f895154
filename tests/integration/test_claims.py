"""What a claim rests on where rows change under it, and on SQLite, which locks all or nothing."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Attachment, Email, Worker
from post_office.queue import claims, cleanup, liveness, outcomes, statements
from post_office.queue.claims import Claimer
from post_office.queue.outcomes import Sent
from tests.faults import Execute, watched

HOUR = timedelta(hours=1)


@pytest.fixture
def now() -> datetime:
    return timezone.now() + timedelta(seconds=1)


def queue(count: int = 1, **arguments: Any) -> list[Email]:
    draft = {"recipients": "ann@example.com", "sender": "me@example.com", **arguments}
    return mail.send_many([draft] * count)


def row(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("whose", ["another worker", "an earlier claim of the same worker"])
def test_what_was_given_away_between_the_look_and_the_claim_stays_with_who_has_it(
    whose: str, now: datetime
) -> None:
    """A database without SKIP LOCKED does that."""
    worker, another = liveness.register(now), liveness.register(now)
    holder = another if whose == "another worker" else worker
    taken, free = queue(2)
    given: list[str] = []

    def give_away(execute: Execute, sql: str) -> Any:
        if re.match(r"UPDATE post_office_email SET worker_id", sql) and not given:
            given.append(sql)
            Email.objects.filter(pk=taken.pk).update(worker=holder, claimed_at=now - HOUR, claims=1)
        return execute()

    with watched(give_away):
        assert Claimer(worker).claim(9, ["", "default"], now) == [free]
    assert given
    stored = row(taken)
    assert (stored.worker_id, stored.claimed_at, stored.claims) == (holder.pk, now - HOUR, 1)


@pytest.mark.django_db
def test_mail_behind_what_expired_is_claimed_up_to_the_limit(now: datetime) -> None:
    worker = liveness.register(now)
    late = queue(2)
    Email.objects.update(expires_at=now - HOUR)
    good = queue(5)
    assert Claimer(worker).claim(3, ["", "default"], now) == good[:3]
    assert {row(email).worker_id for email in late} == {None}


# --- a long queue -----------------------------------------------------------------------------

ALIASES = ("", "default")


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def in_a_long_queue(now: datetime) -> Claimer:
    """A worker whose last claim got all that it asked for, so that it knows where more is."""
    claimer = Claimer(liveness.register(now), clock=Clock())
    queue(1)
    assert len(claimer.claim(1, ALIASES, now)) == 1
    return claimer


@pytest.mark.django_db
def test_the_next_claim_of_a_long_queue_asks_the_database_for_less(now: datetime) -> None:
    queue(9)
    claimer = Claimer(liveness.register(now), clock=Clock())
    asked: list[str] = []
    with watched(lambda execute, sql: (asked.append(sql), execute())[1]):
        first = claimer.claim(3, ALIASES, now)
        looked, asked = asked, []
        second = claimer.claim(3, ALIASES, now)
    assert [sum("UNION ALL" in sql for sql in each) for each in (looked, asked)] == [1, 0]
    for email in [*first, *second]:
        assert (email.worker_id, email.claimed_at, email.claims) == (
            (stored := row(email)).worker_id,
            stored.claimed_at,
            1,
        )
        assert vars(email).keys() - {"has_attachments"} == vars(stored).keys()
        assert not email.has_attachments
    assert len({email.pk for email in [*first, *second]}) == 6
    # and each claim is told from the last by its moment
    assert second[0].claimed_at > first[0].claimed_at


@pytest.mark.django_db
@pytest.mark.parametrize("priority", ["medium", "high"])
def test_more_urgent_mail_goes_before_a_long_queue_at_once(priority: str, now: datetime) -> None:
    claimer = Claimer(liveness.register(now), clock=Clock())
    queue(9, priority="low")
    assert len(claimer.claim(3, ALIASES, now)) == 3
    (urgent,) = queue(priority=priority)
    assert claimer.claim(3, ALIASES, now)[0] == urgent


@pytest.mark.django_db
def test_mail_of_another_backend_is_seen_beside_a_long_queue_in_a_moment(now: datetime) -> None:
    aliases = (*ALIASES, "other")
    claimer = Claimer(liveness.register(now), clock=Clock())
    queue(20)
    assert len(claimer.claim(3, aliases, now)) == 3
    (other,) = queue()
    Email.objects.filter(pk=other.pk).update(backend_alias="other")
    for _ in aliases:  # whoever's turn it is to be first
        assert other not in claimer.claim(3, aliases, now)
    claimer.clock.seconds += claims.LOOK_AGAIN  # type: ignore[attr-defined]
    taken = [email for _ in aliases for email in claimer.claim(1, aliases, now)]
    assert other in taken


@pytest.mark.django_db
def test_mail_of_other_lanes_is_seen_when_a_long_queue_comes_to_its_end(now: datetime) -> None:
    claimer = in_a_long_queue(now)
    rest = queue(2)
    (urgent,) = queue(priority="high")
    assert claimer.claim(9, ALIASES, now) == [urgent, *rest]


@pytest.mark.django_db
def test_of_several_lanes_each_mail_is_claimed_once(now: datetime) -> None:
    claimer = Claimer(liveness.register(now), clock=Clock())
    high, low = queue(5, priority="high"), queue(5, priority="low")
    assert claimer.claim(2, ALIASES, now) == high[:2]
    assert claimer.claim(6, ALIASES, now) == [*high[2:], *low[:3]]


# What the first mail of a long queue is like, and whether it is claimed when the worker holds nothing else.
WITH_CARE: dict[str, tuple[dict[str, Any], bool]] = {
    "too late": ({"expires_at": timezone.now() - HOUR}, False),
    "too old": ({"first_due_at": timezone.now() - timedelta(days=365)}, False),
    "outlived its workers": ({"claims": 2}, True),
    "to arrive at most once": ({"on_unknown": "hold"}, True),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("columns", "goes"), WITH_CARE.values(), ids=list(WITH_CARE))
def test_in_a_long_queue_mail_is_claimed_with_the_same_care(
    columns: dict[str, Any], goes: bool, now: datetime
) -> None:
    claimer = in_a_long_queue(now)
    special, *others = queue(4)
    Email.objects.filter(pk=special.pk).update(**columns)
    claimer.in_company, claimer.threads = True, 0
    taken = claimer.claim(3, ALIASES, now)
    assert special not in taken
    if statements.can_take() or not goes:
        # of the first three, what needs no care
        assert set(taken) >= set(others[:2])
    assert row(special).worker_id is None
    claimer.in_company, claimer.threads = False, 3
    assert (special in claimer.claim(3, ALIASES, now)) == goes
    assert (row(special).status == STATUS.expired) != goes


@pytest.mark.django_db
def test_a_worker_taken_for_dead_claims_nothing_of_a_long_queue(now: datetime) -> None:
    claimer = in_a_long_queue(now)
    emails = queue(3)
    Worker.objects.all().delete()
    with pytest.raises(liveness.TakenForDead):
        claimer.claim(2, ALIASES, now)
    assert not Email.objects.filter(pk__in=[email.pk for email in emails]).held().exists()


# --- SQLite -----------------------------------------------------------------------------------

# Whatever writes in a transaction of its own, each of mail that is held by the worker, of one that is not,
# and at a moment at which all that the tests queue is due.
WRITERS: dict[str, Callable[[Email, Email, Worker, datetime], object]] = {
    "claim": lambda held, free, worker, now: Claimer(worker).claim(9, ["", "default"], now),
    "claim of one": lambda held, free, worker, now: claims.claim_one(free, worker, now),
    "settle": lambda held, free, worker, now: outcomes.settle(
        [(held, Sent(backend="default"))], worker, 2, now
    ),
    "free": lambda held, free, worker, now: liveness.free(worker.pk),
    "bury": lambda held, free, worker, now: liveness.bury(worker.pk, now),
    "clean-up of mail": lambda held, free, worker, now: cleanup.remove_emails(now + HOUR),
    "clean-up of attachments": lambda held, free, worker, now: cleanup.remove_orphaned_attachments(),
}


@pytest.fixture
def another_program() -> Iterator[sqlite3.Connection]:
    if connection.vendor != "sqlite":
        pytest.skip("Other databases lock rows.")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)) as other:
        yield other


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_transaction_has_the_lock_before_it_reads(
    writer: str, now: datetime, another_program: sqlite3.Connection
) -> None:
    """One that reads first, while another program waits to write, is told at once that all is locked."""
    worker = liveness.register(now)
    held, free, over = queue(3, attachments={"a.txt": b"a"})
    claims.claim_one(held, worker, now)
    mail.cancel([over])
    Attachment.objects.create(file="gone.txt", name="gone.txt")
    begun: list[str] = []

    def can_write_meanwhile() -> bool:
        try:
            another_program.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        another_program.execute("ROLLBACK")
        return True

    def look_at_the_first(execute: Execute, sql: str) -> Any:
        result = execute()
        if connection.in_atomic_block and not begun and not sql.startswith(("BEGIN", "SAVEPOINT")):
            begun.append(sql)
            assert not can_write_meanwhile(), sql
        return result

    with watched(look_at_the_first):
        WRITERS[writer](held, free, worker, now)
    assert begun
