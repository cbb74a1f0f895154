"""Let mail go that mail_pause held."""

from __future__ import annotations

from ... import mail
from ._brakes import BrakesCommand


class Command(BrakesCommand):
    help = "Let all mail, or that of one backend, go again. A backend that is out of order is tried at once."
    verb = staticmethod(mail.resume)
    done = "{what} is resumed."
    done_already = "Nothing holds {what}."
