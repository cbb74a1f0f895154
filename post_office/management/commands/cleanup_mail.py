"""Delete mail whose story is over; for cron."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ...queue import cleanup


class Command(BaseCommand):
    help = (
        "Delete mail that was sent, failed, expired or canceled and is older than some days, with its log. "
        "Mail that is still to be sent stays, however old."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "-d", "--days", type=int, default=90, help="Delete mail older than so many days (default: 90)."
        )
        parser.add_argument(
            "-da", "--delete-attachments", action="store_true", help="Delete attachments of no mail, too."
        )
        parser.add_argument(
            "-b", "--batch-size", type=int, default=1000, help="Rows in one transaction (default: 1000)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be deleted.")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("days", "batch_size"):
            if options[name] < (0 if name == "days" else 1):
                raise CommandError(f"--{name.replace('_', '-')}: {options[name]} is too small.")
        cutoff = timezone.now() - timedelta(days=options["days"])
        if options["dry_run"]:
            emails = cleanup.count_removable(cutoff)
            attachments = cleanup.count_orphaned_attachments(cutoff) if options["delete_attachments"] else 0
            self.stdout.write(
                f"Would delete {emails} mails created before {cutoff} and {attachments} attachments."
            )
            return
        emails = cleanup.remove_emails(cutoff, options["batch_size"])
        attachments = (
            cleanup.remove_orphaned_attachments(options["batch_size"]) if options["delete_attachments"] else 0
        )
        self.stdout.write(f"Deleted {emails} mails created before {cutoff} and {attachments} attachments.")
