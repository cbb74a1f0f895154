"""Old import paths of small things: each a line or two over the room that owns it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from . import arguments, compose, mail
from .conf import conf
from .enums import PRIORITY
from .models import Attachment, Email
from .queue import cleanup
from .rendering import attachments
from .rendering.templates import get_email_template as get_email_template

T = TypeVar("T")


def send_mail(
    subject: str,
    message: str,
    from_email: str,
    recipient_list: Iterable[str],
    html_message: str = "",
    scheduled_time: date | None = None,
    headers: Mapping[str, Any] | None = None,
    priority: int = PRIORITY.medium,
) -> list[Email]:
    """Queue one mail for each recipient, with texts that stand as they are."""
    return mail.queue(
        [
            compose.verbatim(
                sender=from_email,
                recipients=recipient,
                subject=str(subject),
                message=message,
                html_message=html_message,
                scheduled_time=scheduled_time,
                headers=headers,
                priority=priority,
            )
            for recipient in recipient_list
        ]
    )


def parse_priority(priority: int | str | None) -> int:
    """Return a priority as a number; None means DEFAULT_PRIORITY. Raises ValueError for another name."""
    return arguments.parse_priority(conf.DEFAULT_PRIORITY if priority is None else priority)


def parse_emails(emails: str | Iterable[str] | None) -> list[str]:
    """Return one or several mailboxes as a list. Raises ValidationError."""
    return arguments.mailboxes("emails", emails)


def split_emails(emails: Sequence[T], split_count: int = 1) -> list[list[T]]:
    """Deal items out in turn: `split_emails([1, 2, 3, 4, 5], 2)` is `[[1, 3, 5], [2, 4]]`."""
    return [list(emails[start::split_count]) for start in range(split_count)] if emails else []


def create_attachments(attachment_files: Mapping[str, Any]) -> list[Attachment]:
    """Store files, given as to `mail.send(attachments=…)`, as attachments of no mail yet.

    The rows are new, so the caller may change them; the same content is kept in one file all the same.
    """
    return attachments.make(attachments.Reader().read(attachment_files))


def cleanup_expired_mails(
    cutoff_date: datetime, delete_attachments: bool = True, batch_size: int = 1000
) -> tuple[int, int]:
    """Delete finished mail created before a moment. Returns how many mails and attachments."""
    emails = cleanup.remove_emails(cutoff_date, batch_size)
    return emails, cleanup.remove_orphaned_attachments(batch_size) if delete_attachments else 0
