"""What happened to a mail, in order: for whoever asks whether it has arrived.

Three told it: the queue by the row, deliveries and providers by the log, staff by the admin's history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ..delivery.connections import alias_of
from ..enums import ANSWER, OPEN
from ..models import Email, Log, Worker
from ..packing import Unreadable
from .display import badge, status_badge, when

TEMPLATE = "admin/post_office/email/timeline.html"
# A newsletter may be opened a thousand times.
MOST_LOGGED = 200

_ANSWERS = {ANSWER.accepted: "good", ANSWER.refused: "bad", ANSWER.deferred: "late"}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened, or is to happen.

    Attributes:
        look: A word of it, coloured.
        facts: Labels and what they name.
    """

    at: datetime
    look: SafeString
    text: str = ""
    who: str = ""
    facts: tuple[tuple[str, object], ...] = ()

    @property
    def time(self) -> str:
        return when(self.at, "H:i:s")


def show(email: Email, *witnesses: Iterable[Moment]) -> SafeString:
    """Return what these witnesses tell, in the order of time, and what the server said of each recipient."""
    moments = sorted((moment for each in witnesses for moment in each), key=lambda moment: moment.at)
    now = timezone.now()
    return render_to_string(
        TEMPLATE,
        {
            "past": [moment for moment in moments if moment.at <= now],
            "future": [moment for moment in moments if moment.at > now],
            "answers": list(_answers(email)),
        },
    )


def of_queue(email: Email) -> Iterator[Moment]:
    """Yield what the row itself tells."""
    backend = (_("Backend"), alias_of(email))
    priority = (_("Priority"), email.get_priority_display() or "-")
    yield Moment(at=email.created, look=badge(_("queued"), "open"), facts=(priority, backend))
    if email.rendered_at is not None:
        text = _("Its texts were made, and are kept as they were sent.")
        yield Moment(at=email.rendered_at, look=badge(_("rendered"), "open"), text=text)
    if email.worker_id is not None and email.claimed_at is not None:
        worker = Worker.objects.filter(pk=email.worker_id).first()
        yield Moment(
            at=email.claimed_at,
            look=badge(_("being delivered"), "open"),
            facts=(
                (_("Delivered by"), worker or email.worker_id),
                (_("Unfinished deliveries"), email.claims),
            ),
        )
    if email.status in OPEN and email.due_at is not None and email.due_at != email.created:
        attempt = (_("Attempt"), (email.number_of_retries or 0) + 1)
        yield Moment(at=email.due_at, look=badge(pgettext("moment", "due"), "late"), facts=(attempt,))
    if email.status in OPEN and email.expires_at is not None:
        yield Moment(at=email.expires_at, look=badge(pgettext("moment", "expires"), "ended"))


def of_end(email: Email) -> Iterator[Moment]:
    """Yield how it ended, where the log does not say so: it has no attempts there, or its level is low."""
    if email.status not in OPEN and email.status is not None:
        yield Moment(at=email.last_updated, look=status_badge(email))


def of_log(email: Email) -> list[Moment]:
    """Return the attempts and what providers reported; and how the mail ended, if that is not among them."""
    rows = list(email.logs.order_by("-pk")[:MOST_LOGGED])
    told = any(row.status == email.status for row in rows)
    return [*map(_logged, rows), *(() if told else of_end(email))]


def of_staff(email: Email) -> Iterator[Moment]:
    """Yield who did what in the admin."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Email), object_id=str(email.pk)
    )
    for entry in entries.select_related("user").order_by("-action_time")[:MOST_LOGGED]:
        yield Moment(
            at=entry.action_time,
            look=badge(_("by hand"), "ended"),
            text=entry.get_change_message(),
            who=entry.user.get_username(),
        )


def _logged(row: Log) -> Moment:
    answer = " ".join(str(part) for part in (row.code, row.answer) if part)
    # A report is about somebody, an attempt has a number.
    facts: list[tuple[str, Any]] = [
        (_("Recipient"), row.recipient),
        (_("Attempt"), row.attempt),
        (_("Backend"), row.backend),
        (_("Server's answer"), answer),
        (_("Exception type"), row.exception_type),
    ]
    return Moment(
        at=row.date,
        look=status_badge(row),
        text=row.message,
        who=row.actor or "",
        facts=tuple((label, value) for label, value in facts if value),
    )


def _answers(email: Email) -> Iterator[tuple[str, SafeString, str]]:
    """Yield of each recipient what the server said, where it did not say the same of all."""
    told: Any = email.answers
    if isinstance(told, Unreadable):
        yield str(told), badge("?", "bad"), ""
        return
    names = {ANSWER.accepted: _("accepted"), ANSWER.refused: _("refused"), ANSWER.deferred: _("deferred")}
    for mailbox, said in (told or {}).items():
        state = said.get("state", "")
        answer = " ".join(str(part) for part in (said.get("code"), said.get("answer")) if part)
        yield mailbox, badge(names.get(state, state), _ANSWERS.get(state, "open")), answer
