"""Messages that queues are known to lose something of, each with the name of what is unusual about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from email.charset import QP, Charset
from email.headerregistry import Address
from email.message import EmailMessage as PythonMessage
from email.message import MIMEPart
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from django.core.mail import EmailAlternative, EmailAttachment, EmailMessage, EmailMultiAlternatives
from django.utils.functional import lazystr
from django.utils.translation import gettext_lazy

from post_office.compat import HAS_MODERN_EMAIL
from tests.conformance.recipes import LONG_URL, REFERENCES, Copied, Newsletter, Signed

Make = Callable[[], EmailMessage]

HTML = "<p>Grüße & <b>{{ name }}</b></p>"
CALENDAR = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"


def message(of: type[EmailMessage] = EmailMultiAlternatives, /, **changes: Any) -> EmailMessage:
    """Return a message that differs in `changes` from a plain one.

    They are arguments of the constructor, or attributes that are set afterwards.
    """
    arguments: dict[str, Any] = {
        "subject": "s",
        "body": "b",
        "from_email": "me@example.com",
        "to": ["a@example.com"],
    }
    later = ("content_subtype", "encoding", *PROVIDER_ATTRIBUTES)
    made = of(**arguments | {name: value for name, value in changes.items() if name not in later})
    for name in changes.keys() & later:
        setattr(made, name, changes[name])
    return made


PROVIDER_ATTRIBUTES: dict[str, Any] = {
    "tags": ["welcome", "Grüße"],
    "metadata": {"order": 12, "customer": "7", "vip": True},
    "esp_extra": {"nested": {"list": [1, 2.5, None, "x"]}},
    "template_id": "welcome-1",
    "merge_data": {"a@example.com": {"name": "Ann"}},
    "merge_global_data": {"shop": "Bücher"},
    "merge_metadata": {"a@example.com": {"order": 12}},
    "merge_headers": {"a@example.com": {"List-Unsubscribe": "<https://example.com/a>"}},
    "send_at": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "track_opens": False,
    "track_clicks": True,
    "envelope_sender": "bounces@example.com",
}


def attaching(*attached: Any) -> EmailMessage:
    """Return a message that was given attachments by attach()."""
    made = message()
    for arguments in attached:
        made.attach(*(arguments if isinstance(arguments, tuple) else (arguments,)))
    return made


def holding(*attachments: Any) -> EmailMessage:
    """Return a message whose list of attachments was filled by hand."""
    made = message()
    made.attachments = list(attachments)
    return made


def forwarded() -> PythonMessage:
    made = PythonMessage()
    made["Subject"], made["From"], made["Message-ID"] = "Grüße", "me@example.com", "<forwarded@example.com>"
    made.set_content("Grüße\n")
    made.add_attachment(b"\0\1", "application", "x-foo", filename="inner.bin")
    return made


def part(content: bytes = b"\x89PNG", maintype: str = "image", subtype: str = "png", **headers: str) -> Any:
    """Return a part of Python's email package, of the kind that this Django takes."""
    made: Any
    if HAS_MODERN_EMAIL:
        made = MIMEPart()
        made.set_content(content, maintype, subtype)
    else:
        made = MIMEImage(content, subtype) if maintype == "image" else MIMEApplication(content, subtype)
    for name, value in headers.items():
        del made[name.replace("_", "-")]
        made[name.replace("_", "-")] = value
    return made


def text_part() -> Any:
    if not HAS_MODERN_EMAIL:
        return MIMEText("Grüße", "csv", "iso-8859-1")
    made = MIMEPart()
    made.set_content(
        "Grüße\n", subtype="csv", charset="iso-8859-1", filename="a.csv", disposition="attachment"
    )
    return made


def multipart() -> Any:
    if not HAS_MODERN_EMAIL:
        made: Any = MIMEMultipart("related")
        made.attach(MIMEText("<img src='cid:x'>", "html", "utf-8"))
        made.attach(part(Content_ID="<x>"))
        return made
    made = MIMEPart()
    made.set_content("<img src='cid:x'>", subtype="html")
    made.add_related(b"\x89PNG", "image", "png", cid="<x>")
    return made


def quoted_printable() -> Charset:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    return charset


CASES: dict[str, Make] = {
    # --- bodies
    "plain text": message,
    "text that looks like a template": lambda: message(
        subject="{{ x }} {% now 'Y' %}", body="{% endif %} & <b>"
    ),
    "no body": lambda: message(body=""),
    "body is None": lambda: message(body=None),
    "lazy body": lambda: message(body=gettext_lazy("Save")),
    "white space around the body": lambda: message(body="\n\n  b \t\n\n"),
    "Windows line ends": lambda: message(body="a\r\nb\r\n"),
    "old Mac line ends": lambda: message(body="a\rb\r"),
    "other line ends": lambda: message(body="a\x0bb\x0cc\x85d\u2028e"),
    "lines with a dot and From": lambda: message(body=".\n..\nFrom me\n>From\n"),
    "emoji": lambda: message(subject="🎉 Grüße", body="🎉\n"),
    "a line of 5000 characters": lambda: message(body="x" * 5000),
    "a body of 300 kB": lambda: message(body="Grüße aus Köln\n" * 20000),
    "html alone": lambda: message(body=HTML, content_subtype="html"),
    "html alone, in the plainest class": lambda: message(EmailMessage, body=HTML, content_subtype="html"),
    "calendar alone": lambda: message(body=CALENDAR, content_subtype="calendar"),
    "unknown text type": lambda: message(body="# b", content_subtype="markdown"),
    "subtype with a parameter": lambda: message(body=CALENDAR, content_subtype="calendar; method=REQUEST"),
    # --- encodings
    "Latin-1": lambda: message(subject="Grüße", body="Grüße", encoding="iso-8859-1"),
    "Latin-1 everywhere": lambda: message(
        subject="Grüße",
        body="Grüße",
        alternatives=[(HTML, "text/html")],
        attachments=[("ü.txt", "Grüße", "text/plain")],
        from_email="Jürgen <me@example.com>",
        encoding="iso-8859-1",
    ),
    "an encoding that cannot hold the text": lambda: message(body="日本", encoding="iso-8859-1"),
    "an encoding that does not exist": lambda: message(encoding="no-such-encoding"),
    "us-ascii": lambda: message(encoding="us-ascii"),
    "Shift JIS": lambda: message(body="日本語", encoding="shift_jis"),
    "UTF-16": lambda: message(body="Grüße", encoding="utf-16"),
    "upper-case UTF-8": lambda: message(body="Grüße", encoding="UTF-8"),
    # --- alternatives
    "text and html": lambda: message(alternatives=[(HTML, "text/html")]),
    "html beside no text": lambda: message(body="", alternatives=[(HTML, "text/html")]),
    "html first, text second": lambda: message(
        body=HTML, content_subtype="html", alternatives=[("b", "text/plain")]
    ),
    "two html alternatives": lambda: message(
        alternatives=[("<p>1</p>", "text/html"), ("<p>2</p>", "text/html")]
    ),
    "the same alternative twice": lambda: message(alternatives=[(HTML, "text/html"), (HTML, "text/html")]),
    "calendar": lambda: message(alternatives=[(CALENDAR, "text/calendar")]),
    "calendar with a method": lambda: message(alternatives=[(CALENDAR, "text/calendar; method=REQUEST")]),
    "AMP between text and html": lambda: message(
        alternatives=[("<html amp4email>", "text/x-amp-html"), (HTML, "text/html")]
    ),
    "html before AMP": lambda: message(
        alternatives=[(HTML, "text/html"), ("<html amp4email>", "text/x-amp-html")]
    ),
    "JSON": lambda: message(alternatives=[('{"ü": 1}', "application/json")]),
    "bytes that are text": lambda: message(alternatives=[("Grüße".encode(), "text/html")]),
    "bytes that are none": lambda: message(alternatives=[(b"\xff\x00\x01", "application/x-foo")]),
    "bytes that claim to be text": lambda: message(alternatives=[(b"\xff\xfe", "text/html")]),
    "alternatives as named tuples": lambda: message(alternatives=[EmailAlternative(HTML, "text/html")]),
    "an empty alternative": lambda: message(alternatives=[("", "text/html")]),
    "alternative without a type": lambda: message(alternatives=[(HTML, "html")]),
    # --- subjects and addresses
    "no subject": lambda: message(subject=""),
    "lazy subject": lambda: message(subject=gettext_lazy("Save")),
    "subject of 1200 characters": lambda: message(subject="word " * 240),
    "subject of 1200 characters without a space": lambda: message(subject="x" * 1200),
    "subject of 2000 Chinese characters": lambda: message(subject="件" * 2000),
    "spaces around the subject": lambda: message(subject="  s  "),
    "newline in the subject": lambda: message(subject="s\nBcc: x@example.com"),
    "carriage return in the subject": lambda: message(subject="s\rBcc: x@example.com"),
    "newline in a display name": lambda: message(to=['"A\nnn" <a@example.com>']),
    "newline in the sender": lambda: message(from_email="me@example.com\nBcc: x@example.com"),
    "newline in a header": lambda: message(headers={"X-A": "a\nBcc: x@example.com"}),
    "newline in reply_to": lambda: message(reply_to=["a@example.com\nBcc: x@example.com"]),
    "comma in a display name": lambda: message(to=['"Doe, John" <john@example.com>']),
    "commas in cc, bcc and reply_to": lambda: message(
        cc=['"Doe, J" <j@example.com>'],
        bcc=['"Doe, K" <k@example.com>'],
        reply_to=['"Doe, L" <l@example.com>'],
    ),
    "quotes in a display name": lambda: message(to=['"The \\"Boss\\"" <a@example.com>']),
    "brackets in a display name": lambda: message(to=['"a <b> c" <a@example.com>']),
    "a display name that is an address": lambda: message(to=['"b@example.com" <a@example.com>']),
    "display name of 300 characters": lambda: message(from_email=f'"{"x" * 300}" <me@example.com>'),
    "Chinese display name of 200 characters": lambda: message(from_email=f'"{"件" * 200}" <me@example.com>'),
    "umlauts in a display name": lambda: message(
        from_email="Jürgen <me@example.com>", to=["Ännchen <a@example.com>"]
    ),
    "comma in a local part": lambda: message(to=['"a,b"@example.com']),
    "space in a local part": lambda: message(to=['"a b"@example.com']),
    "at sign in a local part": lambda: message(to=['"a@b"@example.com']),
    "local part alone": lambda: message(to=["root"], from_email="webmaster"),
    "local part of 64 characters": lambda: message(to=["x" * 64 + "@example.com"]),
    "umlaut in a domain": lambda: message(to=["a@bücher.example"], from_email="me@bücher.example"),
    "address literal": lambda: message(to=["a@[192.0.2.1]", "a@[IPv6:2001:db8::1]"]),
    "comment in an address": lambda: message(to=["a@example.com (Ann)"]),
    "lazy addresses": lambda: message(to=[lazystr("a@example.com")], from_email=lazystr("me@example.com")),
    "no such address": lambda: message(to=["a@b@example.com"]),
    "two addresses in one": lambda: message(to=["a@example.com, b@example.com"]),
    "an empty address among others": lambda: message(to=["", "a@example.com"]),
    "the same recipient twice": lambda: message(to=["a@example.com", "a@example.com"], cc=["a@example.com"]),
    "bcc alone": lambda: message(to=[], bcc=["a@example.com"]),
    "cc alone": lambda: message(to=[], cc=["a@example.com"]),
    "100 recipients": lambda: message(to=[f"{number}@example.com" for number in range(100)]),
    "no from_email": lambda: message(from_email=None),
    "two reply_to": lambda: message(reply_to=["x@example.com", "Ü <y@example.com>"]),
    # --- headers
    "several headers": lambda: message(headers={"X-B": "1", "X-A": "2", "x-c": "3"}),
    "lazy header": lambda: message(headers={"X-A": gettext_lazy("Save")}),
    "number in a header": lambda: message(headers={"X-A": 12}),
    "True in a header": lambda: message(headers={"X-A": True}),
    "None in a header": lambda: message(headers={"X-A": None}),
    "empty header": lambda: message(headers={"X-A": ""}),
    "umlaut in a header": lambda: message(headers={"X-A": "Grüße"}),
    "bytes in a header": lambda: message(headers={"X-A": "Grüße".encode()}),
    "date as text": lambda: message(headers={"Date": "Fri, 09 Nov 2001 01:08:47 -0000"}),
    "date with a zone": lambda: message(
        headers={"Date": datetime(2001, 11, 9, 1, 8, 47, tzinfo=timezone.utc)}
    ),
    "date without a zone": lambda: message(headers={"Date": datetime(2001, 11, 9, 1, 8, 47)}),
    "a Message-ID of its own": lambda: message(headers={"Message-ID": "<own@example.com>"}),
    "a message-id in small letters": lambda: message(headers={"message-id": "<own@example.com>"}),
    "another From": lambda: message(headers={"From": "Other <other@example.com>"}),
    "another from in small letters": lambda: message(headers={"from": "Other <other@example.com>"}),
    "another To": lambda: message(headers={"To": "undisclosed-recipients:;"}),
    "another Cc": lambda: message(cc=["c@example.com"], headers={"Cc": "d@example.com"}),
    "another Reply-To": lambda: message(reply_to=["r@example.com"], headers={"Reply-To": "s@example.com"}),
    "Reply-To in headers alone": lambda: message(headers={"Reply-To": "s@example.com"}),
    "a second Subject": lambda: message(headers={"Subject": "t"}),
    "Bcc in headers": lambda: message(headers={"Bcc": "x@example.com"}),
    "List-Unsubscribe": lambda: message(
        headers={"List-Unsubscribe": f"<{LONG_URL}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    ),
    "References": lambda: message(headers={"References": REFERENCES, "In-Reply-To": "<1@example.com>"}),
    "a header of 2000 characters": lambda: message(headers={"X-A": "x" * 2000}),
    "Sender and Return-Path": lambda: message(
        headers={"Sender": "s@example.com", "Return-Path": "r@example.com"}
    ),
    # --- attachments
    "text file": lambda: attaching(("a.txt", "Grüße", "text/plain")),
    "text file as bytes": lambda: attaching(("a.txt", "Grüße".encode(), "text/plain")),
    "text file that is no UTF-8": lambda: attaching(("a.txt", b"Gr\xfc\xdfe", "text/plain")),
    "text file that is no UTF-8, by hand": lambda: holding(("a.txt", b"Gr\xfc\xdfe", "text/plain")),
    "csv and html": lambda: attaching(("a.csv", "a,b\r\n1,2\r\n", "text/csv"), ("b.html", HTML, "text/html")),
    "binary file": lambda: attaching(("a.bin", bytes(range(256)), "application/octet-stream")),
    "text of a binary type": lambda: attaching(("a.json", '{"ü": 1}', "application/json")),
    "type is guessed": lambda: attaching(("a.pdf", b"%PDF"), ("b.unknown", b"x"), ("c", b"y")),
    "declared type against the name": lambda: attaching(
        ("a.pdf", b"x", "application/x-foo"), ("b.txt", b"x", "image/png")
    ),
    "type with a parameter": lambda: attaching(("a.ics", CALENDAR, "text/calendar; method=REQUEST")),
    "no name": lambda: attaching((None, b"x", "application/pdf"), (None, "x", "text/plain")),
    "no name for two": lambda: attaching((None, b"1", "application/pdf"), (None, b"2", "application/pdf")),
    "an empty name": lambda: attaching(("", b"x", "application/pdf")),
    "two of one name": lambda: attaching(
        ("a.pdf", b"1", "application/pdf"), ("a.pdf", b"2", "application/pdf")
    ),
    "the same file twice": lambda: attaching(
        ("a.pdf", b"1", "application/pdf"), ("a.pdf", b"1", "application/pdf")
    ),
    "order of attachments": lambda: attaching(*((f"{name}.txt", name, "text/plain") for name in "zaybx")),
    "umlauts in a name": lambda: attaching(("Grüße.pdf", b"x", "application/pdf")),
    "Chinese name": lambda: attaching(("报告.pdf", b"x", "application/pdf")),
    "quotes in a name": lambda: attaching(('a"b.pdf', b"x", "application/pdf")),
    "a name with a folder": lambda: attaching(("../x/a.pdf", b"x", "application/pdf")),
    "a name of 300 characters": lambda: attaching(("x" * 300 + ".pdf", b"x", "application/pdf")),
    "an empty file": lambda: attaching(("a.pdf", b"", "application/pdf"), ("b.txt", "", "text/plain")),
    "bytearray and memoryview": lambda: holding(
        ("a", bytearray(b"x"), "application/pdf"), ("b", memoryview(b"y"), "application/pdf")
    ),
    "attachments as named tuples": lambda: message(attachments=[EmailAttachment("a.txt", "x", "text/plain")]),
    "attachment without a body": lambda: message(body="", attachments=[("a.txt", "x", "text/plain")]),
    "attachment, text and html": lambda: message(
        alternatives=[(HTML, "text/html")], attachments=[("a.pdf", b"x", "application/pdf")]
    ),
    "a calendar file": lambda: attaching(("invite.ics", CALENDAR, "text/calendar")),
    # --- parts of Python's email package
    "an image as a part": lambda: attaching(part()),
    "an inline image": lambda: message(
        alternatives=[("<img src='cid:logo'>", "text/html")],
        attachments=[part(Content_ID="<logo>", Content_Disposition='inline; filename="logo.png"')],
    ),
    "headers of a part": lambda: attaching(
        part(Content_Description="Grüße", X_A="1", Content_Location="x/y.png")
    ),
    "a part with a name": lambda: attaching(part(Content_Disposition='attachment; filename="a.png"')),
    "a part with text": lambda: attaching(text_part()),
    "a part with parts": lambda: attaching(multipart()),
    "a part between files": lambda: attaching(
        ("a.txt", "1", "text/plain"), part(), ("b.txt", "2", "text/plain")
    ),
    # --- messages in messages
    "a message of Django's": lambda: attaching(
        ("m.eml", EmailMessage("Grüße", "b", "me@example.com", ["x@example.com"]), "message/rfc822")
    ),
    "a message of Django's with a file": lambda: attaching(
        (None, message(attachments=[("a.pdf", b"x", "application/pdf")]), "message/rfc822")
    ),
    "a message of Python's": lambda: attaching(("m.eml", forwarded(), "message/rfc822")),
    "a message as bytes": lambda: attaching(("m.eml", forwarded().as_bytes(), "message/rfc822")),
    "a message as text": lambda: attaching(("m.eml", "Subject: s\n\nb\n", "message/rfc822")),
    "a delivery status": lambda: attaching(
        (None, b"Reporting-MTA: dns; mx.example.com\n\n", "message/delivery-status")
    ),
    # --- classes and attributes
    "a subclass": lambda: message(Newsletter, alternatives=[(HTML, "text/html")]),
    "a subclass with a message of its own": lambda: message(Signed, alternatives=[(HTML, "text/html")]),
    "a subclass with recipients of its own": lambda: message(Copied, cc=["c@example.com"]),
    "all that Anymail reads": lambda: message(**PROVIDER_ATTRIBUTES),
    "a day to send at": lambda: message(send_at=date(2030, 1, 2)),
    "a moment to send at without a zone": lambda: message(send_at=datetime(2030, 1, 2, 3, 4, 5, 678901)),
    "a second to send at": lambda: message(send_at=1893553445),
}

if HAS_MODERN_EMAIL:
    CASES |= {
        "address objects": lambda: message(
            to=[Address("Doe, John", "john", "example.com")], from_email=Address("Me", "me", "example.com")
        ),
    }
else:
    CASES |= {
        "a charset object": lambda: message(body="Grüße", encoding=quoted_printable()),
        "a bare MIMEBase": lambda: attaching(MIMEBase("application", "x-foo")),
        "a MIMEText": lambda: attaching(MIMEText("Grüße", "plain", "utf-8")),
        "a MIMEText in Latin-1": lambda: attaching(MIMEText("Grüße", "plain", "iso-8859-1")),
    }

# What Django lets through, and the queue refuses on purpose.
REFUSED: dict[str, Make] = {
    # No mail format has such a name (RFC 5322, section 2.2).
    "a header name with a space": lambda: message(headers={"X A": "1"}),
    # What others read it differs: one program sees a header that another does not.
    "a header name with a colon": lambda: message(headers={"X:A": "1"}),
}
