"""Header fields as callers give them: names and values that make one header line each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .exceptions import InvalidArgument, InvalidHeader

# RFC 5322, section 2.2: printable ASCII except the colon.
_FIELD_NAME = re.compile(r"[!-9;-~]+")
# Whatever Python takes for the end of a line (str.splitlines), and the null character.
_ENDS_LINE = re.compile("[\x00\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def validate_headers(argument: str, headers: Any) -> dict[str, str] | None:
    """Return headers as a dict of str, or None for none.

    Raises:
        InvalidArgument: Not a mapping, or a name that is no field name.
        InvalidHeader: A value with a newline or a null character.
    """
    if headers is None:
        return None
    if not isinstance(headers, Mapping):
        raise InvalidArgument(f"{argument}: {headers!r} is not a dict of header names to values.")
    valid: dict[str, str] = {}
    for name, value in headers.items():
        validate_header_name(argument, name)
        valid[name] = validate_header_value(f"{argument}[{name!r}]", str(value))
    return valid


def validate_header_name(argument: str, name: Any) -> None:
    """Accept what may stand before the colon. Raises `InvalidArgument`."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise InvalidArgument(f"{argument}: {name!r} is not a header name.")


def validate_header_value(argument: str, value: str) -> str:
    """Return the value. Raises `InvalidHeader` where it would end its line."""
    if ends_line(value) or not is_storable(value):
        raise InvalidHeader(argument, value)
    return value


def ends_line(text: str) -> bool:
    """Return whether a header would end before this text does."""
    return bool(_ENDS_LINE.search(text))


def is_storable(text: str) -> bool:
    """Return whether a database can hold this text: no null character, no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def storable(text: str) -> str:
    """Return the text with a replacement character for whatever a database cannot hold."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
