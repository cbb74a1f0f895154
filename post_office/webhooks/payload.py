"""Reading what a stranger sent: JSON whose fields may be missing, and may be anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from django.utils.dateparse import parse_datetime


class Malformed(ValueError):
    """JSON in which something has another type than it must have."""


class InvalidJSON(ValueError):
    """What is no JSON at all."""


def read_json(body: bytes) -> Any:
    """Return what the JSON says. Raises `InvalidJSON`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as fault:  # the latter for a million brackets
        raise InvalidJSON(f"This is no JSON: {fault}") from fault


class Fields:
    """An object of JSON, read by the types that its fields must have.

    What is missing or null reads as empty; what has another type raises `Malformed`.
    """

    def __init__(self, value: object, name: str = "payload") -> None:
        if not isinstance(value, Mapping):
            raise Malformed(f"{name}: an object is expected, not {type(value).__name__}.")
        self.value = value
        self.name = name

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    def text(self, key: str) -> str:
        """Return a text, or a number as text."""
        return _text(self.value.get(key), self._named(key))

    def texts(self, key: str) -> list[str]:
        return [_text(value, self._named(key)) for value in self._list(key)]

    def part(self, key: str) -> Fields:
        value = self.value.get(key)
        return Fields({} if value is None else value, self._named(key))

    def parts(self, key: str) -> list[Fields]:
        return [Fields(value, self._named(key)) for value in self._list(key)]

    def _list(self, key: str) -> list[Any]:
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Malformed(f"{self._named(key)}: a list is expected, not {type(value).__name__}.")
        return value

    def _named(self, key: str) -> str:
        return f"{self.name}.{key}"


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise Malformed(f"{name}: a text is expected, not {type(value).__name__}.")


def moment(text: str) -> datetime | None:
    """Return the moment that a text of ISO 8601 names, in UTC where it names no zone; else None."""
    try:
        parsed = parse_datetime(text)
    except ValueError:
        return None
    return parsed.replace(tzinfo=timezone.utc) if parsed and parsed.tzinfo is None else parsed


def moment_of_epoch(text: str) -> datetime | None:
    """Return the moment so many seconds after 1970, or None where that is no moment."""
    try:
        return datetime.fromtimestamp(float(text), tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
