"""What a project says of one backend beside how to reach it: keys of its entry in BACKENDS.

They are post_office's own and never reach the backend, whose arguments are in OPTIONS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..conf import conf


def option(alias: str, key: str) -> Any:
    """Return what the entry of a backend says under a key; None where it says nothing."""
    entry = conf.BACKENDS.get(alias)
    return entry.get(key) if isinstance(entry, Mapping) else None
