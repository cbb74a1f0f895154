"""Plain Python values as text that gives them back exactly, types and order included.

JSON with a tag for what it does not know. Kept in text columns, because a database's own JSON type
sorts keys, turns 1.0 into 1 and refuses some characters. Nothing is ever imported or called by name
when it is read back, as pickle would do.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise

# In JSON, an object with this key is a tagged value.
TAG = "$"


def pack(value: Any) -> str:
    """Return a value as text.

    Takes None, bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, and lists,
    tuples, sets and dicts of these. A lazy text becomes the text that it is now.

    Raises:
        TypeError: The value is of another type or holds one; or it holds itself.
    """
    try:
        return json.dumps(_tagged(value), separators=(",", ":"))
    except (RecursionError, ValueError) as fault:
        raise TypeError(f"a {type(value).__name__} cannot be stored: {fault}") from fault


def unpack(text: str) -> Any:
    """Return the value that `pack` made this text of."""
    return json.loads(text, object_hook=_untagged)


class Unreadable:
    """Stands for a stored value that cannot be read back, and says why."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    def __str__(self) -> str:
        return f"It cannot be read back from the database: {type(self.fault).__name__}: {self.fault}"


def _tagged(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {TAG: "bytes", "of": base64.b64encode(bytes(value)).decode()}
    if type(value) in (list, tuple, set, frozenset):
        items = [_tagged(item) for item in value]
        return items if type(value) is list else {TAG: type(value).__name__, "of": items}
    if isinstance(value, Mapping):
        if all(type(key) is str for key in value) and TAG not in value:
            return {key: _tagged(item) for key, item in value.items()}
        return {TAG: "dict", "of": [[_tagged(key), _tagged(item)] for key, item in value.items()]}
    for name, (of_type, write, _read) in _KINDS.items():
        if isinstance(value, of_type):
            return {TAG: name, "of": write(value)}
    if isinstance(value, (bool, int, float, str)):  # a subclass, such as a member of TextChoices
        base: Any = next(base for base in (str, int, float) if isinstance(value, base))
        # Its own method may give its name instead.
        return base(base.__str__(value) if base is str else base.__repr__(value))
    raise TypeError(f"{value!r} is a {type(value).__name__}, which cannot be stored")


def _untagged(found: dict[str, Any]) -> Any:
    if TAG not in found:
        return found
    name, content = found[TAG], found["of"]
    if name == "dict":
        return dict(content)
    return _CONTAINERS[name](content) if name in _CONTAINERS else _KINDS[name][2](content)


_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "bytes": base64.b64decode,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}

_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "timedelta": (
        timedelta,
        lambda span: [span.days, span.seconds, span.microseconds],
        lambda parts: timedelta(*parts),
    ),
    "decimal": (Decimal, str, Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
}
