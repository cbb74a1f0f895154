"""Delivers a mail in the process of the web server, and words what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.db import router
from django.utils.translation import gettext as _

from ..addresses import join_mailboxes
from ..conf import conf
from ..delivery.connections import alias_of
from ..enums import OPEN, STATUS
from ..models import Email, Log
from ..queue import brakes
from .display import sentence, when


@dataclass(frozen=True, kw_only=True)
class Said:
    """What to tell a member of staff.

    Attributes:
        about: Another mail that came of it, to which it leads.
    """

    level: int
    text: str
    acted: bool = True
    about: Email | None = None


def nothing_done(text: str) -> Said:
    return Said(level=messages.WARNING, text=text, acted=False)


def deliver(email: Email) -> Said:
    """Deliver a mail now; a transaction of the caller's would stay open meanwhile."""
    # Of attempts only; a provider may report of an earlier one meanwhile.
    logs = Log.objects.using(router.db_for_write(Log)).filter(email=email.pk, event_id=None).order_by("-pk")
    last = logs.values_list("pk", flat=True).first() or 0
    retries = email.number_of_retries or 0 if email.status in OPEN else 0
    email.dispatch()
    row = Email.objects.primary().get(pk=email.pk)
    log = logs.filter(pk__gt=last).first()
    return said_of(row, log.message if log else "", tried=(row.number_of_retries or 0) > retries)


def said_of(row: Email, reason: str, *, tried: bool) -> Said:
    """Return what became of a mail that was to be sent at once.

    Args:
        reason: Why it was not sent, if the log says so.
        tried: Its server was asked, and may take it another time.
    """
    if row.worker_id is not None:
        return nothing_done(_("This email is being delivered at this moment; nothing else was done."))
    if row.status == STATUS.sent:
        return _said_sent(row)
    reason = (reason or brakes.read().sentence(alias_of(row))).rstrip(". \n")
    reason = reason or _("the reason was not logged")
    if row.status not in OPEN:
        text = _("The email could not be sent: %(reason)s. It will not be tried again.")
        return Said(level=messages.ERROR, text=text % {"reason": reason})
    if tried and row.scheduled_time is not None:
        text = _("The email could not be sent: %(reason)s. It will be tried again at %(time)s.")
        time = when(row.scheduled_time)
        return Said(level=messages.WARNING, text=sentence(text % {"reason": reason, "time": time}))
    text = _("The backend %(backend)s cannot deliver now: %(reason)s. The email stays in the queue.")
    return Said(level=messages.WARNING, text=text % {"backend": alias_of(row), "reason": reason})


def _said_sent(row: Email) -> Said:
    recipients = [*row.to, *row.cc, *row.bcc]
    if conf.OVERRIDE_RECIPIENTS is not None:
        recipients = list(conf.OVERRIDE_RECIPIENTS)
    if not recipients:
        return Said(level=messages.WARNING, text=_("The email has no recipients; it was sent to nobody."))
    text = _("The email has been sent to %(recipients)s.") % {"recipients": join_mailboxes(recipients)}
    return Said(level=messages.SUCCESS, text=text)
