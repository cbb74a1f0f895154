"""The first steps of a worker process: it sets Django up, then works.

A new process imports this module to find its main function, before anything is set up. So nothing
that needs settings or models is imported here until they are there.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

# What asks a dispatcher to stop. The supervisor starts workers with these held back.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a worker process is to do."""

    settings_module: str
    # Names of the databases in use by alias; in a test run, not those of the settings.
    database_names: dict[str, str]
    # Level from which to write the log to the standard error, as the command does; None leaves it.
    stderr_level: int | None
    # As for the worker.
    log_level: int
    limit: int | None


def run_worker(pipe: Connection, orders: Orders) -> None:
    """Run one worker; the main function of a worker process."""
    # Ctrl-C reaches the whole process group; what it means is for the supervisor to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: told_to_stop.set())
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    os.environ["DJANGO_SETTINGS_MODULE"] = orders.settings_module
    import django

    django.setup()
    from django.db import connections as databases

    from ..logutils import setup_loghandlers
    from .worker import WorkerLoop

    for alias, name in orders.database_names.items():
        databases[alias].settings_dict["NAME"] = name
    if orders.stderr_level is not None:
        setup_loghandlers(orders.stderr_level)

    def should_stop() -> bool:
        # A message, or the end of the pipe: the supervisor says stop, or is no more.
        return told_to_stop.is_set() or pipe.poll()

    def report(message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:
            told_to_stop.set()

    loop = WorkerLoop(
        log_level=orders.log_level, limit=orders.limit, should_stop=should_stop, on_settled=report
    )
    loop.run()
    report(loop.paused)
    databases.close_all()
