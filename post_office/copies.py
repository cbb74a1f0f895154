"""A second mail with the content, the recipients and the files of a first, which stays as it is.

The copy is a mail of its own: another Message-ID, its own attempts, nobody's key.
"""

from __future__ import annotations

from typing import Any

from django.db import router, transaction
from django.utils import timezone

from . import storing
from .compose import Draft, new_message_id
from .enums import STATUS
from .exact import exact_key
from .exceptions import UnreadableColumn
from .models import QUEUES_OWN, Attachment, Email
from .packing import Unreadable
from .rendering import attachments as files
from .signals import email_queued

# What belongs to the one mail and not to its content.
LEFT_OUT = {
    *("id", "status", "created", "last_updated", "due_at", "scheduled_time", "number_of_retries"),
    *("message_id", "provider_id", "recipient_delivery_status", "idempotency_key"),
    *QUEUES_OWN,
}


def send_again(email: Email, *, once: str = "") -> Email:
    """Queue a copy of a mail, due now, whatever became of the first. Returns the copy.

    Args:
        once: A text that belongs to this request, so that the same one that comes again makes no second copy.

    Raises:
        UnreadableColumn: Something that the copy would need is broken in the database.
    """
    made = Draft(email=_copied(email))
    if once:
        made.email.idempotency_key = exact_key(f"copy of {email.pk}: {once}")
    with transaction.atomic(using=router.db_for_write(Email)):
        (stored,) = storing.store([made])
        if stored is made.email:
            _attach(stored, files.of(email))
    if stored is made.email:
        email_queued.send(sender=Email, emails=[stored])
    return stored


def _copied(email: Email) -> Email:
    columns: dict[str, Any] = {
        field.name: getattr(email, field.name)
        for field in Email._meta.concrete_fields
        if field.name not in LEFT_OUT and not field.generated
    }
    for name, value in columns.items():
        if isinstance(value, Unreadable):
            raise UnreadableColumn(name, value.fault) from value.fault
    if email.expires_at is not None and email.expires_at <= timezone.now():
        columns["expires_at"] = None
    columns["headers"] = _without_id(email.headers)
    columns["as_given"] = _as_given(email.as_given)
    return Email(status=STATUS.queued, message_id=new_message_id(), **columns)


def _as_given(given: Any) -> Any:
    """Return what a message of Django's held beyond the columns, without the id and the way of the first."""
    if not given:
        return given
    given = {name: value for name, value in given.items() if name != "hops"}
    if "headers" in given:
        extra = _without_id(given["headers"]["extra_headers"])
        given["headers"] = {**given["headers"], "extra_headers": extra or {}}
    return given


def _without_id(headers: Any) -> Any:
    if not isinstance(headers, dict):
        return headers
    return {name: value for name, value in headers.items() if name.lower() != "message-id"} or None


def _attach(email: Email, attachments: list[Attachment]) -> None:
    through = Attachment.emails.through
    links = [through(email_id=email.pk, attachment_id=attachment.pk) for attachment in attachments]
    through._default_manager.using(router.db_for_write(Email)).bulk_create(links)
