"""The timeline of a mail: what the row, the log, providers, servers and staff tell of it, in order."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone

from post_office.admin import timeline
from post_office.enums import RecipientDeliveryStatus as Reported
from post_office.models import STATUS, Email, Log
from tests.integration.staff import address, held, page, queued, row, staff

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
ANSWERS = {
    "ann@example.com": {"state": "accepted", "code": 250, "answer": "2.0.0 ok"},
    "bob@example.com": {"state": "refused", "code": 550, "answer": "5.1.1 <no such user>"},
    "cy@example.com": {"state": "deferred"},
}


def log(email: Email, ago: timedelta, **columns: Any) -> None:
    made = Log.objects.create(email=email, **{"message": "", **columns})
    Log.objects.filter(pk=made.pk).update(date=timezone.now() - ago)


def story(email: Email) -> str:
    """The whole timeline as text."""
    html = timeline.show(email, timeline.of_queue(email), timeline.of_log(email), timeline.of_staff(email))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def in_order(text: str, *words: str) -> None:
    places = [text.find(word) for word in words]
    assert -1 not in places, f"{words[places.index(-1)]!r} is missing in {text}"
    assert places == sorted(places), text


def test_a_story_is_told_in_the_order_of_time(admin_user: User) -> None:
    now = timezone.now()
    email = queued(created=now - 5 * HOUR, status=STATUS.sent, number_of_retries=1, backend_alias="default")
    answer = {"code": 451, "answer": "4.7.1 Greylisted", "exception_type": "SMTPDataError"}
    log(email, 4 * HOUR, status=STATUS.failed, attempt=1, backend="default", **answer)
    log(email, 2 * HOUR, status=STATUS.sent, attempt=2, backend="default")
    log(email, HOUR, status=Reported.HARD_BOUNCED, recipient="cy@example.com", message="550 unknown")
    done = LogEntry.objects.create(
        user=admin_user,
        content_type=ContentType.objects.get_for_model(Email),
        object_id=str(email.pk),
        object_repr="x",
        action_flag=CHANGE,
        change_message="Queued again.",
    )
    LogEntry.objects.filter(pk=done.pk).update(action_time=now - 3 * HOUR)
    text = story(row(email))
    in_order(
        text,
        "queued",
        "451 4.7.1 Greylisted",
        "admin Queued again.",
        "sent",
        "Hard Bounced",
        "cy@example.com",
    )
    assert "Attempt 1" in text
    assert "Attempt 2" in text
    assert "Still to come" not in text


def test_what_is_still_to_come_is_told_apart() -> None:
    now = timezone.now()
    email = queued(
        status=STATUS.requeued, number_of_retries=2, scheduled_time=now + HOUR, expires_at=now + 2 * HOUR
    )
    in_order(story(row(email)), "queued", "Still to come:", "due", "Attempt 3", "expires")


def test_a_claim_names_the_worker() -> None:
    email = held()
    in_order(story(row(email)), "queued", "being delivered", str(email.worker), "Unfinished deliveries 1")


@pytest.mark.parametrize("status", [STATUS.sent, STATUS.expired, STATUS.canceled])
def test_how_it_ended_is_told_also_where_the_log_does_not_say_so(status: int) -> None:
    email = queued(status=status)
    name = email.get_status_display()
    assert story(email).count(name) == 1
    if status == STATUS.sent:
        log(email, timedelta(0), status=STATUS.sent)
        assert story(email).count(name) == 1


def test_the_answer_for_each_recipient_is_shown(admin_client: Client) -> None:
    email = queued()
    email.answers = ANSWERS
    Email.objects.filter(pk=email.pk).update(answers=ANSWERS)
    text = page(admin_client, address(email))
    for shown in ("bob@example.com", "refused", "550 5.1.1 &lt;no such user&gt;", "accepted", "deferred"):
        assert shown in text


def test_the_log_is_told_only_to_those_who_may_see_it() -> None:
    email = queued(status=STATUS.failed)
    log(email, HOUR, status=STATUS.failed, message="mailbox full")
    assert "mailbox full" in page(staff("view_email", "view_log"), address(email))
    without = page(staff("view_email"), address(email))
    assert "mailbox full" not in without
    assert "tab-timeline" in without


def test_of_many_reports_the_last_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post_office.admin.timeline.MOST_LOGGED", 2)
    email = queued()
    for number in range(3):
        log(email, timedelta(0), status=Reported.OPENED, recipient=f"r{number}@example.com")
    text = story(email)
    assert "r0@" not in text
    assert "r2@" in text
