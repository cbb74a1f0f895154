"""What staff may do with one mail: send it at once, queue it again, send a copy, take it out, move it.

Each verb has its own permission, asks before it acts, and says afterwards what really happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import copies
from ..enums import FINISHED, OPEN, STATUS
from ..exceptions import UnreadableColumn
from ..models import Email
from ..queue import outcomes, plans
from .choices import PriorityForm, TimeForm
from .display import sentence, when
from .sending import Said, deliver, nothing_done


@dataclass(frozen=True, kw_only=True)
class Order:
    """Who wants it, what was chosen on the page that asked, and that page's mark.

    The same page sent twice has the same mark.
    """

    actor: str
    chosen: Mapping[str, Any]
    mark: str


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One thing to do with a mail, under an address of its own."""

    path: str
    url_name: str
    permission: str
    label: Promise
    title: Promise
    fits: Callable[[Email], bool]
    question: Callable[[Email], str]
    carry_out: Callable[[Email, Order], Said]
    form: type[forms.Form] | None = None


def _is_free(email: Email) -> bool:
    return email.worker_id is None


def _is_waiting(email: Email) -> bool:
    return email.status in OPEN and _is_free(email)


def _not_waiting() -> Said:
    return nothing_done(
        _("This email is not waiting any more, or is being delivered at this moment; nothing was changed.")
    )


# --- send at once -----------------------------------------------------------------------------


def _ask_resend(email: Email) -> str:
    if email.status == STATUS.sent:
        return _("This email has been sent. If you send it again, its recipients get it twice.")
    return _("This email is sent at once, whatever its priority and its scheduled time are.")


def _resend(email: Email, order: Order) -> Said:
    return deliver(email)


# --- queue again, or as a copy ----------------------------------------------------------------


def _may_requeue(email: Email) -> bool:
    return email.status in (*FINISHED, None) and _is_free(email)


def _ask_requeue(email: Email) -> str:
    if email.status == STATUS.sent:
        return _("This email has been sent. If you queue it again, its recipients get it twice.")
    return _("This email is queued again, due now. It will be sent by the next run.")


def _requeue(email: Email, order: Order) -> Said:
    if outcomes.requeue([email.pk], timezone.now()):
        return Said(level=messages.SUCCESS, text=_("The email is in the queue again, due now."))
    return nothing_done(_("This email is in the queue already; nothing was changed."))


def _may_copy(email: Email) -> bool:
    return True


def _ask_copy(email: Email) -> str:
    if email.status == STATUS.sent:
        return _("This email has been sent. With a copy of it, its recipients get it twice.")
    if email.status in OPEN:
        return _("This email is still to be sent. With a copy of it, its recipients get it twice.")
    return _("A new email with the same content is queued, due now. This one stays as it is.")


def _copy(email: Email, order: Order) -> Said:
    try:
        copied = copies.send_again(email, once=order.mark)
    except UnreadableColumn as fault:
        return nothing_done(str(fault))
    text = _("A copy of this email is in the queue: number %(number)d.") % {"number": copied.pk}
    return Said(level=messages.SUCCESS, text=text, about=copied)


# --- take out, or move ------------------------------------------------------------------------


def _ask_cancel(email: Email) -> str:
    return _("This email will not be sent. It can be put into the queue again later.")


def _cancel(email: Email, order: Order) -> Said:
    if outcomes.cancel([email.pk], timezone.now(), actor=order.actor):
        return Said(level=messages.SUCCESS, text=_("The email is canceled; it will not be sent."))
    return _not_waiting()


def _ask_priority(email: Email) -> str:
    return _("Mail of a higher priority is sent first.")


def _prioritize(email: Email, order: Order) -> Said:
    form = order.chosen
    if plans.prioritize([email.pk], form["priority"], timezone.now()):
        return Said(level=messages.SUCCESS, text=said_priority(form["priority"]))
    return _not_waiting()


def _ask_time(email: Email) -> str:
    due = when(email.due_at) if email.due_at else "-"
    return sentence(_("This email is due at %(time)s.") % {"time": due})


def _reschedule(email: Email, order: Order) -> Said:
    at = order.chosen["scheduled_time"]
    if plans.reschedule([email.pk], at, timezone.now()):
        return Said(level=messages.SUCCESS, text=said_time(at))
    if at is not None and email.expires_at is not None and email.expires_at <= at:
        expires = when(email.expires_at)
        return nothing_done(_("This email expires at %(time)s; nothing was changed.") % {"time": expires})
    return _not_waiting()


def said_priority(priority: int) -> str:
    name = dict(Email.PRIORITY_CHOICES)[priority]
    return _("The priority is now “%(priority)s”.") % {"priority": name}


def said_time(at: Any) -> str:
    return _("Due now.") if at is None else sentence(_("Due at %(time)s.") % {"time": when(at)})


# The name of the first has been public for long; it has no prefix.
RESEND = Verb(
    path="resend",
    url_name="resend",
    permission="send_email",
    label=gettext_lazy("Send now"),
    title=gettext_lazy("Send this email now?"),
    fits=_is_free,
    question=_ask_resend,
    carry_out=_resend,
)
REQUEUE = Verb(
    path="requeue",
    url_name="post_office_email_requeue",
    permission="requeue_email",
    label=gettext_lazy("Queue again"),
    title=gettext_lazy("Queue this email again?"),
    fits=_may_requeue,
    question=_ask_requeue,
    carry_out=_requeue,
)
COPY = Verb(
    path="copy",
    url_name="post_office_email_copy",
    permission="copy_email",
    label=gettext_lazy("Send a copy"),
    title=gettext_lazy("Send a copy of this email?"),
    fits=_may_copy,
    question=_ask_copy,
    carry_out=_copy,
)
CANCEL = Verb(
    path="cancel",
    url_name="post_office_email_cancel",
    permission="cancel_email",
    label=gettext_lazy("Cancel sending"),
    title=gettext_lazy("Cancel this email?"),
    fits=_is_waiting,
    question=_ask_cancel,
    carry_out=_cancel,
)
PRIORITIZE = Verb(
    path="priority",
    url_name="post_office_email_priority",
    permission="prioritize_email",
    label=gettext_lazy("Change priority"),
    title=gettext_lazy("Change the priority of this email?"),
    fits=_is_waiting,
    question=_ask_priority,
    carry_out=_prioritize,
    form=PriorityForm,
)
RESCHEDULE = Verb(
    path="reschedule",
    url_name="post_office_email_reschedule",
    permission="reschedule_email",
    label=gettext_lazy("Reschedule"),
    title=gettext_lazy("Reschedule this email?"),
    fits=_is_waiting,
    question=_ask_time,
    carry_out=_reschedule,
    form=TimeForm,
)
VERBS = (RESEND, REQUEUE, COPY, CANCEL, PRIORITIZE, RESCHEDULE)
