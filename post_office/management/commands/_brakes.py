"""What mail_pause and mail_resume have in common: their arguments, and who is said to have done it."""

from __future__ import annotations

import getpass
import socket
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from ...exceptions import PostOfficeError


class BrakesCommand(BaseCommand):
    verb: ClassVar[Callable[..., bool]]
    done: ClassVar[str]
    done_already: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("backend", nargs="?", default="", help="Alias of a backend (default: all mail).")
        parser.add_argument("--by", help="Who does it, as others are told (default: this user and host).")

    def handle(self, *args: Any, **options: Any) -> None:
        backend = options["backend"]
        try:
            changed = self.verb(backend, by=options["by"] or who())
        except PostOfficeError as fault:
            raise CommandError(str(fault)) from fault
        what = f"backend {backend}" if backend else "all mail"
        said = (self.done if changed else self.done_already).format(what=what)
        self.stdout.write(said[0].upper() + said[1:])


def who() -> str:
    """Return the user of the operating system, who may have no name in a container, and the host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
