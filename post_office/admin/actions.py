"""The verbs for many mails at once, from the list. Each has the permission of the verb for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import copies
from ..enums import OPEN, STATUS
from ..exceptions import UnreadableColumn
from ..models import Email
from ..queue import outcomes, plans
from .choices import PriorityForm, TimeForm
from .confirm import confirmation, is_confirmed, mark_of, seen
from .sending import deliver
from .verbs import said_priority, said_time

BATCH = 500
# A request that delivers takes as long as the servers do, and one that copies as many rows as it makes.
MOST_DELIVERIES, MOST_COPIES = 25, 500
# The address that delivers, and its argument: a mail, and the state in which it was chosen.
SEND, CHOSEN = "post_office_email_send", "chosen"

Emails = QuerySet[Email]


# --- that make mail go out --------------------------------------------------------------------


@admin.action(description=gettext_lazy("Send selected emails now"), permissions=["send"])
def send_now(modeladmin: Any, request: HttpRequest, queryset: Emails) -> HttpResponse | None:
    """Ask; the page that asks goes to an address which is no transaction, as that of the list may be."""
    rows = queryset.order_by("pk").select_related(None).defer(None).only("pk", "status", "last_updated")
    chosen = list(rows[: MOST_DELIVERIES + 1])
    if len(chosen) > MOST_DELIVERIES:
        text = _("At most %(count)d emails can be sent at once from here. Change their priority instead.")
        modeladmin.message_user(request, text % {"count": MOST_DELIVERIES}, messages.ERROR)
        return None
    return confirmation(
        modeladmin,
        request,
        title=_("Send these emails now?"),
        question=ngettext(
            "%(count)d email is sent at once, whatever its priority and its scheduled time are.",
            "%(count)d emails are sent at once, whatever their priority and their scheduled time are.",
            len(chosen),
        )
        % {"count": len(chosen)}
        + _twice(sum(email.status == STATUS.sent for email in chosen)),
        button=_("Send now"),
        action=reverse(f"admin:{SEND}", current_app=modeladmin.admin_site.name),
        more=[(CHOSEN, f"{email.pk} {seen(email)}") for email in chosen],
    )


def deliver_chosen(modeladmin: Any, request: HttpRequest) -> None:
    """Deliver what the page of `send_now` sent, but for mail that has changed since; as by a second click."""
    chosen = dict(one.split(" ", 1) for one in request.POST.getlist(CHOSEN)[:MOST_DELIVERIES] if " " in one)
    pks = [int(pk) for pk in chosen if pk.isdecimal() and len(pk) < 19]
    sent, left = 0, len(chosen)
    for pk in pks:
        email = modeladmin.get_queryset(request).filter(pk=pk, worker=None).first()
        if email is None or seen(email) != chosen[str(pk)]:
            continue
        said = deliver(email)
        left -= 1
        if said.level == messages.SUCCESS:
            sent += 1
        else:
            modeladmin.message_user(request, f"{email}: {said.text}", said.level)
        if said.acted:
            modeladmin.log_change(request, email, said.text)
    done = ngettext("%(count)d email has been sent.", "%(count)d emails have been sent.", sent)
    not_done = ngettext(
        "%(count)d email was left as it is: it has changed meanwhile, or is being delivered.",
        "%(count)d emails were left as they are: they have changed meanwhile, or are being delivered.",
        left,
    )
    _say(modeladmin, request, sent, done, left, not_done)


@admin.action(description=gettext_lazy("Requeue selected emails"), permissions=["requeue"])
def requeue(modeladmin: Any, request: HttpRequest, queryset: Emails) -> HttpResponse | None:
    """Put finished mail into the queue again; asks first when some of it was sent."""
    finished = queryset.exclude(status__in=OPEN)
    unsent = finished.exclude(status=STATUS.sent)
    if not is_confirmed(request) and (sent := finished.filter(status=STATUS.sent).count()):
        return confirmation(
            modeladmin,
            request,
            title=_("Queue sent emails again?"),
            question=_twice(sent).strip(),
            button=_("Queue again"),
        )
    selected = queryset.count()
    # What is sent meanwhile is not among those that were confirmed.
    chosen = finished if is_confirmed(request) else unsent
    changed = _carry_out(request, chosen, outcomes.requeue, _("Queued again."))
    done = ngettext(
        "%(count)d email is in the queue again.", "%(count)d emails are in the queue again.", changed
    )
    left = selected - changed
    not_done = ngettext(
        "%(count)d email was left as it is, since it is still to be sent.",
        "%(count)d emails were left as they are, since they are still to be sent.",
        left,
    )
    _say(modeladmin, request, changed, done, left, not_done)
    return None


@admin.action(description=gettext_lazy("Send copies of selected emails"), permissions=["copy"])
def send_copies(modeladmin: Any, request: HttpRequest, queryset: Emails) -> HttpResponse | None:
    """Queue each selected mail once more, as a mail of its own; always asks."""
    selected = queryset.count()
    if selected > MOST_COPIES:
        text = _("At most %(count)d emails can be copied at once.") % {"count": MOST_COPIES}
        modeladmin.message_user(request, text, messages.ERROR)
        return None
    if not is_confirmed(request):
        again = queryset.filter(status__in=(*OPEN, STATUS.sent)).count()
        question = ngettext(
            "%(count)d new email with the same content is queued.",
            "%(count)d new emails with the same content are queued.",
            selected,
        )
        return confirmation(
            modeladmin,
            request,
            title=_("Send copies of these emails?"),
            question=question % {"count": selected} + _twice(again),
            button=_("Send copies"),
        )
    copied = sum(_copy(modeladmin, request, email) for email in queryset.order_by("pk").defer(None))
    done = ngettext("%(count)d copy is in the queue.", "%(count)d copies are in the queue.", copied)
    _say(modeladmin, request, copied, done)
    return None


def _copy(modeladmin: Any, request: HttpRequest, email: Email) -> bool:
    try:
        copied = copies.send_again(email, once=mark_of(request))
    except UnreadableColumn as fault:
        modeladmin.message_user(request, f"{email}: {fault}", messages.WARNING)
        return False
    text = _("A copy of this email is in the queue: number %(number)d.") % {"number": copied.pk}
    modeladmin.log_change(request, email, text)
    modeladmin.log_addition(request, copied, _("Copy of email number %(number)d.") % {"number": email.pk})
    return True


def _twice(sent: int) -> str:
    """Return a warning to stand behind a question; empty where nobody gets anything twice."""
    if not sent:
        return ""
    text = ngettext(
        "%(count)d of the selected emails has been sent, or will be. Its recipients get it twice.",
        "%(count)d of the selected emails have been sent, or will be. Their recipients get them twice.",
        sent,
    )
    return f" {text % {'count': sent}}"


# --- that change what waits -------------------------------------------------------------------


@admin.action(description=gettext_lazy("Cancel selected emails"), permissions=["cancel"])
def cancel(modeladmin: Any, request: HttpRequest, queryset: Emails) -> None:
    """Take mail out of the queue that nobody is delivering."""
    act = partial(outcomes.cancel, actor=request.user.get_username())
    selected = queryset.count()
    changed = _carry_out(request, queryset.filter(status__in=OPEN), act, _("Canceled."))
    done = ngettext("%(count)d email is canceled.", "%(count)d emails are canceled.", changed)
    _say(modeladmin, request, changed, done, selected - changed, _not_free(selected - changed))


@admin.action(description=gettext_lazy("Change priority of selected emails"), permissions=["prioritize"])
def change_priority(modeladmin: Any, request: HttpRequest, queryset: Emails) -> HttpResponse | None:
    """Ask for a priority, and give it to the mail that waits."""
    form = PriorityForm(request.POST if is_confirmed(request) else None)
    if not form.is_valid():
        return confirmation(
            modeladmin,
            request,
            title=_("Change the priority of these emails?"),
            question=_("Mail of a higher priority is sent first."),
            button=_("Change priority"),
            form=form,
        )
    chosen: int = form.cleaned_data["priority"]

    def act(pks: Sequence[int], now: datetime) -> int:
        return plans.prioritize(pks, chosen, now)

    _change_waiting(modeladmin, request, queryset, act, said_priority(chosen))
    return None


@admin.action(description=gettext_lazy("Reschedule selected emails"), permissions=["reschedule"])
def reschedule(modeladmin: Any, request: HttpRequest, queryset: Emails) -> HttpResponse | None:
    """Ask for a time, and give it to the mail that waits."""
    form = TimeForm(request.POST if is_confirmed(request) else None)
    if not form.is_valid():
        return confirmation(
            modeladmin,
            request,
            title=_("Reschedule these emails?"),
            question=_("Emails that expire before the new time are left as they are."),
            button=_("Reschedule"),
            form=form,
        )
    at: datetime | None = form.cleaned_data["scheduled_time"]

    def act(pks: Sequence[int], now: datetime) -> int:
        return plans.reschedule(pks, at, now)

    _change_waiting(modeladmin, request, queryset, act, said_time(at))
    return None


def _change_waiting(
    modeladmin: Any,
    request: HttpRequest,
    queryset: Emails,
    act: Callable[[Sequence[int], datetime], int],
    note: str,
) -> None:
    selected = queryset.count()
    changed = _carry_out(request, queryset.filter(status__in=OPEN), act, note)
    done = ngettext("%(count)d email is changed.", "%(count)d emails are changed.", changed)
    left = selected - changed
    _say(modeladmin, request, changed, done, left, _not_free(left))


# --- what they share --------------------------------------------------------------------------


def _carry_out(
    request: HttpRequest,
    chosen: Emails,
    act: Callable[[Sequence[int], datetime], int],
    note: str,
) -> int:
    """Do it in batches, and note in the admin's history which mails were changed. Returns how many."""
    pks = list(chosen.order_by("pk").values_list("pk", flat=True))
    changed = 0
    for start in range(0, len(pks), BATCH):
        batch, now = pks[start : start + BATCH], timezone.now()
        if not (number := act(batch, now)):
            continue
        changed += number
        rows = Email.objects.primary().filter(pk__in=batch, last_updated=now)
        LogEntry.objects.log_actions(cast("int", request.user.pk), list(rows.only("pk", "to")), CHANGE, note)
    return changed


def _not_free(number: int) -> str:
    return ngettext(
        "%(count)d email was left as it is: not waiting, or being delivered at this moment.",
        "%(count)d emails were left as they are: not waiting, or being delivered at this moment.",
        number,
    )


def _say(
    modeladmin: Any, request: HttpRequest, changed: int, done: str, left: int = 0, not_done: str = ""
) -> None:
    if changed:
        modeladmin.message_user(request, done % {"count": changed}, messages.SUCCESS)
    if left:
        modeladmin.message_user(request, not_done % {"count": left}, messages.WARNING)
