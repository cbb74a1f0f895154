"""Django's own tests of mail, with our queue between the sender and the backend.

They come from the source distribution of the Django in use, see `django_source`; how they are sent
through the queue is told in `round_trip`, and what is left out in `exclusions`.
"""

from __future__ import annotations

import functools
import inspect
import os
import unittest
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests import services
from tests.conformance import django_source, round_trip
from tests.conformance.exclusions import CASES_LEFT_OUT, TESTS_LEFT_OUT

MODULES: list[ModuleType] = []
WHY_MISSING = ""
# They know no database, and what a database may alter is tried in test_messages_survive.
ON_SQLITE = os.environ.get("DATABASE", "sqlite") == "sqlite"
if ON_SQLITE:
    try:
        MODULES = django_source.import_mail_tests()
    except django_source.Unavailable as reason:
        WHY_MISSING = str(reason)


def cases() -> Iterator[type[unittest.TestCase]]:
    """Yield every test case in Django's tests of mail."""
    for module in MODULES:
        for case in vars(module).values():
            if (
                inspect.isclass(case)
                and issubclass(case, unittest.TestCase)
                and case.__module__ == module.__name__
            ):
                yield case


def each_test(case: type[unittest.TestCase]) -> Iterator[tuple[str, str]]:
    """Yield the name of each test, and with the class that defines it: "LocmemBackendTests.test_send"."""
    for name in unittest.TestLoader().getTestCaseNames(case):
        definer = next(parent for parent in case.__mro__ if name in vars(parent))
        yield name, f"{definer.__name__}.{name}"


def through_the_queue(case: type[unittest.TestCase]) -> type[unittest.TestCase]:
    """Return the test case with the queue in between."""
    namespace: dict[str, Any] = {"__module__": __name__}
    if getattr(case, "backend_class", None) is round_trip.Locmem:
        namespace["backend_class"] = round_trip.QueueBeforeLocmem
    for name, full_name in each_test(case):
        if reason := TESTS_LEFT_OUT.get(full_name):
            namespace[name] = must_fail(getattr(case, name), reason)
    return type(case.__name__, (round_trip.ThroughTheQueue, case), namespace)


def must_fail(test: Any, reason: str) -> Any:
    """Return the test as one that is expected to fail, and fails when it passes."""

    @pytest.mark.xfail(strict=True, reason=reason)
    @functools.wraps(test)
    def left_out(self: unittest.TestCase) -> None:
        test(self)

    return left_out


globals().update(
    {case.__name__: through_the_queue(case) for case in cases() if case.__name__ not in CASES_LEFT_OUT}
)


@pytest.mark.skipif(not ON_SQLITE, reason="Django's own tests run on SQLite only.")
def test_djangos_own_tests_are_there() -> None:
    if WHY_MISSING:
        (pytest.fail if services.required() else pytest.skip)(WHY_MISSING)
    names = {case.__name__ for case in cases()}
    assert names - CASES_LEFT_OUT.keys() >= {"LocmemBackendTests", "SendTestEmailManagementCommand"}


@pytest.mark.skipif(not MODULES, reason="Django's own tests are not there.")
def test_every_test_that_is_left_out_still_exists() -> None:
    run = (case for case in cases() if case.__name__ not in CASES_LEFT_OUT)
    assert {full_name for case in run for _, full_name in each_test(case)} >= TESTS_LEFT_OUT.keys()
