"""What waits for its turn comes at its turn, at once where that is past, not at all when it is taken back."""

import queue
import time
from collections.abc import Iterator

import pytest

from post_office.delivery.turns import Turns

PATIENCE = 30


@pytest.fixture
def came() -> "queue.SimpleQueue[str]":
    return queue.SimpleQueue()


@pytest.fixture
def turns(came: "queue.SimpleQueue[str]") -> Iterator[Turns[str]]:
    turns = Turns(came.put)
    yield turns
    turns.end()


def test_they_come_in_the_order_of_their_turns_and_not_before(
    turns: Turns[str], came: "queue.SimpleQueue[str]"
) -> None:
    now = time.monotonic()
    turns.put("later", now + 0.2)
    turns.put("sooner", now + 0.1)
    assert [came.get(timeout=PATIENCE) for _ in range(2)] == ["sooner", "later"]
    assert time.monotonic() >= now + 0.2


def test_what_is_past_its_turn_comes_at_once(turns: Turns[str], came: "queue.SimpleQueue[str]") -> None:
    turns.put("late", time.monotonic() - 1)
    assert came.get_nowait() == "late"


def test_what_is_late_does_not_come_all_at_once(turns: Turns[str], came: "queue.SimpleQueue[str]") -> None:
    """A process that did not get to run must not send more in a second than its allowance afterwards."""
    now = time.monotonic()
    for number in range(4):
        turns.put(str(number), now - 1 + number / 10)
    moments = []
    for number in range(4):
        assert came.get(timeout=PATIENCE) == str(number)
        moments.append(time.monotonic())
    assert moments[3] - moments[0] >= 0.2
    assert moments[0] - now < 0.2


def test_what_is_taken_back_does_not_come(turns: Turns[str], came: "queue.SimpleQueue[str]") -> None:
    an_hour = time.monotonic() + 3600
    for name in ("a", "b"):
        turns.put(name, an_hour)
    assert len(turns) == 2
    assert turns.take_back() == ["a", "b"]
    assert len(turns) == 0
    turns.end()
    assert came.empty()


def test_what_waits_at_the_end_comes_at_once(turns: Turns[str], came: "queue.SimpleQueue[str]") -> None:
    turns.put("a", time.monotonic() + 3600)
    turns.end()
    assert came.get_nowait() == "a"
