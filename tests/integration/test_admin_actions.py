"""The verbs of the admin, for one mail and for many: each with its own permission, and what they do."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core import mail as outgoing
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from post_office.admin.verbs import VERBS
from post_office.models import PRIORITY, STATUS, Attachment, Email
from tests.integration.staff import LIST, act, address, held, page, queued, row, staff, told

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
ACTIONS = {
    "send_now": "send_email",
    "requeue": "requeue_email",
    "send_copies": "copy_email",
    "cancel": "cancel_email",
    "change_priority": "prioritize_email",
    "reschedule": "reschedule_email",
}
CHOICES = {"priority": "2", "scheduled_time": ""}


@pytest.fixture
def boss() -> Client:
    return staff("view_email", *ACTIONS.values())


def confirmed(client: Client, response: Any, **data: Any) -> Any:
    """Send the form of the page that asks, as a browser would."""
    text = response.content.decode()
    found = re.search(r'<form method="post" id="confirm-form"(?: action="([^"]+)")?', text)
    assert found, "nothing was asked"
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text)
    posted: dict[str, Any] = {}
    for name, value in hidden:
        posted.setdefault(name, []).append(value)
    return client.post(found[1] or response.request["PATH_INFO"], {**posted, **data}, follow=True)


# --- permissions ------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.path)
def test_a_verb_is_for_those_with_its_own_permission_alone(verb: Any) -> None:
    status = STATUS.failed if verb.path == "requeue" else STATUS.queued
    other = [each.permission for each in VERBS if each is not verb]
    email = queued(status=status)
    unchanged = Email.objects.values().get(pk=email.pk)
    # A permission to act is none to see, and that to change fields none to act.
    for refused in (["view_email", "change_email", *other], [verb.permission]):
        client = staff(*refused)
        assert client.get(address(email, verb.path)).status_code == 403
        assert client.post(address(email, verb.path), CHOICES).status_code == 403
        assert f"/{verb.path}/" not in client.get(address(email)).content.decode()
    assert Email.objects.values().get() == unchanged
    assert outgoing.outbox == []

    client = staff("view_email", verb.permission)
    assert address(email, verb.path) in page(client, address(email))
    assert client.get(address(email, verb.path)).status_code == 200
    assert Email.objects.values().get() == unchanged
    assert client.post(address(email, verb.path), CHOICES).status_code == 302
    entry = LogEntry.objects.filter(action_flag=CHANGE).get()
    assert (entry.object_id, entry.user.username) == (str(email.pk), f"view_email-{verb.permission}")


@pytest.mark.parametrize(("action", "permission"), ACTIONS.items())
def test_an_action_is_for_those_with_its_own_permission_alone(action: str, permission: str) -> None:
    email = queued(status=STATUS.failed if action == "requeue" else STATUS.queued)
    other = [each for each in ACTIONS.values() if each != permission]
    client = staff("view_email", "change_email", *other)
    assert f'value="{action}"' not in page(client, LIST)
    before = Email.objects.values().get()
    act(client, action, email, confirmed="yes", **CHOICES)
    assert Email.objects.values().get() == before
    client = staff("view_email", permission)
    assert f'value="{action}"' in page(client, LIST)


def test_delivering_from_the_list_is_for_those_who_may_send() -> None:
    email = queued()
    chosen = {"chosen": f"{email.pk} {email.last_updated.isoformat()}"}
    assert (
        staff("view_email", "change_email", "requeue_email").post(f"{LIST}send/", chosen).status_code == 403
    )
    assert staff("send_email").post(f"{LIST}send/", chosen).status_code == 403
    sender = staff("view_email", "send_email")
    assert sender.get(f"{LIST}send/", chosen).status_code == 405
    assert outgoing.outbox == []
    sender.post(f"{LIST}send/", chosen)
    assert len(outgoing.outbox) == 1


# --- send now ---------------------------------------------------------------------------------


def test_chosen_mail_is_sent_once_it_is_confirmed(boss: Client) -> None:
    waiting, sent, other = queued(), queued(status=STATUS.sent), held()
    asked = act(boss, "send_now", waiting, sent, other)
    text = asked.content.decode()
    assert "3 emails are sent at once" in text
    assert "1 of the selected emails has been sent, or will be. Its recipients get it twice." in text
    assert outgoing.outbox == []
    response = confirmed(boss, asked)
    assert "2 emails have been sent." in told(response)
    assert "1 email was left as it is" in told(response)
    assert len(outgoing.outbox) == 2
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(waiting.pk), str(sent.pk)}
    # The same page again.
    assert "3 emails were left as they are" in told(confirmed(boss, asked))
    assert len(outgoing.outbox) == 2


def test_only_a_few_are_sent_by_one_request(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post_office.admin.actions.MOST_DELIVERIES", 2)
    response = act(boss, "send_now", queued(), queued(), queued())
    assert "At most 2 emails can be sent at once" in told(response)


@pytest.mark.parametrize("nonsense", ["", "x", "1", "1 x", "-1 x", "²  x", f"{10**30} x", "7 2026-01-01"])
def test_nonsense_sends_nothing(nonsense: str, boss: Client) -> None:
    queued()
    assert boss.post(f"{LIST}send/", {"chosen": nonsense}).status_code == 302
    assert outgoing.outbox == []


def test_delivering_from_the_list_is_no_part_of_a_requests_transaction() -> None:
    assert "default" in resolve(f"{LIST}send/").func._non_atomic_requests  # type: ignore[attr-defined]


# --- copies -----------------------------------------------------------------------------------


def test_a_copy_is_sent_from_the_page_and_both_know_of_each_other(boss: Client) -> None:
    email = queued(status=STATUS.sent)
    notes = Attachment(name="notes.txt", mimetype="text/plain")
    notes.file.save("notes.txt", ContentFile(b"x"))
    email.attachments.add(notes)
    asked = boss.get(address(email, "copy"))
    assert "its recipients get it twice" in asked.content.decode()
    response = confirmed(boss, asked)
    copy = Email.objects.latest("pk")
    assert response.request["PATH_INFO"] == address(copy)
    assert list(copy.attachments.all()) == [notes]
    assert (copy.status, row(email).status) == (STATUS.queued, STATUS.sent)
    entries = {(entry.object_id, entry.action_flag): entry.change_message for entry in LogEntry.objects.all()}
    assert entries == {
        (str(email.pk), CHANGE): f"A copy of this email is in the queue: number {copy.pk}.",
        (str(copy.pk), ADDITION): f"Copy of email number {email.pk}.",
    }
    confirmed(boss, asked)  # a second click
    assert Email.objects.count() == 2
    confirmed(boss, boss.get(address(email, "copy")))
    assert Email.objects.count() == 3


def test_copies_are_sent_from_the_list_once_that_is_confirmed(boss: Client) -> None:
    emails = [queued(status=STATUS.sent), queued(status=STATUS.failed)]
    asked = act(boss, "send_copies", *emails)
    assert "2 new emails with the same content are queued. 1 of the selected" in asked.content.decode()
    assert Email.objects.count() == 2
    assert "2 copies are in the queue." in told(confirmed(boss, asked))
    confirmed(boss, asked)
    assert Email.objects.count() == 4


# --- priority and time ------------------------------------------------------------------------


def test_the_priority_is_changed_on_its_page(boss: Client) -> None:
    email = queued(priority=PRIORITY.low)
    asked = boss.get(address(email, "priority"))
    assert '<option value="0" selected>' in asked.content.decode()
    for wrong in ("", "7", "3", "x"):
        again = boss.post(address(email, "priority"), {"priority": wrong})
        assert "errorlist" in again.content.decode()
    assert row(email).priority == PRIORITY.low
    assert "The priority is now “high”." in told(confirmed(boss, asked, priority="2"))
    assert row(email).priority == PRIORITY.high
    assert "nothing was done" in told(confirmed(boss, asked, priority="0"))
    assert row(email).priority == PRIORITY.high


def test_mail_is_rescheduled_on_its_page(boss: Client) -> None:
    email = queued(expires_at=timezone.now() + 9 * HOUR)
    asked = boss.get(address(email, "reschedule"))
    for wrong in ("yesterday", "2020-01-01T10:00"):
        assert "errorlist" in confirmed(boss, asked, scheduled_time=wrong).content.decode()
    beyond = (timezone.now() + 10 * HOUR).strftime("%Y-%m-%dT%H:%M")
    assert "This email expires at" in told(confirmed(boss, asked, scheduled_time=beyond))
    assert row(email).scheduled_time is None
    later = (timezone.now() + HOUR).replace(second=0, microsecond=0)
    told_of = told(confirmed(boss, asked, scheduled_time=later.strftime("%Y-%m-%dT%H:%M")))
    assert re.search(r"Due at [^.]+(\w\.m)?\.$", told_of)  # not "7:30 p.m.."
    assert ".m.." not in page(boss, address(email, "reschedule"))
    assert row(email).due_at == later
    assert "Due now." in told(confirmed(boss, boss.get(address(email, "reschedule")), scheduled_time=""))
    assert row(email).scheduled_time is None
    assert LogEntry.objects.count() == 2


def test_priority_and_time_of_many_are_changed_from_the_list(boss: Client) -> None:
    emails = [queued(), queued(), held(), queued(status=STATUS.sent)]
    asked = act(boss, "change_priority", *emails)
    assert Email.objects.filter(priority=PRIORITY.high).count() == 0
    assert "errorlist" in confirmed(boss, asked, priority="x").content.decode()
    response = confirmed(boss, asked, priority="2")
    assert "2 emails are changed." in told(response)
    assert "2 emails were left as they are" in told(response)
    assert [row(email).priority == PRIORITY.high for email in emails] == [True, True, False, False]

    later = (timezone.now() + HOUR).replace(second=0, microsecond=0)
    asked = act(boss, "reschedule", *emails)
    response = confirmed(boss, asked, scheduled_time=later.strftime("%Y-%m-%dT%H:%M"))
    assert "2 emails are changed." in told(response)
    assert [row(email).scheduled_time for email in emails] == [later, later, None, None]
    assert LogEntry.objects.count() == 4
