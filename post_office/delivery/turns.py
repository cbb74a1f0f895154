"""What waits for its turn: each thing is handed on at its moment of the monotonic clock.

A thread does that and nothing else, so that what holds up the worker holds up no mail whose turn has come. It
is started when it is first needed.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Things that wait.

    Args:
        hand_on: Takes a thing at its turn.
    """

    def __init__(self, hand_on: Callable[[Thing], None]) -> None:
        self._hand_on = hand_on
        # By moment, and then in the order in which they came.
        self._waiting: list[tuple[float, int, Thing]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, thing: Thing, turn: float) -> None:
        """Hand a thing on at this moment; at once where that is past."""
        if turn <= time.monotonic():
            self._hand_on(thing)
            return
        with self._changed:
            heapq.heappush(self._waiting, (turn, next(self._numbers), thing))
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, name="post_office turns", daemon=True)
            self._thread.start()

    def take_back(self) -> list[Thing]:
        """Return what waits; it waits no more."""
        with self._changed:
            taken = [thing for _, _, thing in sorted(self._waiting)]
            self._waiting.clear()
        return taken

    def end(self) -> None:
        """Hand on at once what waits, and end."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _keep(self) -> None:
        with self._changed:
            while self._waiting or not self._ended:
                rest = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if rest is None or (rest > 0 and not self._ended):
                    self._changed.wait(rest)
                else:
                    self._hand_on(heapq.heappop(self._waiting)[2])
