"""Django's own ways of sending mail, through the queue."""

import logging
from email.message import EmailMessage as PythonMessage
from email.mime.base import MIMEBase
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.mail import (
    EmailMessage,
    mail_admins,
    mail_managers,
    send_mail,
    send_mass_mail,
)

from post_office import EmailBackend, mail
from post_office.compat import HAS_MODERN_EMAIL
from post_office.models import PRIORITY, STATUS, Email

pytestmark = pytest.mark.django_db

# Whatever looks like a template is none here.
SUBJECT = "{{ price }} & <b>"
TEXT = "Pay {{ price }} {% endif %} & smile"
HTML = "<p>{{ price }} {% include 'admin/base.html' %}</p>"


def delivered() -> Any:
    mail.send_queued()
    (message,) = django_mail.outbox
    return message


def test_send_mail_is_queued_and_delivered_verbatim() -> None:
    assert send_mail(SUBJECT, TEXT, "me@example.com", ["ann@example.com"], html_message=HTML) == 1
    (queued,) = Email.objects.all()
    assert (queued.status, queued.to) == (STATUS.queued, ["ann@example.com"])
    assert django_mail.outbox == []
    message = delivered()
    assert (message.subject, message.body) == (SUBJECT, TEXT)
    assert [tuple(alternative) for alternative in message.alternatives] == [(HTML, "text/html")]


def test_send_mass_mail_counts_what_it_accepts() -> None:
    messages = [(SUBJECT, TEXT, "me@example.com", [f"{number}@example.com"]) for number in range(3)]
    assert send_mass_mail(messages) == 3
    assert Email.objects.count() == 3


def test_admins_and_managers_are_written_to(settings: Any) -> None:
    people = ["boss@example.com"] if HAS_MODERN_EMAIL else [("Boss", "boss@example.com")]
    settings.ADMINS = settings.MANAGERS = people
    settings.EMAIL_SUBJECT_PREFIX = "[{{ site }}] "
    mail_admins("down", TEXT)
    mail_managers("up", TEXT, html_message=HTML)
    assert [email.subject for email in Email.objects.order_by("pk")] == [
        "[{{ site }}] down",
        "[{{ site }}] up",
    ]
    assert all(email.to == ["boss@example.com"] for email in Email.objects.all())


def test_every_field_of_a_message_comes_out_again() -> None:
    EmailMessage(
        SUBJECT,
        TEXT,
        "Me <me@example.com>",
        to=['"Doe, John" <john@example.com>'],
        cc=["cc@example.com"],
        bcc=["bcc@example.com"],
        reply_to=["reply@example.com", "other@example.com"],
        headers={"X-Campaign": "spring"},
    ).send()
    message = delivered()
    assert message.from_email == "Me <me@example.com>"
    assert message.to == ['"Doe, John" <john@example.com>']
    assert (message.cc, message.bcc) == (["cc@example.com"], ["bcc@example.com"])
    assert message.extra_headers["X-Campaign"] == "spring"
    assert message.message()["Reply-To"] == "reply@example.com, other@example.com"


def test_the_callers_message_is_left_as_it_was() -> None:
    headers = {"X-A": "1"}
    message = EmailMessage("s", "b", "me@example.com", ["a@example.com"], reply_to=["r@example.com"])
    message.extra_headers = headers
    message.send()
    assert headers == {"X-A": "1"}


def test_html_only_mail_stays_html() -> None:
    message = EmailMessage("s", HTML, "me@example.com", ["ann@example.com"])
    message.content_subtype = "html"
    message.send()
    built = delivered().message()
    assert built.get_content_type() == "text/html"
    assert built.get_payload(decode=True).decode().strip() == HTML


def test_attachments_keep_order_names_types_and_content() -> None:
    message = EmailMessage("s", "b", "me@example.com", ["ann@example.com"])
    message.attach("twice.txt", "one", "text/plain")
    message.attach("twice.txt", "two", "text/plain")
    message.attach("data.bin", b"\0\xff", "application/x-foo")
    message.attach(None, b"nameless", "application/octet-stream")
    if HAS_MODERN_EMAIL:
        part: Any = PythonMessage()
        part.set_content(b"\x89PNG", "image", "png", cid="<logo>", disposition="inline")
    else:
        part = MIMEBase("image", "png")
        part.set_payload(b"\x89PNG")
        part["Content-ID"] = "<logo>"
        part["Content-Disposition"] = "inline"
    message.attach(part)
    message.send()
    attached = delivered().message().get_payload()[1:]
    assert [
        (part.get_content_type(), part.get_filename(), part.get_payload(decode=True)) for part in attached
    ] == [
        ("text/plain", "twice.txt", attached[0].get_payload(decode=True)),
        ("text/plain", "twice.txt", attached[1].get_payload(decode=True)),
        ("application/x-foo", "data.bin", b"\0\xff"),
        ("application/octet-stream", None, b"nameless"),
        ("image/png", None, b"\x89PNG"),
    ]
    assert [part.get_payload(decode=True).strip() for part in attached[:2]] == [b"one", b"two"]
    assert attached[-1]["Content-ID"] == "<logo>"


def test_a_header_with_a_newline_is_refused_when_it_is_queued() -> None:
    with pytest.raises(ValueError, match=r"newline|linefeed|carriage return"):
        EmailMessage("s\nBcc: x@example.com", "b", "me@example.com", ["ann@example.com"]).send()
    assert not Email.objects.exists()


def test_one_bad_message_queues_none() -> None:
    good = EmailMessage("s", "b", "me@example.com", ["ann@example.com"])
    bad = EmailMessage("s\nx", "b", "me@example.com", ["ann@example.com"])
    with pytest.raises(ValueError, match=r"newline|linefeed|carriage return"):
        EmailBackend().send_messages([good, bad])
    assert not Email.objects.exists()


def test_silence_is_kept_on_request() -> None:
    bad = EmailMessage("s\nx", "b", "me@example.com", ["ann@example.com"])
    assert EmailBackend(fail_silently=True).send_messages([bad]) == 0


def test_an_error_report_that_cannot_be_queued_is_not_reported_again() -> None:
    handler = Reporter()
    logging.getLogger().addHandler(handler)
    try:
        logging.getLogger("shop").error("boom")
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.reported == ["boom", "A message could not be queued: "]
    assert not Email.objects.exists()


class Reporter(logging.Handler):
    """Mails errors to the admins through the queue, as Django's own handler does."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.reported: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.reported.append(record.getMessage().partition(": ")[0] + record.getMessage().partition(": ")[1])
        message = EmailMessage("x\nBcc: evil@example.com", record.getMessage(), to=["admin@example.com"])
        EmailBackend(fail_silently=True).send_messages([message])


@pytest.mark.parametrize("nothing", [[], None, iter(())])
def test_no_messages_are_none_accepted(nothing: Any) -> None:
    assert EmailBackend().send_messages(nothing) == 0


def test_a_message_without_recipients_is_not_queued() -> None:
    assert EmailBackend().send_messages([EmailMessage("s", "b", "me@example.com")]) == 0
    assert not Email.objects.exists()


def test_options_name_the_backend_and_the_priority() -> None:
    message = EmailMessage("s", "b", "me@example.com", ["ann@example.com"])
    EmailBackend(using="default", priority="high").send_messages([message])
    (email,) = Email.objects.all()
    assert (email.backend_alias, email.priority) == ("default", PRIORITY.high)


def test_priority_now_delivers_at_once(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "DEFAULT_PRIORITY": "now"}
    assert send_mail("s", "b", "me@example.com", ["ann@example.com"]) == 1
    assert len(django_mail.outbox) == 1
    assert Email.objects.get().status == STATUS.sent


def test_a_login_that_would_be_lost_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="auth_user, auth_password: not kept with queued mail"):
        EmailBackend(username="me", password="secret")
