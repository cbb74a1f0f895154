"""A queue in which something of everything has happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Email, EmailTemplate
from post_office.queue import brakes
from tests.acceptance.smtp_server import SMTPServer

LOGO = Path(__file__).resolve().parents[2] / "demo" / "static" / "demo" / "logo.png"
HTML = """<html><body><h1>Your order</h1><p>Dear Ann, it is on its way.</p>
<table><tr><td>Tea</td><td>4.50</td></tr></table></body></html>"""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The mails that tests ask for by name."""

    sent: Email
    failed: Email
    waiting: Email
    template: EmailTemplate


def set_up(server: SMTPServer) -> Scene:
    """Queue mail of each kind, and deliver what is due."""
    server.refusals = {
        "nobody@example.com": "550 5.1.1 No such user here",
        "full@example.com": "452 4.2.2 Mailbox full",
        "carl@example.com": "450 4.7.1 Greylisted, try again later",
    }
    template = _template()
    sent = _send(
        "Ann Miller <ann@example.com>",
        cc="ben@example.com",
        subject="Your order is on its way",
        message="Dear Ann, it is on its way.",
        html_message=HTML,
        tags=["orders", "shipped"],
        metadata={"order": "2026-0815"},
        headers={"Reply-To": "shop@example.com"},
        attachments={"invoice-2026-0815-with-a-name-that-is-rather-long.txt": ContentFile(b"4.50")},
    )
    _with_an_image()
    failed = _send("nobody@example.com", subject="Are you there?", message="Hello?")
    _send(["carl@example.com", "dora@example.com"], subject="To two", message="Hello, both.")
    _send("full@example.com", subject="Much to read", message="Word " * 400)
    for name, language in (("Ann", ""), ("Jürgen", "de")):
        _send("ann@example.com", template="welcome", language=language, context={"name": name})
    mail.send_queued()
    waiting = _send("zoe@example.com", subject="A" * 180, message="Soon.", priority="high")
    _send("zoe@example.com", subject="Tomorrow", message="Later.", scheduled_time=_in(days=1))
    _send(
        "zoe@example.com", subject="By the other", message="Later.", backend="bulk", expires_at=_in(hours=3)
    )
    brakes.pause("bulk", by="olga", now=timezone.now())
    sent, failed, waiting = (Email.objects.get(pk=email.pk) for email in (sent, failed, waiting))
    assert (sent.status, failed.status, waiting.status) == (STATUS.sent, STATUS.failed, STATUS.queued)
    return Scene(sent=sent, failed=failed, waiting=waiting, template=template)


def _in(**span: int) -> Any:
    return timezone.now() + timedelta(**span)


def _send(recipients: Any, **arguments: Any) -> Email:
    return mail.send(recipients, "The Shop <shop@example.com>", **arguments)


def _template() -> EmailTemplate:
    template = EmailTemplate.objects.create(
        name="welcome",
        description="To new customers",
        subject="Welcome, {{ name }}",
        content="Dear {{ name }}, welcome.",
        html_content="<p>Dear <b>{{ name }}</b>, welcome.</p>",
    )
    template.translated_templates.create(
        language="de", subject="Willkommen, {{ name }}", content="Hallo {{ name }}", name="welcome"
    )
    return template


def _with_an_image() -> None:
    logo = {"file": LOGO, "mimetype": "image/png", "headers": {"Content-ID": "<logo>"}}
    _send(
        "ann@example.com",
        subject="With our logo",
        html_message='<p>See it: <img src="cid:logo" alt="Logo" width="200"></p>',
        attachments={"logo.png": logo},
    )
