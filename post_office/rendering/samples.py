"""Sample contexts: which variables of a template they lack, and the same with something for each of these."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any


def missing(names: Iterable[str], context: Mapping[str, Any]) -> list[str]:
    """Return the variables, such as "order.total", that this context has nothing for.

    What is not of JSON's own containers is taken to have whatever it is asked for.
    """
    return [name for name in names if not _has(context, name.split("."))]


def completed(names: Iterable[str], context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context with each missing variable in it, which says its own name."""
    filled = copy.deepcopy(dict(context))
    # The longest first, so that "order" is no text where there is an "order.total".
    for name in sorted(missing(names, context), key=lambda name: -name.count(".")):
        *path, last = name.split(".")
        inner: Any = filled
        for part in path:
            inner = inner.setdefault(part, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.setdefault(last, last.replace("_", " "))
    return filled


def _has(value: Any, path: list[str]) -> bool:
    for part in path:
        if isinstance(value, Mapping):
            if part not in value:
                return False
            value = value[part]
        elif isinstance(value, list):
            if not part.isdecimal() or int(part) >= len(value):
                return False
            value = value[int(part)]
        else:
            return True
    return True
