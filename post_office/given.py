"""What a message of Django's held beyond what the columns of an email give back.

`Email.as_given` maps attributes of the message to their exact values. A value counts only as long as
the column still holds what was made of it when the mail was queued: whoever edits a column is obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .addresses import bare_address, join_mailboxes, split_mailboxes
from .headers import storable

LONGEST_SUBJECT = 989
LONGEST_SENDER = 254


class Row(Protocol):
    """An email, for this module, which knows no models."""

    as_given: Any


def subject_column(subject: str) -> str:
    """Return as much of a subject as the column holds."""
    return storable(subject)[:LONGEST_SUBJECT]


def sender_column(sender: str) -> str:
    """Return a sender as the column holds it: without a display name that makes it too long."""
    sender = storable(sender)
    return sender if len(sender) <= LONGEST_SENDER else bare_address(sender)[:LONGEST_SENDER]


def mailboxes_column(mailboxes: list[str]) -> list[str]:
    """Return recipients as they come back from their column."""
    return split_mailboxes(join_mailboxes(storable(mailbox) for mailbox in mailboxes if mailbox))


def headers_column(headers: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return extra headers as the column holds them: texts, in no order."""
    return {storable(str(name)): storable(str(value)) for name, value in headers.items()} or None


# Attributes of a message that have a column of their own, and what that makes of them.
COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "subject": ("subject", subject_column),
    "from_email": ("from_email", sender_column),
    "to": ("to", mailboxes_column),
    "cc": ("cc", mailboxes_column),
    "bcc": ("bcc", mailboxes_column),
    "extra_headers": ("headers", headers_column),
    "tags": ("tags", lambda tags: list(tags) or None),
    "metadata": ("metadata", dict),
}
ADDRESSES = ("from_email", "to", "cc", "bcc")


def beyond_columns(row: Row) -> dict[str, Any]:
    """Return what still counts of `as_given`: all but the values whose column was edited since."""
    return {name: value for name, value in (row.as_given or {}).items() if _stands(row, name, value)}


def _stands(row: Row, name: str, value: Any) -> bool:
    if name not in COLUMNS:
        return True
    column, projection = COLUMNS[name]
    return bool((getattr(row, column) or None) == (projection(value) or None))
