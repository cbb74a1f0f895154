"""Keys that a database compares as Python does.

Collations may take "A" for "a", "é" for "e", a blank at the end for none, and some emoji for others.
"""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9.:_@+-]{1,255}")


def exact_key(text: str) -> str:
    """Return the text itself where every database compares it as we do, else its SHA-256 in hex.

    Either has at most 255 characters.
    """
    if _PLAIN.fullmatch(text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
