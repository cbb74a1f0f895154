"""serialise.py SHAPE NUMBER: print the µs of CPU that a mail takes from row to bytes, ours and Django's.

Theirs is what Django's SMTP backend does with a message that is at hand: the addresses, and the bytes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import django
import sample


def texts(shape: str, number: int) -> tuple[str, str, str]:
    """Return subject, text and HTML of a mail."""
    subject, text, html = sample.subject(number), sample.TEXT, sample.HTML
    if shape == "own":
        return subject, f"Dear customer {number},\n{text}", f"<p>Dear customer {number},</p>\n{html}"
    if shape == "letters":
        subject = f"Für Sie: {subject}"
        return subject, text.replace("parcel", "Päckchen"), html.replace("parcel", "Päckchen")
    return subject, text, html


def measured(do: Callable[[Any], Any], items: list[Any]) -> float:
    do(items[0])
    started = time.process_time()
    for item in items:
        do(item)
    return (time.process_time() - started) / len(items) * 1e6


def main() -> None:
    shape, number = sys.argv[1], int(sys.argv[2])
    django.setup()
    from django.core.mail import EmailMultiAlternatives
    from django.core.mail.backends.smtp import EmailBackend

    from post_office.compat import built_bytes, construct_backend, smtp_address
    from post_office.delivery import smtp
    from post_office.models import Email
    from post_office.rendering.message import assemble, gather

    backend: Any = construct_backend(EmailBackend, "default", {"host": "localhost"})
    attached = [("offer.pdf", bytes(range(256)) * 400, "application/pdf")] if shape == "file" else []

    def row(each: int) -> Email:
        subject, text, html = texts(shape, each)
        return Email(
            from_email=sample.SENDER,
            to=[sample.recipient(each)],
            subject=subject,
            message=text,
            html_message=html,
            message_id=f"<{each}.1@example.com>",
            headers={"List-Unsubscribe": f"<https://example.com/{each}>"},
        )

    def ours(email: Email) -> None:
        message = assemble(gather(email, []))
        message.attachments.extend(attached)
        smtp.letter(message, backend)

    def theirs(email: Email) -> None:
        message = EmailMultiAlternatives(
            email.subject,
            email.message,
            email.from_email,
            email.to,
            headers={**email.headers, "Message-ID": email.message_id},
            alternatives=[(email.html_message, "text/html")],
            attachments=attached,
        )
        for mailbox in (message.from_email, *message.recipients()):
            smtp_address(mailbox, "utf-8", backend)
        built_bytes(message)

    rows = [row(each) for each in range(number)]
    print(
        json.dumps({"ours": measured(ours, rows), "theirs": measured(theirs, rows[: max(number // 20, 50)])})
    )


if __name__ == "__main__":
    main()
