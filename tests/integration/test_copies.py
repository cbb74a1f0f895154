"""Copies of mail: the same content for the same people, and a life of their own."""

from datetime import timedelta
from email import message_from_bytes
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils import timezone

from post_office import copies, mail
from post_office.backends import EmailBackend
from post_office.exceptions import UnreadableColumn
from post_office.models import QUEUES_OWN, STATUS, Email, EmailTemplate
from post_office.packing import Unreadable
from post_office.signals import email_queued
from tests.integration.staff import held, queued, row

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n"


class OwnBytes(EmailMessage):
    def message(self, **kwargs: Any) -> Any:
        return message_from_bytes(b"Message-ID: <own@example.com>\nSubject: Own\nX-Made-By: hand\n\nBytes\n")


def of(message: EmailMessage) -> Email:
    assert EmailBackend().send_messages([message]) == 1
    return Email.objects.latest("pk")


def sent_as(email: Email) -> dict[str, Any]:
    """What goes out, but for what tells one message from another."""
    message = row(email).email_message().message()
    parts = [
        (part.get_content_type(), part.get_filename(), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart()
    ]
    unlike = ("message-id", "date", "content-type")
    return {"headers": [pair for pair in message.items() if pair[0].lower() not in unlike], "parts": parts}


def composed() -> Email:
    files = {"b.txt": b"second", "a.png": {"file": PNG, "mimetype": "image/png"}}
    return mail.send(
        recipients=["Ann <ann@example.com>"],
        sender="me@example.com",
        cc="cy@example.com",
        bcc="bo@example.com",
        subject="Hello",
        message="Text",
        html_message="<p>HTML</p>",
        headers={"Reply-To": "us@example.com", "message-id": "<mine@example.com>"},
        attachments=files,
        tags=["invoice"],
        metadata={"order": 7},
        idempotency_key="order-7",
        max_retries=3,
        on_unknown="hold",
        backend="default",
        priority="high",
    )


def handed_over() -> Email:
    message = EmailMultiAlternatives(
        "Hello",
        "Text",
        "Me <me@example.com>",
        ["ann@example.com"],
        reply_to=["us@example.com"],
        headers={"X-B": "2", "Message-ID": "<mine@example.com>", "X-A": "1"},
    )
    message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
    message.attach("a.png", PNG, "image/png")
    return of(message)


def as_bytes() -> Email:
    return of(OwnBytes("Hello", "Text", "me@example.com", ["ann@example.com"]))


@pytest.mark.parametrize("make", [composed, handed_over, as_bytes])
def test_a_copy_goes_out_like_the_first_under_an_id_of_its_own(make: Any) -> None:
    first = make()
    copy = row(copies.send_again(row(first)))
    assert copy.pk != first.pk
    assert sent_as(copy) == sent_as(first)
    message_id = copy.email_message().message()["Message-ID"]
    assert message_id == copy.message_id
    assert message_id not in (first.message_id, "<mine@example.com>", "<own@example.com>", None)
    for kept in ("to", "cc", "bcc", "tags", "metadata", "priority", "max_retries", "on_unknown"):
        assert getattr(copy, kept) == getattr(row(first), kept), kept
    assert copy.idempotency_key is None


def test_a_copy_has_no_history_and_the_first_keeps_its_own() -> None:
    first = held()
    past, now = timezone.now() - timedelta(days=9), timezone.now()
    story = {
        "number_of_retries": 4,
        "provider_id": "p",
        "recipient_delivery_status": 70,
        "scheduled_time": past,
        "expires_at": past,
        "answers": {"ann@example.com": {"state": "accepted", "code": 250, "answer": "ok"}},
        "first_due_at": past,
        "status": STATUS.failed,
    }
    Email.objects.filter(pk=first.pk).update(**story)
    before = Email.objects.values().get(pk=first.pk)
    copy = row(copies.send_again(row(first)))
    assert Email.objects.values().get(pk=first.pk) == before
    assert copy.status == STATUS.queued
    assert [getattr(copy, name) for name in QUEUES_OWN] == list(QUEUES_OWN.values())
    for name in (
        "number_of_retries",
        "provider_id",
        "recipient_delivery_status",
        "scheduled_time",
        "expires_at",
    ):
        assert getattr(copy, name) is None, name
    assert copy.created >= now
    assert copy in Email.objects.claimable(timezone.now())


def test_mail_that_is_still_alive_goes_on_expiring() -> None:
    later = timezone.now() + timedelta(days=1)
    assert row(copies.send_again(queued(expires_at=later))).expires_at == later


def test_a_copy_of_mail_that_waits_for_its_template_waits_for_it_too() -> None:
    template = EmailTemplate.objects.create(name="hi", subject="Hi {{ name }}", content="{{ name }}")
    first = mail.send(
        "ann@example.com",
        "me@example.com",
        template=template,
        context={"name": "Ann"},
        render_on_delivery=True,
    )
    copy = row(copies.send_again(row(first)))
    assert (copy.context, copy.template) == ({"name": "Ann"}, template)
    assert copy.email_message().subject == "Hi Ann"


def test_the_same_request_makes_one_copy_and_announces_it_once() -> None:
    first, other = queued(), queued()
    heard: list[int] = []

    def hear(emails: list[Email], **kwargs: Any) -> None:
        heard.extend(email.pk for email in emails)

    email_queued.connect(hear)
    try:
        copy = copies.send_again(first, once="x")
        assert copies.send_again(first, once="x").pk == copy.pk
        others = [
            copies.send_again(first, once="y"),
            copies.send_again(other, once="x"),
            copies.send_again(first),
        ]
    finally:
        email_queued.disconnect(hear)
    assert heard == [copy.pk, *(each.pk for each in others)]
    assert Email.objects.count() == 6


def test_what_is_broken_in_the_database_is_not_copied() -> None:
    email = queued()
    email.context = Unreadable(ValueError("no JSON"))
    with pytest.raises(UnreadableColumn, match="The context of this mail cannot be read back"):
        copies.send_again(email)
    assert Email.objects.count() == 1
