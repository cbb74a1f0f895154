"""What a claim rests on where rows change under it, and on SQLite, which locks all or nothing."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from post_office import mail
from post_office.models import Attachment, Email, Worker
from post_office.queue import claims, cleanup, liveness, outcomes
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
