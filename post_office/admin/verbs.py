"""What staff may do with one mail: send it at once, put it into the queue again, take it out.

Each verb asks before it acts, and says afterwards what really happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.db import router
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..addresses import join_mailboxes
from ..conf import conf
from ..delivery.connections import alias_of
from ..enums import FINISHED, OPEN, STATUS
from ..models import Email, Log
from ..queue import brakes, outcomes
from .display import when


@dataclass(frozen=True, kw_only=True)
class Said:
    """What to tell a member of staff."""

    level: int
    text: str
    acted: bool = True


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One thing to do with a mail, under an address of its own."""

    url_name: str
    label: Promise
    title: Promise
    fits: Callable[[Email], bool]
    question: Callable[[Email], str]
    carry_out: Callable[[Email, str], Said]


# --- send at once -----------------------------------------------------------------------------


def _is_free(email: Email) -> bool:
    return email.worker_id is None


def _ask_resend(email: Email) -> str:
    if email.status == STATUS.sent:
        return _("This email has been sent. If you send it again, its recipients get it twice.")
    return _("This email is sent at once, whatever its priority and its scheduled time are.")


def _resend(email: Email, actor: str) -> Said:
    """Deliver a mail in this process, and word what came of it."""
    # Of attempts only; a provider may report of an earlier one meanwhile.
    logs = Log.objects.using(router.db_for_write(Log)).filter(email=email.pk, event_id=None).order_by("-pk")
    last = logs.values_list("pk", flat=True).first() or 0
    retries = email.number_of_retries or 0 if email.status in OPEN else 0
    email.dispatch()
    row = Email.objects.primary().get(pk=email.pk)
    log = logs.filter(pk__gt=last).first()
    reason = (log.message if log else brakes.read().sentence(alias_of(row))).rstrip(". \n")
    reason = reason or _("the reason was not logged")
    return _said_of_delivery(row, reason, tried=(row.number_of_retries or 0) > retries)


def _said_of_delivery(row: Email, reason: str, *, tried: bool) -> Said:
    if row.worker_id is not None:
        return _nothing_done(_("This email is being delivered at this moment; nothing else was done."))
    if row.status == STATUS.sent:
        return _said_sent(row)
    if row.status not in OPEN:
        text = _("The email could not be sent: %(reason)s. It will not be tried again.")
        return Said(level=messages.ERROR, text=text % {"reason": reason})
    if tried and row.scheduled_time is not None:
        text = _("The email could not be sent: %(reason)s. It will be tried again at %(time)s.")
        time = when(row.scheduled_time)
        return Said(level=messages.WARNING, text=text % {"reason": reason, "time": time})
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


# --- requeue and cancel -----------------------------------------------------------------------


def _may_requeue(email: Email) -> bool:
    return email.status in (*FINISHED, None) and _is_free(email)


def _ask_requeue(email: Email) -> str:
    if email.status == STATUS.sent:
        return _("This email has been sent. If you queue it again, its recipients get it twice.")
    return _("This email is queued again, due now. It will be sent by the next run.")


def _requeue(email: Email, actor: str) -> Said:
    if outcomes.requeue([email.pk], timezone.now()):
        return Said(level=messages.SUCCESS, text=_("The email is in the queue again, due now."))
    return _nothing_done(_("This email is in the queue already; nothing was changed."))


def _may_cancel(email: Email) -> bool:
    return email.status in OPEN and _is_free(email)


def _ask_cancel(email: Email) -> str:
    return _("This email will not be sent. It can be put into the queue again later.")


def _cancel(email: Email, actor: str) -> Said:
    if outcomes.cancel([email.pk], timezone.now(), actor=actor):
        return Said(level=messages.SUCCESS, text=_("The email is canceled; it will not be sent."))
    return _nothing_done(
        _("This email is not waiting any more, or is being delivered at this moment; nothing was changed.")
    )


def _nothing_done(text: str) -> Said:
    return Said(level=messages.WARNING, text=text, acted=False)


# The name of the first has been public for long; it has no prefix.
RESEND = Verb(
    url_name="resend",
    label=gettext_lazy("Send now"),
    title=gettext_lazy("Send this email now?"),
    fits=_is_free,
    question=_ask_resend,
    carry_out=_resend,
)
REQUEUE = Verb(
    url_name="post_office_email_requeue",
    label=gettext_lazy("Queue again"),
    title=gettext_lazy("Queue this email again?"),
    fits=_may_requeue,
    question=_ask_requeue,
    carry_out=_requeue,
)
CANCEL = Verb(
    url_name="post_office_email_cancel",
    label=gettext_lazy("Cancel sending"),
    title=gettext_lazy("Cancel this email?"),
    fits=_may_cancel,
    question=_ask_cancel,
    carry_out=_cancel,
)
VERBS = (RESEND, REQUEUE, CANCEL)
