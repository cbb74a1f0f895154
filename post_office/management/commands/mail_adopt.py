"""Release the mail of a copied database, to be sent from this environment."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ...conf import conf
from ...models import Email
from ...queue import environment


class Command(BaseCommand):
    help = (
        "Make the mail in this database that of this environment, POST_OFFICE['ENVIRONMENT'], "
        "after which dispatchers here send it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-input", action="store_false", dest="interactive", help="Do not ask for a confirmation."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not conf.ENVIRONMENT:
            raise CommandError(
                "POST_OFFICE['ENVIRONMENT'] is not set, so there is nothing to adopt mail for."
            )
        owner = environment.owner_of_queue()
        if owner == conf.ENVIRONMENT:
            self.stdout.write(f"The mail in this database belongs to {owner!r} already.")
            return
        if options["interactive"] and not self._confirmed(owner):
            self.stdout.write("Nothing was changed.")
            return
        environment.adopt(conf.ENVIRONMENT)
        self.stdout.write(f"The mail in this database belongs to {conf.ENVIRONMENT!r} now.")

    def _confirmed(self, owner: str | None) -> bool:
        waiting = Email.objects.primary().unfinished()
        due = waiting.due(timezone.now())
        self.stdout.write(
            f"{waiting.count()} mails wait in this database, {due.count()} of them due. It belongs to "
            f"{owner or 'no environment so far'!r}; they would be sent from {conf.ENVIRONMENT!r}."
        )
        return input("Send them from here? [y/N] ").strip().lower() in ("y", "yes")
