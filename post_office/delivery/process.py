"""The first steps of a worker process: it sets Django up, then works.

A new process imports this module to find its main function, before anything is set up. So nothing
that needs settings or models is imported here until they are there.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

# What asks a dispatcher to stop. The supervisor starts workers with these held back.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_worker(
    pipe: Connection,
    settings_module: str,
    database_names: dict[str, str],
    on_start: bytes,
    log_level: int,
    limit: int | None,
) -> None:
    """Run one worker; the main function of a worker process.

    Args:
        on_start: A pickled function without arguments, to be called when Django is set up. (Its
            module may need models, so it is unpickled no sooner.)
    """
    # Ctrl-C reaches the whole process group; what it means is for the supervisor to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: told_to_stop.set())
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    import django

    django.setup()
    from django.db import connections as databases

    from .worker import WorkerLoop

    for alias, name in database_names.items():
        databases[alias].settings_dict["NAME"] = name
    pickle.loads(on_start)()

    def should_stop() -> bool:
        # A message, or the end of the pipe: the supervisor says stop, or is no more.
        return told_to_stop.is_set() or pipe.poll()

    def report(message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:
            told_to_stop.set()

    loop = WorkerLoop(log_level=log_level, limit=limit, should_stop=should_stop, on_settled=report)
    loop.run()
    report(loop.paused)
    databases.close_all()
