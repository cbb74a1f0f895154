"""Hold the mail of one backend, or all mail."""

from __future__ import annotations

from ... import mail
from ._brakes import BrakesCommand


class Command(BrakesCommand):
    help = "Hold all mail, or that of one backend, until mail_resume. Stands on every host within a second."
    verb = staticmethod(mail.pause)
    done = "{what} is paused."
    done_already = "{what} is paused already."
