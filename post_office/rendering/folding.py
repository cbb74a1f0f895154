"""Header lines whose long tokens stay whole.

Python's email package turns a token of more than 78 characters into encoded words (RFC 2047), which
programs that read URLs or Message-IDs from List-Unsubscribe (RFC 8058) or References do not decode.
RFC 5322, section 2.1.1, allows lines of 998 characters.
"""

from __future__ import annotations

import re
from email.headerregistry import UnstructuredHeader
from email.message import Message
from email.policy import EmailPolicy
from typing import Any

LONGEST_LINE = 998
# A token with the white space before it, where a line may end.
_TOKEN = re.compile(r"\s*\S+\s*\Z|\s*\S+")


class WholeTokens(EmailPolicy):
    """Folds unstructured headers between their tokens, and never inside one."""

    def fold(self, name: str, value: Any) -> str:
        return self._whole(name, value) or super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        folded = self._whole(name, value)
        return folded.encode() if folded else super().fold_binary(name, value)

    def _whole(self, name: str, value: Any) -> str | None:
        if not isinstance(value, UnstructuredHeader):
            return None
        width = self.max_line_length or LONGEST_LINE
        folded = between_tokens(name, str(value), width, self.linesep)
        return None if folded is None else f"{name}: {folded}{self.linesep}"


def between_tokens(name: str, text: str, width: int, linesep: str) -> str | None:
    """Return the value of a header in lines that end between its tokens, or None where Python itself
    leaves its tokens whole, or has to encode them.
    """
    longest = max(map(len, text.split()), default=0)
    if longest < width - 1 or longest > LONGEST_LINE - len(name) - 2 or not _is_plain(text):
        return None
    lines, room = [""], width - len(name) - 2
    for token in _TOKEN.findall(text):
        # The first token stands beside the name: some programs take an empty first line for the value.
        if len(lines[-1]) + len(token) > room and lines[-1]:
            lines.append(token)
            room = width
        else:
            lines[-1] += token
    return linesep.join(lines)


def _is_plain(text: str) -> bool:
    return text.isascii() and all(char.isprintable() or char == "\t" for char in text)


def keep_tokens_whole(message: Message) -> None:
    """Let a built message of Python's modern kind keep its long tokens when it is serialised."""
    if type(message.policy) is EmailPolicy:
        message.policy = WholeTokens(**vars(message.policy))
