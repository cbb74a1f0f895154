"""Which lanes have mail that is due, asked by one query."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_office.models import PRIORITY, STATUS, Email
from post_office.queue import claims, lanes, liveness
from post_office.queue.lanes import Lane

pytestmark = pytest.mark.django_db

# A moment at which everything that the tests queue is due.
NOW = timezone.now() + timedelta(hours=1)


def row(**columns: object) -> Email:
    columns = {"status": STATUS.queued, "priority": PRIORITY.medium, "backend_alias": "a", **columns}
    return Email.objects.create(to="ann@example.com", from_email="me@example.com", **columns)


def occupied(*aliases: str, priorities: tuple[int | None, ...] = lanes.PRIORITIES) -> list[Lane]:
    return list(lanes.occupied(aliases, NOW, priorities))


def test_lanes_with_mail_that_is_due_are_found_urgent_ones_first() -> None:
    row(priority=PRIORITY.low, backend_alias="")
    row()
    row()
    row(status=STATUS.requeued)
    Email.objects.filter(pk=row().pk).update(priority=None)
    row(priority=PRIORITY.high, backend_alias="b")
    found = [
        Lane(PRIORITY.high, "b", STATUS.queued),
        Lane(PRIORITY.medium, "a", STATUS.requeued),
        Lane(PRIORITY.medium, "a", STATUS.queued),
        Lane(PRIORITY.low, "", STATUS.queued),
        Lane(None, "a", STATUS.queued),
    ]
    with CaptureQueriesContext(connection) as captured:
        assert occupied("", "a", "b") == found
    assert len(captured) == 1
    assert occupied("b") == found[:1]
    assert occupied("a", "b", priorities=(PRIORITY.high, None)) == [found[0], found[4]]
    assert occupied() == []


def test_mail_that_is_not_to_be_claimed_occupies_no_lane() -> None:
    row(scheduled_time=NOW + timedelta(hours=1))
    row(status=STATUS.sent)
    row(backend_alias="elsewhere")
    Email.objects.filter(pk=row().pk).update(worker=liveness.register(NOW))
    assert occupied("", "a") == []
    assert not claims.something_is_due(["", "a"], NOW)


def test_there_may_be_more_lanes_than_a_query_takes() -> None:
    aliases = [f"backend{number}" for number in range(60)]
    row(backend_alias=aliases[-1])
    assert occupied(*aliases) == [Lane(PRIORITY.medium, aliases[-1], STATUS.queued)]


def test_a_worker_claims_the_priorities_that_it_serves_in_any_order(settings: object) -> None:
    wanted = [row(priority=PRIORITY.high), row(priority=PRIORITY.low)]
    row()
    claimer = claims.Claimer(liveness.register(NOW), (PRIORITY.high, PRIORITY.low))
    assert claimer.claim(10, ["a"], NOW) == wanted


def test_a_worker_claims_the_priorities_that_it_serves_also_in_an_order_of_ones_own(settings: object) -> None:
    settings.POST_OFFICE = {"SENDING_ORDER": ["-id"]}  # type: ignore[attr-defined]
    for priorities in ((PRIORITY.high, PRIORITY.low), (PRIORITY.low, None)):
        Email.objects.all().delete()
        rows = [row(priority=number) for number in (PRIORITY.high, PRIORITY.medium, PRIORITY.low)]
        Email.objects.filter(pk=(unnumbered := row()).pk).update(priority=None)
        by_priority = {email.priority: email for email in rows} | {None: unnumbered}
        wanted = [by_priority[priority] for priority in priorities]
        claimer = claims.Claimer(liveness.register(NOW), priorities)
        assert claimer.claim(10, ["a"], NOW) == sorted(wanted, key=lambda email: -email.pk)
