"""Deliver mail as it comes, until told to stop; for systemd, containers and the like."""

from __future__ import annotations

import logging
import os
from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError

from ...aliases import aliases, validate_alias
from ...conf import conf
from ...delivery.crew import database_names, refuse_impossible_processes
from ...delivery.process import Orders
from ...delivery.standing import StandingSupervisor, memory_of
from ...enums import PRIORITY
from ...exceptions import CannotStartProcesses
from ...logutils import setup_loghandlers

MEGABYTE = 1_000_000
# Every priority is served by somebody: what was to go now goes with what is urgent, and rows of foreign
# code that have none go last.
SERVED_AS: dict[str, tuple[int | None, ...]] = {
    "high": (PRIORITY.now, PRIORITY.high),
    "medium": (PRIORITY.medium,),
    "low": (PRIORITY.low, None),
}
AT_LEAST = {
    "processes": 1,
    "threads": 1,
    "interval": 0.01,
    "max_mails_per_worker": 1,
    "max_memory": 1,
}


class Command(BaseCommand):
    help = (
        "Deliver queued mail as it comes. The first SIGTERM or Ctrl-C finishes what is in flight and "
        "releases the rest, the second one ends it at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("-p", "--processes", type=int, default=1, help="Worker processes (default: 1).")
        parser.add_argument(
            "-t", "--threads", type=int, help="Sending threads in each (default: THREADS_PER_PROCESS)."
        )
        parser.add_argument(
            "-b", "--backends", nargs="+", metavar="ALIAS", help="Deliver by these only (default: all)."
        )
        parser.add_argument(
            "--priorities", nargs="+", choices=list(SERVED_AS), help="Deliver these only (default: all)."
        )
        parser.add_argument(
            "-i", "--interval", type=float, help="Seconds between two looks (default: POLL_INTERVAL)."
        )
        parser.add_argument(
            "--max-mails-per-worker", type=int, metavar="MAILS", help="Renew a worker after so many mails."
        )
        parser.add_argument(
            "--max-memory", type=int, metavar="MB", help="Renew a worker that takes more memory (Linux only)."
        )
        parser.add_argument(
            "-l", "--log-level", type=int, choices=[0, 1, 2], help="Attempts to log: 0 none, 1 failed, 2 all."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._refuse_what_cannot_be(options)
        stderr_level = logging.INFO if options["verbosity"] > 0 else logging.ERROR
        setup_loghandlers(stderr_level)
        max_memory = options["max_memory"]
        supervisor = StandingSupervisor(
            command="run_dispatcher",
            orders=partial(self._orders, options, stderr_level),
            processes=options["processes"],
            max_mails=options["max_mails_per_worker"],
            max_memory=None if max_memory is None else max_memory * MEGABYTE,
        )
        if not supervisor.run():
            raise CommandError("Ended at once. What was in flight is delivered again by the next run.")

    def _refuse_what_cannot_be(self, options: dict[str, Any]) -> None:
        for name, least in AT_LEAST.items():
            if options[name] is not None and options[name] < least:
                raise CommandError(f"--{name.replace('_', '-')}: {options[name]} is less than {least}.")
        known = aliases()
        for alias in options["backends"] or ():
            if alias not in known:
                raise CommandError(f"--backends: {alias} is none of {', '.join(known)}.")
        if options["max_memory"] is not None and not memory_of(os.getpid()):
            raise CommandError("--max-memory: this system does not tell how much memory a process takes.")
        try:
            refuse_impossible_processes(options["processes"])
        except CannotStartProcesses as fault:
            raise CommandError(f"run_dispatcher needs a worker process. {fault}") from fault

    def _orders(self, options: dict[str, Any], stderr_level: int, **more: Any) -> Orders:
        log_level, interval = options["log_level"], options["interval"]
        backends, priorities = options["backends"], options["priorities"]
        return Orders(
            settings_module=django_settings.SETTINGS_MODULE,
            database_names=database_names(),
            stderr_level=stderr_level,
            log_level=conf.LOG_LEVEL if log_level is None else log_level,
            threads=options["threads"],
            aliases=None if backends is None else tuple(validate_alias(alias) for alias in backends),
            priorities=None if priorities is None else chosen_priorities(priorities),
            poll_interval=conf.POLL_INTERVAL if interval is None else interval,
            **more,
        )


def chosen_priorities(names: list[str]) -> tuple[int | None, ...]:
    """Return the priorities of rows that are served under these names, from high to low."""
    return tuple(number for name in SERVED_AS if name in names for number in SERVED_AS[name])
