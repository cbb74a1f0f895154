"""Worker processes of a test: what they are to do, and what happens meanwhile.

They deliver to a real server by the test's database, as `tests.acceptance.project_settings` says.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from post_office.delivery.crew import database_names
from post_office.delivery.process import Orders
from tests.acceptance.project import WARNINGS

SETTINGS = "tests.acceptance.project_settings"


def configure(monkeypatch: pytest.MonkeyPatch, **post_office: Any) -> None:
    """Say what POST_OFFICE is in worker processes that are started from now on."""
    monkeypatch.setenv("PROJECT_SETTINGS", json.dumps({"POST_OFFICE": post_office}))
    monkeypatch.setenv("PYTHONWARNINGS", WARNINGS)


def orders(**more: Any) -> Orders:
    """Orders for a worker that stays, unless they say something else."""
    return Orders(
        **{
            "settings_module": SETTINGS,
            "database_names": database_names(),
            "stderr_level": None,
            "log_level": 2,
            "poll_interval": 0.05,
            **more,
        }
    )


@contextmanager
def meanwhile(
    events: Callable[[], Any], *, then: Callable[[], Any], if_they_fail: Callable[[], Any]
) -> Iterator[None]:
    """Let events take their course in a thread beside the block, and bring about its end.

    Args:
        then, if_they_fail: What ends the block after them.
    """
    faults: list[BaseException] = []

    def run() -> None:
        try:
            events()
            then()
        except BaseException as fault:
            faults.append(fault)
            if_they_fail()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="events")
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if faults:
        raise faults[0]


def kill(pid: int | None) -> None:
    """End a process without a chance to say or do anything."""
    assert pid is not None
    os.kill(pid, 9)
