"""What is to be measured and how often, as the command line says it; and where files are kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# Environments, programs, databases. Ignored by git, and removed by `make clean`.
CACHE = HERE / ".cache"


@dataclass(frozen=True, kw_only=True)
class Plan:
    # Everything is measured so often, in turn, so that a busy moment of the machine spoils one round.
    rounds: int
    # Those that are asked for and answer.
    databases: tuple[str, ...]
    # A series of Django's, such as "6.1".
    django: str
    python: str = sys.executable
    # A first impression in less than a minute.
    is_quick: bool = False

    # Of the number of mails that is usual: less where time is short.
    scale: float = 1

    def mails(self, number: int, least: int = 100) -> int:
        """Return how many of so many."""
        return max(int(number * self.scale), min(least, number))

    def of(self, databases: Sequence[str]) -> Plan:
        """Return the same on these databases."""
        return replace(self, databases=tuple(databases))


def say(words: str) -> None:
    """Tell the person who waits what goes on; results are printed to the standard output, at the end."""
    print(words, file=sys.stderr, flush=True)
