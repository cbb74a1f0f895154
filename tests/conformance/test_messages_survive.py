"""Whatever a message holds arrives: it is what Django would have sent without a queue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import override_settings
from hypothesis import Phase, given, settings

from tests.conformance import recording
from tests.conformance.cases import CASES, REFUSED, Make
from tests.conformance.recipes import Recipe, recipes
from tests.conformance.recording import Seen, attributes_of, directly, through_the_queue
from tests.conformance.round_trip import NotDelivered

# Some thousands find what is rare; they are others in each run.
EXAMPLES = os.environ.get("MESSAGE_EXAMPLES")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True, scope="module")
def backends() -> Iterator[None]:
    with override_settings(POST_OFFICE={"BACKENDS": recording.BACKENDS}):
        yield


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_a_message_survives_that_has(make: Make) -> None:
    check(make)


@settings(
    derandomize=not EXAMPLES,
    max_examples=int(EXAMPLES or 150),
    deadline=None,
    phases=set(Phase) - {Phase.explain},
)
@given(recipes)
def test_any_message_survives(make: Recipe) -> None:
    check(make)


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_a_message_is_refused_that_has(make: Make) -> None:
    directly(make())
    with pytest.raises(ValueError, match=r"^\w+: "):  # the argument and what is wrong with it
        through_the_queue(make())


def check(make: Make) -> None:
    """Send one message directly and its twin through the queue, and compare what arrives."""
    message = make()
    before = attributes_of(message)
    try:
        expected = directly(make())
    except Exception as refusal:
        check_refusal(message, refusal)
    else:
        assert differences(through_the_queue(message), expected) == {}
    assert attributes_of(message) == before, "the caller's message was changed"


def check_refusal(message: EmailMessage, refusal: Exception) -> None:
    """What Django cannot build is refused when it is queued, what it cannot send by its delivery."""
    try:
        message.message()
    except Exception as fault:  # its address may be wrong as well, which is the refusal then
        refusals: tuple[type[Exception], ...] = (type(fault), type(refusal))
    else:
        refusals = (type(refusal), NotDelivered)
    with pytest.raises(refusals) as found:
        through_the_queue(message)
    if found.type is NotDelivered:
        assert str(found.value).startswith(f"{type(refusal).__name__}: ")


def differences(arrived: Seen, expected: Seen) -> dict[str, tuple[Any, Any]]:
    """Return what differs, by its name, as (arrived, expected)."""
    ours, theirs = ({**asdict(seen), **seen.attributes, "attributes": None} for seen in (arrived, expected))
    return {
        name: (ours.get(name), theirs.get(name))
        for name in ours | theirs
        if ours.get(name) != theirs.get(name)
    }
