"""What callers of `mail.send()` and its sisters may pass: each argument checked, and in its one form.

Every refusal is a sentence that names the argument and the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.functional import Promise

from . import compat
from .addresses import validate_mailbox
from .enums import PRIORITY, UNKNOWN_POLICIES
from .exact import exact_key
from .exceptions import InvalidArgument
from .given import metadata_column, tags_column
from .headers import validate_headers

MOST_RETRIES = 2**15 - 1  # of the column


def mailboxes(argument: str, value: Any) -> list[str]:
    """Return recipients as a list. A str is one mailbox; a list has one mailbox in each item.

    Raises ValidationError, naming the argument and the item.
    """
    if value is None:
        return []
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Iterable) or isinstance(items, (bytes, Mapping)):
        raise InvalidArgument(f"{argument}: {value!r} is neither an address nor a list of addresses.")
    checked = [str(item) for item in items]
    for item in checked:
        try:
            validate_mailbox(item)
        except ValidationError as fault:
            raise ValidationError(f"{argument}: {item} is not a valid email address") from fault
    return checked


def parse_priority(value: int | str) -> int:
    """Return a priority as a number. Raises ValueError for a name that is none."""
    if isinstance(value, str):
        try:
            return int(getattr(PRIORITY, value))
        except (AttributeError, TypeError):
            names = ", ".join(PRIORITY._fields)
            raise InvalidArgument(f"Invalid priority, must be one of: {names}") from None
    return value


def moment(argument: str, value: Any) -> datetime | None:
    """Return a date or datetime as a datetime that fits USE_TZ; a date means its first moment.

    Text in ISO 8601 is taken, too, as by the model's own field.
    """
    if value is None:
        return None
    found = _moment_in(value) if isinstance(value, str) else value
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time())
    if not isinstance(found, datetime):
        raise InvalidArgument(f"{argument}: {value!r} is neither a date nor a datetime.")
    if django_settings.USE_TZ and timezone.is_naive(found):
        return timezone.make_aware(found)
    if not django_settings.USE_TZ and timezone.is_aware(found):
        return timezone.make_naive(found)
    return found


def _moment_in(text: str) -> date | None:
    try:
        return parse_datetime(text) or parse_date(text)
    except ValueError:  # a date that no calendar has
        return None


def refuse_both_template_and_text(template: Any, subject: str, message: str, html_message: str) -> None:
    if template is None:
        return
    for name, value in (("subject", subject), ("message", message), ("html_message", html_message)):
        if value:
            raise InvalidArgument(f'You can\'t specify both "template" and "{name}" arguments')


def text_of(argument: str, value: Any) -> str:
    """Return a text, also of a lazy one; None is no text. Raises `InvalidArgument` for anything else."""
    if value is None:
        return ""
    if not isinstance(value, (str, Promise)):
        raise InvalidArgument(f"{argument}: {value!r} is not a text.")
    return str(value)


def time_zone_of(name: str) -> str | None:
    """Return the name of a time zone, None where there is none. Raises `InvalidArgument`."""
    if not name:
        return None
    try:
        return ZoneInfo(name).key
    except (ValueError, TypeError, OSError, ZoneInfoNotFoundError) as fault:
        raise InvalidArgument(f"time_zone: {name!r} is not a time zone such as 'Europe/Berlin'.") from fault


def context_of(context: Mapping[str, Any] | None) -> dict[str, Any]:
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        raise InvalidArgument(f"context: {context!r} is not a dict.")
    return dict(context)


def headers_of(headers: Any) -> dict[str, str] | None:
    """Return extra headers. Refuses what Django would refuse, or write twice, when the mail is sent."""
    valid = validate_headers("headers", headers)
    seen: set[str] = set()
    for name in valid or ():
        if name.lower() in compat.HEADERS_OF_DJANGO:
            raise InvalidArgument(f"headers: {name!r} is written by Django itself and cannot be given.")
        if name.lower() in seen:
            raise InvalidArgument(f"headers: {name!r} is given twice.")
        seen.add(name.lower())
    return valid


def tags_of(tags: Any) -> list[str] | None:
    if tags is None:
        return None
    chosen = [tags] if isinstance(tags, str) else tags
    column = tags_column(list(chosen) if isinstance(chosen, (set, frozenset)) else chosen)
    if chosen and column is None:
        raise InvalidArgument(f"tags: {tags!r} is not a list of labels, each one line of text.")
    return column


def metadata_of(metadata: Any) -> dict[str, Any] | None:
    if metadata is None:
        return None
    column = metadata_column(metadata)
    if column is None:
        raise InvalidArgument(f"metadata: {metadata!r} is not a dict of names to plain values of JSON.")
    return column


def policy_of(on_unknown: Any) -> str | None:
    """Return what is to become of a mail whose delivery is unknown; None where it does not say."""
    if on_unknown is not None and on_unknown not in UNKNOWN_POLICIES:
        raise InvalidArgument(f"on_unknown: {on_unknown!r} is none of {', '.join(UNKNOWN_POLICIES)}.")
    return on_unknown  # type: ignore[no-any-return]


def retries_of(max_retries: Any) -> int | None:
    if max_retries is None:
        return None
    if type(max_retries) is not int or not 0 <= max_retries <= MOST_RETRIES:
        raise InvalidArgument(f"max_retries: {max_retries!r} is not a number from 0 to {MOST_RETRIES}.")
    return max_retries


def key_of(idempotency_key: Any) -> str | None:
    """Return an idempotency key as its column holds it."""
    if idempotency_key is None:
        return None
    if not isinstance(idempotency_key, str) or not idempotency_key:
        raise InvalidArgument(f"idempotency_key: {idempotency_key!r} is not a text, or is empty.")
    return exact_key(idempotency_key)


def columns_of(related_object: Model | None) -> dict[str, str]:
    if related_object is None:
        return {}
    if not isinstance(related_object, Model) or related_object.pk is None or related_object._state.adding:
        raise InvalidArgument(f"related_object: {related_object!r} is not a saved object of a model.")
    return {"related_type": related_object._meta.label_lower, "related_id": str(related_object.pk)}
