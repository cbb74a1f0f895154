"""Deliver what is due, then end; for cron."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ... import mail
from ...delivery.supervisor import Supervisor, Totals
from ...exceptions import CannotLock, CannotStartProcesses, WrongEnvironment
from ...logutils import setup_loghandlers
from ...models import Email
from ...queue.outcomes import Settled

BAR_WIDTH = 30


class Command(BaseCommand):
    help = "Deliver queued mail until nothing is due any more. SIGTERM and Ctrl-C end it in order."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "-p", "--processes", type=int, default=1, help="Worker processes (default: 1, in this process)."
        )
        parser.add_argument(
            "-m", "--max-mails", type=int, help="Mails to deliver at most in this run (default: all)."
        )
        parser.add_argument(
            "-L",
            "--lockfile",
            help=(
                "Path, without '.lock', of the lock that keeps a second run on this host away. "
                "Default: one for each database, in the folder for temporary files. Empty: no lock."
            ),
        )
        parser.add_argument(
            "-l", "--log-level", type=int, choices=[0, 1, 2], help="Attempts to log: 0 none, 1 failed, 2 all."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("processes", "max_mails"):
            if options[name] is not None and options[name] < 1:
                raise CommandError(f"--{name.replace('_', '-')}: {options[name]} is less than 1.")
        stderr_level = logging.INFO if options["verbosity"] > 0 else logging.ERROR
        setup_loghandlers(stderr_level)
        progress = Progress(sys.stderr) if sys.stderr.isatty() and options["verbosity"] > 0 else None
        supervisor = Supervisor(
            processes=options["processes"],
            log_level=options["log_level"],
            limit=options["max_mails"],
            stderr_level=stderr_level,
            command="send_queued_mail",
        )
        if progress:
            supervisor.on_settled = progress.advance
        try:
            totals = mail.deliver_all(supervisor, options["lockfile"])
        except (CannotStartProcesses, CannotLock, WrongEnvironment) as fault:
            raise CommandError(str(fault)) from fault
        if progress:
            progress.end()
        if totals is None:
            self.stdout.write("Another run is at work on this database; nothing to do here.")
            return
        self._report(totals)

    def _report(self, totals: Totals) -> None:
        self.stdout.write(
            f"{totals.attempted} attempted, {totals.sent} sent, {totals.failed} failed, "
            f"{totals.requeued} requeued, {totals.seconds:.1f} seconds"
        )
        for sentence in totals.paused.values():
            self.stdout.write(sentence)
        if totals.deaths:
            raise CommandError(f"{totals.deaths} worker processes died; see the log.")


class Progress:
    """One line on a terminal that says how far the run is."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.done = 0
        self.total = Email.objects.primary().claimable(timezone.now()).count()

    def advance(self, settled: Settled) -> None:
        self.done += settled.sent + settled.failed + settled.requeued
        # More may become due while we are at it.
        self.total = max(self.total, self.done)
        filled = BAR_WIDTH * self.done // max(self.total, 1)
        self.stream.write(f"\r[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {self.done}/{self.total} ")
        self.stream.flush()

    def end(self) -> None:
        if self.done:
            self.stream.write("\n")
