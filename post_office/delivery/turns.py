"""What waits for its turn: each thing is handed on at its moment of the monotonic clock.

A thread does that and nothing else, so that what holds up the worker holds up no mail whose turn has come. It
is started when it is first needed.

On a busy machine a turn may be missed. What follows is then not handed on all at once, which would be more
than the limit that gave the turns allows, but about as far apart as the turns are.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

Thing = TypeVar("Thing")

# What was late is followed by the next after this part of the time between their turns.
CATCH_UP = 0.8


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
        # The turn of what was handed on last, and when that was.
        self._last = (0.0, 0.0)
        self._changed = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, thing: Thing, turn: float) -> None:
        """Hand a thing on at this moment; where that is past, as soon as those before it allow."""
        with self._changed:
            if not self._waiting and self._moment(turn) <= time.monotonic():
                self._pass(thing, turn)
                return
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

    def _moment(self, turn: float) -> float:
        """Return when a thing may go whose turn this is."""
        last_turn, last_went = self._last
        return max(turn, last_went + CATCH_UP * (turn - last_turn))

    def _pass(self, thing: Thing, turn: float) -> None:
        self._last = turn, time.monotonic()
        self._hand_on(thing)

    def _keep(self) -> None:
        with self._changed:
            while self._waiting or not self._ended:
                rest = self._moment(self._waiting[0][0]) - time.monotonic() if self._waiting else None
                if rest is None or (rest > 0 and not self._ended):
                    self._changed.wait(rest)
                else:
                    turn, _, thing = heapq.heappop(self._waiting)
                    self._pass(thing, turn)
