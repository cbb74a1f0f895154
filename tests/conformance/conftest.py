"""Fixtures of real processes and servers, and a line about how much of Django's own tests has run."""

from typing import Any

import django

from tests.acceptance.conftest import project as project
from tests.acceptance.conftest import server as server
from tests.conformance import round_trip

COUNTED = {"passed": "passed", "xfailed": "left out", "failed": "failed"}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    numbers = {word: _count(terminalreporter, outcome) for outcome, word in COUNTED.items()}
    if counts := ", ".join(f"{number} {word}" for word, number in numbers.items() if number):
        terminalreporter.write_line(
            f"Django {django.get_version()}'s own tests of mail: {counts}. "
            f"They queued and delivered {round_trip.travelled['mails']} mails."
        )


def _count(terminalreporter: Any, outcome: str) -> int:
    reports = [report for report in terminalreporter.getreports(outcome) if report.when == "call"]
    return sum(
        "conformance/test_django.py" in report.nodeid and report.nodeid.count("::") == 2 for report in reports
    )
