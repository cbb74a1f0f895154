"""Fill a database by the public API of django-post_office 3.12.0, and print what it holds then.

Mail that is to be delivered has a subject that begins with "due", mail whose time is over and which
clean-up deletes begins with "old", and all other mail begins with "kept".
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.mime.image import MIMEImage

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402
from django.core.mail import EmailMultiAlternatives  # noqa: E402
from django.core.management import call_command  # noqa: E402
from rows import rows  # noqa: E402

from post_office import mail  # noqa: E402
from post_office.models import PRIORITY, STATUS, Email, EmailTemplate, Log, RecipientDeliveryStatus  # noqa: E402

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)
SENDER = "The Shop <shop@example.com>"
PICKLES = settings.POST_OFFICE.get("CONTEXT_FIELD_CLASS", "").startswith("picklefield")


def send(subject, **arguments):
    return mail.send("ann@example.com", SENDER, subject=subject, **{"message": "Hello", **arguments})


def change(email, **columns):
    Email.objects.filter(pk=email.pk).update(**columns)


def deliver_by_the_old_code():
    send("kept: sent at once", priority="now")
    send("kept: failed at once", priority="now", backend="unreachable")
    send("kept: sent from the queue", html_message="<p>Hello</p>")
    requeued = send("due: requeued by the old code", backend="unreachable")
    assert mail.send_queued() == (1, 0, 1)
    change(requeued, scheduled_time=NOW)  # instead of in a quarter of an hour


def every_status_with_every_priority():
    for status in (None, *STATUS):
        for priority in (None, *PRIORITY):
            is_open = status in (STATUS.queued, STATUS.requeued)
            subject = f"{'due' if is_open else 'kept'}: status {status}, priority {priority}"
            change(send(subject), status=status, priority=priority)


def addresses_and_headers():
    mail.send(
        ["Ann Smith <ann@example.com>", "bob@example.com"],
        SENDER,
        subject="due: addresses ✉ 😀",
        message="Grüße",
        html_message="<p>Grüße 😀</p>",
        cc=["Carl <carl@example.com>"],
        bcc="dora@example.com",
        headers={"Reply-To": "desk@example.com", "X-Shop": "17"},
        backend="second",
    )
    mail.send('"Doe, John" <john@example.com>', SENDER, subject="due: comma in a name", message="Hello")
    mail.send(sender=SENDER, subject="due: nobody", message="Hello")
    change(send("due: with an id"), message_id="<17@shop.example.com>")


def attachments():
    send(
        "due: attachments",
        attachments={
            "plain.txt": ContentFile(b"plain"),
            "data.bin": {"file": ContentFile(bytes(range(256))), "mimetype": "application/x-shop"},
            "invitation.ics": {
                "file": ContentFile(b"BEGIN:VCALENDAR"),
                "mimetype": "text/calendar",
                "headers": {
                    "Content-Disposition": 'attachment; filename="invitation.ics"',
                    "X-Kind": "invitation",
                },
            },
        },
    )
    # Through Django's backend, with an inline image: stored encoded, beside its headers.
    message = EmailMultiAlternatives(
        "due: inline image", "Hello", SENDER, ["ann@example.com"], reply_to=["r@example.com"]
    )
    message.attach_alternative('<p><img src="cid:logo"></p>', "text/html")
    image = MIMEImage(b"\x89PNG not really \x00\xff", "png")
    image.add_header("Content-ID", "<logo>")
    image.add_header("Content-Disposition", "inline", filename="logo.png")
    message.attach(image)
    message.send()


def templates():
    welcome = EmailTemplate.objects.create(
        name="welcome", description="For newcomers", subject="due: welcome {{ name }}",
        content="Hello {{ name }}", html_content="<p>Hello {{ name }}</p>",
    )  # fmt: skip
    german = welcome.translated_templates.create(
        language="de", subject="due: willkommen {{ name }}", content="Hallo {{ name }}",
    )  # fmt: skip
    context = {"name": "Zoë", "numbers": [1, 2.5, None, True], "nested": {"a": "</p>"}}
    if PICKLES:
        context |= {"when": NOW, "price": Decimal("1.10"), "colours": {"red"}}
    mail.send("ann@example.com", SENDER, template="welcome", context={"name": "at once"})
    mail.send("ann@example.com", SENDER, template="welcome", context=context, render_on_delivery=True)
    mail.send("ann@example.com", SENDER, template=german, context={"name": "Jörg"}, render_on_delivery=True)
    # The old code fails at the delivery of this one.
    plain = EmailTemplate.objects.create(name="plain", subject="due: without context", content="Hello")
    mail.send("ann@example.com", SENDER, template=plain, render_on_delivery=True)


def times():
    send("due: scheduled", scheduled_time=NOW - DAY)
    send("due: expires tomorrow", expires_at=NOW + DAY)
    send("kept: scheduled for tomorrow", scheduled_time=NOW + DAY, expires_at=NOW + 2 * DAY)
    change(send("kept: expired"), expires_at=NOW - DAY)
    change(send("due: third attempt"), status=STATUS.requeued, number_of_retries=2, scheduled_time=NOW - DAY)


def reports():
    email = send("kept: reported")
    change(email, status=STATUS.sent, recipient_delivery_status=RecipientDeliveryStatus.OPENED)
    for status in (STATUS.sent, RecipientDeliveryStatus.DELIVERED, RecipientDeliveryStatus.OPENED):
        Log.objects.create(email=email, status=status, message="Reported ✓", exception_type="")


def long_ago():
    for status in (STATUS.sent, STATUS.failed, None):
        email = send(f"old: status {status}", attachments={"old.txt": ContentFile(b"old")})
        Log.objects.create(email=email, status=STATUS.failed, message="Long ago")
        change(email, status=status, created=NOW - 100 * DAY)
    change(send("kept: queued long ago for tomorrow", scheduled_time=NOW + DAY), created=NOW - 100 * DAY)


def fill():
    for part in (
        deliver_by_the_old_code,
        every_status_with_every_priority,
        addresses_and_headers,
        attachments,
        templates,
        times,
        reports,
        long_ago,
    ):
        part()


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    fill()
    json.dump(rows(), sys.stdout)
