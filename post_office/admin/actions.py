"""Requeue and cancel for many mails at once, from the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..enums import OPEN, STATUS
from ..models import Email
from ..queue import outcomes
from .confirm import confirmation, is_confirmed

BATCH = 500


@admin.action(description=gettext_lazy("Requeue selected emails"), permissions=["change"])
def requeue(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Email]) -> HttpResponse | None:
    """Put finished mail into the queue again; asks first when some of it was sent."""
    finished = queryset.exclude(status__in=OPEN)
    unsent = finished.exclude(status=STATUS.sent)
    if not is_confirmed(request) and (sent := finished.filter(status=STATUS.sent).count()):
        return confirmation(
            modeladmin,
            request,
            title=_("Queue sent emails again?"),
            question=ngettext(
                "%(count)d of the selected emails has been sent. Its recipients get it twice.",
                "%(count)d of the selected emails have been sent. Their recipients get them twice.",
                sent,
            )
            % {"count": sent},
            button=_("Queue again"),
        )
    selected = queryset.count()
    # What is sent meanwhile is not among those that were confirmed.
    chosen = finished if is_confirmed(request) else unsent
    changed = _carry_out(request, chosen, outcomes.requeue, _("Queued again."))
    _say(
        modeladmin,
        request,
        changed,
        ngettext(
            "%(count)d email is in the queue again.", "%(count)d emails are in the queue again.", changed
        ),
        selected - changed,
        ngettext(
            "%(count)d email was left as it is, since it is still to be sent.",
            "%(count)d emails were left as they are, since they are still to be sent.",
            selected - changed,
        ),
    )
    return None


@admin.action(description=gettext_lazy("Cancel selected emails"), permissions=["change"])
def cancel(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Email]) -> None:
    """Take mail out of the queue that nobody is delivering."""
    selected = queryset.count()
    act = partial(outcomes.cancel, actor=request.user.get_username())
    changed = _carry_out(request, queryset.filter(status__in=OPEN), act, _("Canceled."))
    _say(
        modeladmin,
        request,
        changed,
        ngettext("%(count)d email is canceled.", "%(count)d emails are canceled.", changed),
        selected - changed,
        ngettext(
            "%(count)d email was left as it is: not waiting, or being delivered at this moment.",
            "%(count)d emails were left as they are: not waiting, or being delivered at this moment.",
            selected - changed,
        ),
    )


def _carry_out(
    request: HttpRequest,
    chosen: QuerySet[Email],
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


def _say(modeladmin: Any, request: HttpRequest, changed: int, done: str, left: int, not_done: str) -> None:
    if changed:
        modeladmin.message_user(request, done % {"count": changed}, messages.SUCCESS)
    if left:
        modeladmin.message_user(request, not_done % {"count": left}, messages.WARNING)
