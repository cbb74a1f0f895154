"""Messages of Django's come out of the queue as they went in: bytes, envelope and attributes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage as PythonMessage
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP, default
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import connection
from django.utils.translation import gettext_lazy

from post_office.backends import EmailBackend
from post_office.compat import HAS_MODERN_EMAIL
from post_office.mail import send_queued
from post_office.models import STATUS, Email
from post_office.rendering.folding import keep_tokens_whole

pytestmark = pytest.mark.django_db

LONG = "https://example.com/unsubscribe/" + "a" * 150


def on_the_wire(message: EmailMessage) -> bytes:
    """Return the bytes that Django's SMTP backend would send, without what changes with each building."""
    if HAS_MODERN_EMAIL:
        built = message.message(policy=SMTP)
        keep_tokens_whole(built)
        sent = built.as_bytes()
    else:
        sent = message.message().as_bytes(linesep="\r\n")
    sent = re.sub(rb"={15}[0-9]+==", b"BOUNDARY", sent)
    return re.sub(rb"(?mi)^(Date|Message-ID):.*\r\n( .*\r\n)*", b"", sent)


def through_the_queue(message: EmailMessage) -> EmailMessage:
    django_mail.outbox.clear()
    assert EmailBackend().send_messages([message]) == 1
    send_queued()
    email = Email.objects.get()
    assert email.status == STATUS.sent, email.logs.get().message
    (delivered,) = django_mail.outbox
    return delivered


def simple(**options: Any) -> EmailMessage:
    return EmailMessage("s", "b", "me@example.com", ["ann@example.com"], **options)


def rich(body: str = "text", **options: Any) -> EmailMultiAlternatives:
    return EmailMultiAlternatives("s", body, "me@example.com", ["ann@example.com"], **options)


def with_attributes(message: EmailMessage, **attributes: Any) -> EmailMessage:
    for name, value in attributes.items():
        setattr(message, name, value)
    return message


def attached(message: EmailMessage, *attachments: Any) -> EmailMessage:
    message.attachments.extend(attachments)
    return message


def legacy_part(maintype: str, subtype: str, payload: bytes) -> MIMEBase:
    from email.encoders import encode_base64

    part = MIMEBase(maintype, subtype)
    part.set_payload(payload)
    encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename="ünï.bin")
    return part


def multipart() -> MIMEMultipart:
    part = MIMEMultipart("related")
    part.attach(MIMEText("From here\nto there", "plain", "utf-8"))
    part.attach(MIMEImage(b"\x89PNG", "png"))
    return part


def modern_part() -> PythonMessage:
    part = PythonMessage()
    part.set_content(
        b"\x89PNG" * 100, "image", "png", cid="<logo>", disposition="inline", filename="lögö.png"
    )
    del part["MIME-Version"]
    return part


def modern_text_part() -> PythonMessage:
    part = PythonMessage()
    part.set_content("grüße\nFrom me", subtype="csv", filename="a.csv")
    return part


class OwnBytes(EmailMessage):
    """A message that builds itself in its own way."""

    def message(self, **kwargs: Any) -> Any:
        message = super().message(**kwargs)
        message["X-Own"] = "yes"
        return message


class OwnRecipients(EmailMessage):
    def recipients(self) -> list[str]:
        return ["hidden@example.com"]


class Tracked(EmailMessage):
    track_opens = True
    campaign = "spring"

    @property
    def number(self) -> int:
        return 7


CASES: dict[str, Callable[[], EmailMessage]] = {
    "text": simple,
    "html only": lambda: with_attributes(simple(), content_subtype="html"),
    "text and html": lambda: rich(alternatives=[("<p>h", "text/html")]),
    "html beside an empty text": lambda: rich("", alternatives=[("<p>h", "text/html")]),
    "an empty body": lambda: EmailMessage("", "", "me@example.com", ["ann@example.com"]),
    "template tags": lambda: EmailMessage("{{ x }}", "{% now 'Y' %} {{ x }} &", to=["ann@example.com"]),
    "several alternatives": lambda: rich(
        alternatives=[
            ("<p>1", "text/html"),
            ("BEGIN:VCALENDAR", "text/calendar"),
            ("<html amp4email>", "text/x-amp-html"),
            ('{"a": 1}', "application/json"),
            (b"\x00\x01", "application/octet-stream"),
            ("<p>2", "text/html"),
        ]
    ),
    "a text that is the alternative of html": lambda: with_attributes(
        rich("<p>h", alternatives=[("t", "text/plain")]), content_subtype="html"
    ),
    "another subtype": lambda: with_attributes(simple(), content_subtype="markdown"),
    "another encoding": lambda: with_attributes(
        EmailMessage("grüße", "grüße", "me@example.com", ["ann@example.com"]), encoding="iso-8859-1"
    ),
    "ends of lines and long lines": lambda: EmailMessage(
        "s", "a\r\nb\rc\n" + "x" * 2000, to=["a@example.com"]
    ),
    "a null character": lambda: EmailMessage("s", "a\x00b", to=["a@example.com"]),
    "lazy texts": lambda: EmailMessage(
        gettext_lazy("Subject"),
        gettext_lazy("Message"),
        to=["a@example.com"],
        headers={"X-L": gettext_lazy("To")},
    ),
    "a long subject": lambda: EmailMessage("wörd " * 400, "b", to=["ann@example.com"]),
    "a long sender": lambda: EmailMessage("s", "b", f'"{"n" * 300}" <me@example.com>', ["ann@example.com"]),
    "names with commas and quotes": lambda: EmailMessage(
        "s",
        "b",
        '"Doe, John" <me@example.com>',
        ['"Doe, \\"J\\"" <ann@example.com>', "Jürgen <bob@example.com>"],
        cc=['"a,b"@example.com'],
        bcc=["bcc@münchen.de"],
    ),
    "mailboxes without a domain": lambda: EmailMessage("s", "b", "tester", ["root", "postmaster"]),
    "several in reply_to": lambda: simple(reply_to=["a@example.com", "B <b@example.com>"]),
    "reply_to beside a header": lambda: simple(
        reply_to=["a@example.com"], headers={"Reply-To": "b@example.com"}
    ),
    "headers in their order": lambda: simple(headers={"X-ZZ": "1", "X-A": "2", "x-m": "3", "Z": "grüße"}),
    "another From in the header": lambda: simple(
        headers={"From": "Boss <boss@example.com>", "Sender": "me@example.com"}
    ),
    "a date and an id of its own": lambda: simple(
        headers={"Message-ID": "<own@example.com>", "Date": "Fri, 09 Nov 2001 01:08:47 -0000"}
    ),
    "long tokens": lambda: simple(
        headers={
            "List-Unsubscribe": f"<{LONG}>",
            "References": " ".join(f"<{n}{'r' * 90}@x>" for n in range(9)),
        }
    ),
    "text attachments": lambda: attached(
        simple(),
        ("twice.txt", "one", "text/plain"),
        ("twice.txt", "twö\r\n", "text/csv"),
        ("a", "", "text/x"),
    ),
    "binary attachments": lambda: attached(
        simple(),
        ("d.bin", b"\x00\xff", "application/x-foo"),
        (None, b"n", "image/png"),
        ("t.pdf", "str", "application/pdf"),
    ),
    "text as bytes that are not UTF-8": lambda: simple(attachments=[("x.txt", b"\xff\xfe", "text/plain")]),
    "the same attachment twice": lambda: attached(simple(), *[("a.txt", "same", "text/plain")] * 2),
    "long and odd file names": lambda: attached(
        simple(),
        ("a/", b"slash", "application/x-foo"),
        ("../b", b"up", "application/x-foo"),
        ("ü" * 100 + ".txt", "t", "text/plain"),
        ("n" * 300, b"b", "application/x-foo"),
    ),
    "a message of Django's": lambda: attached(
        simple(), (None, rich(alternatives=[("<p>", "text/html")]), "message/rfc822")
    ),
    "a message as bytes": lambda: attached(simple(), ("m.eml", b"Subject: x\n\nFrom y", "message/rfc822")),
    "provider attributes": lambda: with_attributes(
        simple(),
        tags=["a", "b, c"],
        metadata={"order": 7, "at": 1.0, "z": [1], "much": 1e23},
        esp_extra={"z": (1, b"\x00"), "a": Decimal("1.1"), 5: None},
        template_id=12,
        merge_data={"ann@example.com": {"name": "Ann"}},
        send_at=datetime(2030, 1, 1, tzinfo=timezone.utc),
        track_clicks=False,
        envelope_sender="bounce@example.com",
    ),
    "tags that fit no column": lambda: with_attributes(
        simple(), tags=("a\nb",), metadata={"when": datetime(2030, 1, 1)}
    ),
    "attributes of a class": lambda: Tracked("s", "b", to=["ann@example.com"]),
    "a class with bytes of its own": lambda: OwnBytes("grüße", "From here\nto there", to=["ann@example.com"]),
    "a class with recipients of its own": lambda: OwnRecipients("s", "b", to=["ann@example.com"]),
}
if HAS_MODERN_EMAIL:
    CASES |= {
        "modern parts": lambda: attached(simple(), modern_part(), modern_text_part()),
        "a modern message": lambda: attached(simple(), ("m.eml", modern_text_part(), "message/rfc822")),
    }
else:
    CASES |= {
        "multipart/related": lambda: with_attributes(
            attached(rich(alternatives=[("<p>", "text/html")]), MIMEImage(b"\x89PNG", "png")),
            mixed_subtype="related",
        ),
        "numbers in headers": lambda: simple(headers={"X-Number": 5}),
    }
LEGACY_PARTS: dict[str, Callable[[], EmailMessage]] = {
    "a legacy part": lambda: attached(simple(), legacy_part("application", "x-foo", b"\x00\xff" * 100)),
    "a legacy part of text": lambda: attached(simple(), MIMEText("grüße\nFrom me", "plain", "utf-8")),
    "a legacy part of parts": lambda: attached(simple(), multipart()),
}

ATTRIBUTES = (
    *("subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "content_subtype", "encoding"),
    *("tags", "metadata", "esp_extra", "template_id", "merge_data", "send_at", "track_opens", "track_clicks"),
    *("envelope_sender", "mixed_subtype", "campaign"),
)


@pytest.mark.parametrize("case", [*CASES, *LEGACY_PARTS])
def test_a_message_survives_the_queue(case: str) -> None:
    with warnings.catch_warnings():
        if case in LEGACY_PARTS:
            warnings.simplefilter("ignore")
        direct = {**CASES, **LEGACY_PARTS}[case]()
        queued = through_the_queue({**CASES, **LEGACY_PARTS}[case]())
        assert on_the_wire(queued) == on_the_wire(direct)
    assert queued.recipients() == direct.recipients()
    for name in ATTRIBUTES:
        value = getattr(direct, name, None)
        assert getattr(queued, name, None) == value, name
        assert repr(getattr(queued, name, None)) == repr(value) or not isinstance(value, (dict, list)), name
    sent = {
        name: value for name, value in queued.extra_headers.items() if name not in ("Message-ID", "Expires")
    }
    assert sent == {name: value for name, value in direct.extra_headers.items() if name != "Message-ID"}


@pytest.mark.parametrize("case", ["provider attributes", "several alternatives", "headers in their order"])
def test_the_caller_keeps_the_message_as_it_was(case: str) -> None:
    message = CASES[case]()
    before = {name: repr(value) for name, value in vars(message).items()}
    EmailBackend().send_messages([message])
    assert {name: repr(value) for name, value in vars(message).items()} == before


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("subject", "new", lambda message: message.subject == "new"),
        ("to", ["new@example.com"], lambda message: message.to == ["new@example.com"]),
        ("from_email", "new@example.com", lambda message: message.from_email == "new@example.com"),
        ("headers", {"X-New": "1"}, lambda message: message.extra_headers["X-New"] == "1"),
        ("headers", {"X-New": "1"}, lambda message: message.reply_to == []),
        ("tags", ["new"], lambda message: message.tags == ["new"]),
        ("metadata", {"new": 1}, lambda message: message.metadata == {"new": 1}),
        ("message", "new", lambda message: message.body == "new"),
    ],
)
def test_whoever_edits_a_column_is_obeyed(column: str, value: Any, shown: Callable[[Any], bool]) -> None:
    message = EmailMultiAlternatives("s" * 2000, "b", f"{'n' * 300} <me@example.com>", ["root"])
    message.extra_headers = {"X-B": "1", "X-A": "2"}
    message.reply_to = ["re@example.com"]
    message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
    with_attributes(message, tags=["old"], metadata={"old": 1})
    EmailBackend().send_messages([message])
    email = Email.objects.get()
    setattr(email, column, value)
    email.save()
    assert shown(Email.objects.get().email_message())


def test_an_edit_of_a_text_that_the_message_did_not_show_ends_its_layout() -> None:
    EmailBackend().send_messages([rich(alternatives=[("BEGIN:VCALENDAR", "text/calendar")])])
    email = Email.objects.get()
    email.message = "new"
    email.save()
    message: Any = Email.objects.get().email_message()
    assert (message.body, message.alternatives) == ("new", [("BEGIN:VCALENDAR", "text/calendar")])
    email.html_message = "<p>new"
    email.save()
    message = Email.objects.get().email_message()
    assert (message.body, message.alternatives) == ("new", [("<p>new", "text/html")])


def test_an_object_for_the_provider_that_cannot_be_stored_is_refused() -> None:
    message = with_attributes(simple(), esp_extra={"client": object()})
    with pytest.raises(ValueError, match=r"esp_extra: .*object.* cannot be stored"):
        EmailBackend().send_messages([message])
    assert not Email.objects.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"to": ["a@b@c.example"]}, r"recipients: .*a@b@c\.example"),
        ({"to": ["ann@example.com, bob@example.com"]}, r"recipients: .*ann@example\.com, bob@example\.com"),
        ({"from_email": "me@"}, r"from_email: .*me@"),
        ({"headers": {"X Y": "1"}}, r"headers: 'X Y' is not a header name"),
        ({"headers": {"X-Y": "1\nBcc: evil@example.com"}}, r"newline|linefeed"),
    ],
)
def test_what_no_mail_format_allows_is_refused_when_it_is_queued(options: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EmailBackend().send_messages([EmailMessage("s", "b", **{"to": ["ann@example.com"], **options})])
    assert not Email.objects.exists()


def test_other_recipients_replace_those_of_a_message_with_bytes_of_its_own(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "OVERRIDE_RECIPIENTS": ["staging@example.com"]}
    message = through_the_queue(OwnBytes("s", "b", to=["ann@example.com"], cc=["bob@example.com"]))
    built = message.message()
    assert message.recipients() == ["staging@example.com"]
    assert (built["To"], built["Cc"], built["X-Original-Cc"], built["X-Own"]) == (
        "staging@example.com", None, "bob@example.com", "yes",
    )  # fmt: skip
    assert b"\nTo: staging@example.com\n" in built.as_bytes()
    assert b"\nCc:" not in built.as_bytes()


def test_an_edit_of_recipients_counts_more_than_a_messages_own_envelope() -> None:
    EmailBackend().send_messages([OwnRecipients("s", "b", to=["ann@example.com"])])
    email = Email.objects.get()
    assert email.email_message().recipients() == ["hidden@example.com"]
    email.cc = ["new@example.com"]
    email.save()
    assert Email.objects.get().email_message().recipients() == ["ann@example.com", "new@example.com"]


@pytest.mark.parametrize(
    ("column", "value", "header", "shown"),
    [
        ("to", ["Jürgen <new@münchen.de>", "x@x.com"], "To", "Jürgen <new@xn--mnchen-3ya.de>, x@x.com"),
        ("cc", ["new@example.com"], "Cc", "new@example.com"),
        ("from_email", '"Doe, John" <new@example.com>', "From", '"Doe, John" <new@example.com>'),
        ("subject", "neue Grüße", "Subject", "neue Grüße"),
    ],
)
def test_an_edit_changes_the_header_of_a_message_with_bytes_of_its_own(
    column: str, value: Any, header: str, shown: str
) -> None:
    EmailBackend().send_messages([OwnBytes("Grüße", "b", "me@example.com", ["ann@example.com"])])
    email = Email.objects.get()
    setattr(email, column, value)
    email.save()
    message: Any = Email.objects.get().email_message()
    built = message_from_bytes(message.message().as_bytes(), policy=default)
    assert (str(built[header]), built["X-Own"]) == (shown, "yes")
    if column in ("to", "cc"):
        assert set(value) <= set(message.recipients())


def test_the_texts_of_a_message_with_bytes_of_its_own_cannot_be_changed() -> None:
    EmailBackend().send_messages([OwnBytes("s", "b", to=["ann@example.com"])])
    email = Email.objects.get()
    email.save()
    email.message = "new"
    with pytest.raises(ValidationError, match="its texts cannot be changed"):
        email.save()


@pytest.mark.parametrize("text", ["{broken", '{"a": {"$": "of a later version", "of": 1}}'])
@pytest.mark.parametrize("table", ["email", "attachment"])
def test_what_cannot_be_read_back_fails_its_own_mail_and_stops_no_other(table: str, text: str) -> None:
    long_name = "n" * 300
    EmailBackend().send_messages(
        [attached(simple(), (f"{long_name}{n}", b"b", "application/x-foo")) for n in range(3)]
    )
    _first, bad, _last = Email.objects.order_by("id")
    key = bad.pk if table == "email" else bad.attachments.get().pk
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE post_office_{table} SET as_given = %s WHERE id = %s", [text, key])
    assert send_queued() == (2, 1, 0)
    assert "cannot be read back from the database" in bad.logs.get().message
    broken: Any = Email.objects.get(pk=bad.pk) if table == "email" else bad.attachments.get()
    with pytest.raises(ValidationError, match="cannot be read back from the database"):
        broken.full_clean()
