"""The turn of open mail, changed by a hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail as outgoing
from django.utils import timezone

from post_office import mail
from post_office.models import PRIORITY, STATUS, Email
from post_office.queue import plans
from tests.integration.staff import held, queued, row

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
# State of the mail, and whether it is changed.
STATES: list[tuple[dict[str, Any], bool]] = [
    ({"status": STATUS.queued}, True),
    ({"status": STATUS.requeued, "number_of_retries": 2}, True),
    ({"status": STATUS.sent}, False),
    ({"status": STATUS.failed}, False),
    ({"status": STATUS.expired}, False),
    ({"status": STATUS.canceled}, False),
    ({"status": None}, False),
]


@pytest.mark.parametrize(("state", "changes"), STATES)
def test_only_what_waits_is_changed(state: dict[str, Any], changes: bool) -> None:
    now = timezone.now()
    email = queued(**state)
    assert plans.prioritize([email.pk], PRIORITY.high, now) == changes
    assert plans.reschedule([email.pk], now + DAY, now) == changes
    found = row(email)
    assert (found.priority == PRIORITY.high) == changes
    assert (found.due_at == now + DAY) == changes
    assert (found.last_updated == now) == changes
    assert found.status == state["status"]


def test_what_is_being_delivered_is_left_alone() -> None:
    email, now = held(), timezone.now()
    before = Email.objects.values().get(pk=email.pk)
    assert plans.prioritize([email.pk], PRIORITY.high, now) == 0
    assert plans.reschedule([email.pk], now + DAY, now) == 0
    assert Email.objects.values().get(pk=email.pk) == before


EXPIRES = [
    (None, DAY, True),
    (2 * DAY, DAY, True),
    (DAY, DAY, False),
    (DAY / 2, DAY, False),
    (-DAY, None, False),
]


@pytest.mark.parametrize(("expires", "at", "changes"), EXPIRES)
def test_mail_is_not_moved_beyond_its_end(
    expires: timedelta | None, at: timedelta | None, changes: bool
) -> None:
    now = timezone.now()
    email = queued(expires_at=None if expires is None else now + expires)
    assert plans.reschedule([email.pk], None if at is None else now + at, now) == changes


@pytest.mark.parametrize("moved", [None, timedelta(days=30)])
def test_mail_that_waited_long_is_not_too_old_for_its_new_time(
    moved: timedelta | None, settings: Any
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "MAX_AGE": 7 * DAY}
    now = timezone.now()
    email = queued(scheduled_time=now - 9 * DAY, first_due_at=now - 9 * DAY, status=STATUS.requeued)
    assert email in Email.objects.expired(now)
    at: datetime | None = None if moved is None else now + moved
    assert plans.reschedule([email.pk], at, now) == 1
    due = (at or now) + timedelta(seconds=1)
    assert email not in Email.objects.expired(due)
    assert email in Email.objects.claimable(due)
    assert email in Email.objects.expired(due + 7 * DAY)


def test_a_worker_takes_the_mail_at_its_new_turn(settings: Any) -> None:
    # Of two threads, either may be the first.
    settings.POST_OFFICE = {**settings.POST_OFFICE, "THREADS_PER_PROCESS": 1}
    now = timezone.now()
    low, later = queued(to="low@example.com"), queued(to="later@example.com", scheduled_time=now + DAY)
    plans.prioritize([low.pk], PRIORITY.low, now)
    plans.reschedule([later.pk], None, now)
    mail.send_queued()
    assert [message.to for message in outgoing.outbox] == [["later@example.com"], ["low@example.com"]]
