"""What a message of Django's held beyond what the columns of an email give back.

`Email.as_given` maps attributes of the message to their exact values. A value counts only as long as
the column still holds what was made of it when the mail was queued: whoever edits a column is obeyed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from .addresses import bare_address, join_mailboxes, split_mailboxes
from .exceptions import UnreadableColumn
from .headers import ends_line, is_storable, storable
from .packing import Unreadable

LONGEST_SUBJECT = 989
LONGEST_SENDER = 254


class Row(Protocol):
    """An email, for this module, which knows no models."""

    as_given: Any
    message: Any
    html_message: Any


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


def headers_column(extra_headers: Mapping[str, Any], reply_to: Sequence[str] = ()) -> dict[str, str] | None:
    """Return headers as the column holds them: texts, in no order, with Reply-To among them."""
    column = {storable(str(name)): storable(str(value)) for name, value in extra_headers.items()}
    if reply_to and "reply-to" not in {name.lower() for name in column}:
        column["Reply-To"] = ", ".join(storable(mailbox) for mailbox in reply_to)
    return column or None


def tags_column(tags: Any) -> list[str] | None:
    """Return tags as the column holds them, or None where they are no list of single lines."""
    if isinstance(tags, (list, tuple)) and all(_is_tag(tag) for tag in tags):
        return list(dict.fromkeys(tags)) or None
    return None


def _is_tag(tag: Any) -> bool:
    return isinstance(tag, str) and bool(tag.strip()) and not ends_line(tag) and is_storable(tag)


def metadata_column(metadata: Any) -> dict[str, Any] | None:
    """Return metadata as the column holds it, or None where it is not for JSON."""
    if not isinstance(metadata, dict):
        return None
    try:
        text = json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError):
        return None
    kept = json.loads(text)
    exact = kept == metadata and "\\u0000" not in text and is_storable(json.dumps(kept, ensure_ascii=False))
    return kept if exact else None


# What makes a column of an attribute, for those that have one.
COLUMNS: dict[str, Callable[[Any], Any]] = {
    "subject": subject_column,
    "from_email": sender_column,
    "to": mailboxes_column,
    "cc": mailboxes_column,
    "bcc": mailboxes_column,
    "headers": lambda given: headers_column(**given),
    "tags": tags_column,
    "metadata": metadata_column,
}
ADDRESSES = ("from_email", "to", "cc", "bcc")
RECIPIENTS = ("to", "cc", "bcc")
# A key of `as_given`: columns as they were, where an edit of them is to change what was given otherwise.
AS_QUEUED = "as_queued"
# In it, the fingerprint of the texts.
TEXTS = "texts"


def beyond_columns(row: Row) -> dict[str, Any]:
    """Return what still counts of `as_given`: all but the values whose column was edited since.

    Raises:
        UnreadableColumn: It is broken in the database.
    """
    if isinstance(row.as_given, Unreadable):
        raise UnreadableColumn("as_given", row.as_given.fault) from row.as_given.fault
    return {name: value for name, value in (row.as_given or {}).items() if _stands(row, name, value)}


def edited_since(row: Row, columns: Iterable[str] = ()) -> dict[str, Any]:
    """Return those of these columns, and their values, that were edited since the mail was queued.

    Known of messages with an envelope or with bytes of their own only, see AS_QUEUED.
    """
    as_queued = (row.as_given or {}).get(AS_QUEUED, {})
    return {
        name: getattr(row, name)
        for name in columns
        if name in as_queued and getattr(row, name) != as_queued[name]
    }


def is_rewritten(row: Row) -> bool:
    """Return whether the texts of a mail that stands as bytes were edited since it was queued."""
    if isinstance(row.as_given, Unreadable):
        return False
    as_queued = (row.as_given or {}).get(AS_QUEUED, {})
    return TEXTS in as_queued and as_queued[TEXTS] != fingerprint(row.message, row.html_message)


def fingerprint(*texts: str) -> str:
    """Return what tells whether long texts are the same."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()


def _stands(row: Row, name: str, value: Any) -> bool:
    if name == "recipients":
        return not edited_since(row, RECIPIENTS)
    if name == "layout":
        unshown = value.get("unshown", {})
        return all(fingerprint(getattr(row, column)) == print_ for column, print_ in unshown.items())
    if name not in COLUMNS:
        return True
    return _same(getattr(row, name) or None, COLUMNS[name](value) or None)


def _same(stored: Any, given: Any) -> bool:
    """Return whether two values are equal, as far as a database tells numbers apart."""
    if isinstance(stored, dict) and isinstance(given, dict):
        return stored.keys() == given.keys() and all(_same(stored[key], given[key]) for key in stored)
    if isinstance(stored, list) and isinstance(given, list):
        return len(stored) == len(given) and all(map(_same, stored, given))
    if isinstance(stored, float) or isinstance(given, float):
        return bool(stored == given or (_is_number(stored, given) and float(stored) == float(given)))
    return bool(stored == given)


def _is_number(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) for value in values)
