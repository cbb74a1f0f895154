"""Whether this Django and this Python still make of messages what our dialects say.

Samples are compared with Django's own bytes. They stand for what a dialect knows by heart; a new
version that folds or encodes otherwise shows in one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from django.conf import settings
from django.core.mail.message import EmailAlternative, EmailAttachment

from ...compat import built_bytes, mime_part, smtp_address
from ..message import BuiltMessage
from .dialect import Dialect
from .layout import written

_BOUNDARY = re.compile(rb"={15}\d{19}==")
_DATE = re.compile(rb"^Date: .*\r\n", re.MULTILINE)

LONG = "Six words that make one long line " * 3
URL = "https://example.com/unsubscribe?token=" + "0123456789abcdef" * 9
CYRILLIC = "Ваш заказ отправлен. " * 12


def what_differs(dialect: Dialect) -> str | None:
    """Return what Django makes otherwise than a dialect says, or None where that is nothing."""
    if settings.EMAIL_USE_LOCALTIME:
        return "EMAIL_USE_LOCALTIME is set"
    if smtp_address("ann@example.com", "utf-8") != "ann@example.com":
        return "an address differs"
    for name, message in _samples():
        try:
            expected = built_bytes(message)
            found = written(message, dialect)
            if _comparable(found) != _comparable(expected) or _date(expected) != _date_of(dialect, expected):
                return f"a message with {name} differs"
        except Exception as fault:
            return f"a message with {name} fails: {type(fault).__name__}: {fault}"
    return None


def _samples() -> Iterator[tuple[str, BuiltMessage]]:
    html = ("<p>One</p>\n<p>Two</p>", "text/html")
    yield "a text", _sample(body="One line.\r\n.Another.\n")
    yield "no text", _sample(body="")
    yield "HTML alone", _sample(body="<p>One</p>", subtype="html")
    yield "text and HTML", _sample(body="Ünï\rcode", alternatives=[html])
    yield (
        "quoted lines",
        _sample(body=f"{LONG} = ü \n{LONG}", alternatives=[(f"<p>{LONG}\n" * 12, "text/html")]),
    )
    yield "base64 lines", _sample(body=CYRILLIC)
    yield "a longest line", _sample(body="x" * 1200 + "ü")
    yield "attachments", _sample(alternatives=[html], attachments=_attachments())
    yield "an image", _sample(alternatives=[html], images=[_image()])
    yield "an image in HTML alone", _sample(body="<p>One</p>", subtype="html", images=[_image()])
    yield (
        "an image and attachments",
        _sample(alternatives=[html], images=[_image()], attachments=_attachments()),
    )
    for name, fields in _fields().items():
        yield name, _sample(**fields)


def _fields() -> dict[str, dict[str, Any]]:
    return {
        "words beyond ASCII": {"subject": "Neu: Grüße an alle für heute"},
        "an encoded subject in base64": {"subject": "Ваш заказ", "headers": {"X-Note": "日本語 to see"}},
        "an encoded subject in lines": {"subject": CYRILLIC},
        "a long subject": {"subject": LONG},
        "a line as long as it may be": {"subject": "x" * 30 + " " + "y" * 38, "headers": {"X-A": "z" * 73}},
        "names": {"from_email": "Ann Other <ann@example.com>", "to": ['"Doe, J." <j@example.com>']},
        "names beyond ASCII": {
            "from_email": '"Jürgen Groß" <j@example.com>',
            "to": ["Anna Müller <anna@example.com>"],
            "cc": ["Дмитрий <d@example.com>"],
            "reply_to": ["Zoé-X Y <zoe@example.com>"],
        },
        "a domain beyond ASCII": {"from_email": "Ann <ann@bücher.example>"},
        "many recipients": {"to": [f"Recipient {number} <r{number}@example.com>" for number in range(9)]},
        "recipients of one line": {"to": ["a" * 25 + "@example.com", "b" * 23 + "@example.com"]},
        "usual fields": {
            "headers": {
                "List-Unsubscribe": f"<{URL}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "X-Priority": "1 (Highest)",
                "References": f"<{'a' * 60}@example.com> <{'b' * 60}@example.com>",
                "In-Reply-To": "<before@example.com>",
                "Auto-Submitted": "auto-generated",
            }
        },
    }


def _sample(
    *,
    body: str = "One line.\n",
    subtype: str = "plain",
    subject: str = "News",
    alternatives: Any = (),
    attachments: Any = (),
    images: Any = (),
    headers: Any = None,
    **addresses: Any,
) -> BuiltMessage:
    message = BuiltMessage(
        subject=subject,
        body=body,
        headers={"Message-ID": "<1234.5678@example.com>", **(headers or {})},
        **{"from_email": "shop@example.com", "to": ["ann@example.com"], **addresses},
    )
    message.content_subtype = subtype
    message.alternatives = [EmailAlternative(*alternative) for alternative in alternatives]
    message.attachments = [*images, *attachments]
    message._related = tuple(images)
    return message


def _attachments() -> list[EmailAttachment]:
    return [
        EmailAttachment("offer.pdf", bytes(range(256)), "application/pdf"),
        EmailAttachment("Größe.bin", b"", "application/octet-stream"),
        EmailAttachment("notes.txt", f"Größe {LONG}", "text/plain"),
        EmailAttachment(None, "a,b\r\n1,2", "text/csv"),
    ]


def _image() -> Any:
    headers = {"Content-Disposition": 'inline; filename="abc"', "Content-ID": "<abc>"}
    return mime_part("image/png", b"\x89PNG", headers.items())


def _comparable(source: bytes) -> bytes:
    for number, boundary in enumerate(dict.fromkeys(_BOUNDARY.findall(source))):
        source = source.replace(boundary, b"boundary %d" % number)
    return _DATE.sub(b"", source)


def _date(source: bytes) -> bytes:
    return (_DATE.search(source) or [b""])[0]


def _date_of(dialect: Dialect, source: bytes) -> bytes:
    """Return what a dialect makes of the moment in Date."""
    parsed = parsedate_tz(_date(source).decode().partition(": ")[2])
    return dialect.date(mktime_tz(parsed)) if parsed else b""
