"""The first steps of a worker process: it sets Django up, then works.

A new process imports this module to find its main function, before anything is set up. So nothing
that needs settings or models is imported here until they are there.
"""

from __future__ import annotations

import gc
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from uuid import UUID

from .line import Line

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
    limit: int | None = None
    threads: int | None = None
    aliases: tuple[str, ...] | None = None
    priorities: tuple[int | None, ...] | None = None
    dispatcher_id: UUID | None = None
    # Of a worker that stays when nothing is due: seconds between two looks. None: it ends.
    poll_interval: float | None = None


def run_worker(pipe: Connection, orders: Orders) -> None:
    """Run one worker; the main function of a worker process."""
    line = Line(pipe, orders.poll_interval or 0)
    # Ctrl-C reaches the whole process group; what it means is for the supervisor to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: line.stop())
    if hasattr(signal, "pthread_sigmask"):  # pragma: no branch  # Windows has no such thing
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

    # What is loaded by now stays: no collection need look at it again.
    gc.freeze()
    loop = WorkerLoop(
        log_level=orders.log_level,
        limit=orders.limit,
        should_stop=line.should_stop,
        on_settled=line.report,
        calls=None if orders.poll_interval is None else line,
        only_aliases=orders.aliases,
        only_priorities=orders.priorities,
        dispatcher_id=orders.dispatcher_id,
    )
    if orders.threads is not None:
        loop.threads = orders.threads
    loop.run()
    line.report(loop.paused)
    databases.close_all()
