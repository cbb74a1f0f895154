"""The hand-over between a worker and its sending threads: in portions, and at once where it matters."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from post_office.delivery.attempts import Job
from post_office.delivery.courier import Courier
from post_office.delivery.faults import Fault, Kind
from post_office.delivery.receipts import Receipt
from post_office.delivery.senders import Result, Senders
from post_office.models import Email
from tests.acceptance.patience import PATIENCE

TOOK_IT = Receipt()
OUT_OF_ORDER = Fault(kind=Kind.BACKEND, message="refused", exception_type="ConnectionRefusedError")


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    """What keeps mails with even numbers in the hands of their threads."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def begin(hold: threading.Event) -> Iterator[Callable[..., Senders]]:
    """Give mails of these numbers to two threads."""
    started: list[Senders] = []

    def begin(*numbers: int, result: Result = TOOK_IT) -> Senders:
        def send(job: Job, courier: Courier) -> Result:
            if job.email.pk % 2 == 0:
                hold.wait(PATIENCE)
            return result

        senders = Senders(2, send)
        started.append(senders)
        for number in numbers:
            parts: Any = None
            senders.give(Job(email=Email(pk=number), alias="default", parts=parts))
        return senders

    yield begin
    hold.set()
    for senders in started:
        list(senders.finish())


def done(senders: Senders) -> list[int]:
    return sorted(email.pk for email, _ in senders.results())


def test_a_worker_is_woken_when_enough_mails_are_done(begin: Any) -> None:
    senders = begin(2, 1, 3, 5, 7)
    senders.wait(4, PATIENCE)
    assert done(senders) == [1, 3, 5, 7]
    assert senders.in_hand == 1


def test_a_worker_that_wants_more_than_there_is_waits_for_the_last(begin: Any) -> None:
    senders = begin(1, 3)
    senders.wait(25, PATIENCE)
    assert done(senders) == [1, 3]
    # and for nothing where nothing is in hand
    senders.wait(25, PATIENCE)
    assert senders.in_hand == 0


def test_a_worker_hears_at_once_of_a_fault(begin: Any) -> None:
    senders = begin(2, 1, result=OUT_OF_ORDER)
    senders.wait(2, PATIENCE)
    assert done(senders) == [1]


def test_a_worker_waits_no_longer_than_it_wants(begin: Any) -> None:
    senders = begin(2, 4)
    begun = time.monotonic()
    senders.wait(1, 0.01)
    assert time.monotonic() - begun < PATIENCE / 2
    assert done(senders) == []
