"""How a status, a structure and a source text look, wherever the admin shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..enums import STATUS
from ..enums import RecipientDeliveryStatus as Reported
from ..headers import storable
from ..models import Email, Log

_LOOKS = {
    STATUS.sent: "good",
    STATUS.failed: "bad",
    STATUS.queued: "open",
    STATUS.requeued: "late",
    STATUS.expired: "ended",
    STATUS.canceled: "ended",
    # What providers report; the log has both kinds in one column.
    Reported.ACCEPTED: "open",
    Reported.DEFERRED: "late",
    Reported.DELIVERED: "good",
    Reported.OPENED: "good",
    Reported.CLICKED: "good",
    Reported.SOFT_BOUNCED: "late",
    Reported.UNDETERMINED_BOUNCED: "bad",
    Reported.HARD_BOUNCED: "bad",
    Reported.UNSUBSCRIBED: "ended",
    Reported.SPAM_COMPLAINT: "bad",
}


def badge(text: object, look: str) -> SafeString:
    """Return a coloured word. The text says all; the colour only helps to find it."""
    return format_html('<span class="post-office-badge post-office-{}">{}</span>', look, text)


def status_badge(row: Email | Log) -> SafeString:
    """Return the status of a row of the queue or of the log."""
    text = row.get_status_display() or _("none")
    look = "ended" if row.status is None else _LOOKS.get(row.status, "open")
    shown = badge(text, look)
    if isinstance(row, Email) and row.worker_id is not None:
        return format_html("{} {}", shown, badge(_("being delivered"), "open"))
    return shown


def when(moment: datetime, clock: str = "TIME_FORMAT") -> str:
    """Return a moment in the reader's time zone and language."""
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return f"{date_format(local, 'SHORT_DATE_FORMAT')} {date_format(local, clock)}"


def sentence(text: str) -> str:
    """Return text with one full stop at its end, also where a time in it ends with one: "7:30 p.m."."""
    return f"{text[:-2]}." if text.endswith("..") else text


def source(text: str) -> SafeString | str:
    """Return text as it is, with its lines and blanks."""
    return format_html('<pre class="post-office-text">{}</pre>', text) if text else "-"


def structure(value: Any) -> SafeString | str:
    """Return what was stored as JSON or as pickle, for reading."""
    if value in (None, {}, ""):
        return "-"
    # A pickle or a message may hold keys and characters that neither JSON nor a page can.
    return source(storable(json.dumps(value, indent=2, ensure_ascii=False, default=str, skipkeys=True)))


def header_table(rows: Iterable[tuple[str, object]]) -> SafeString | str:
    """Return names and what they name as a table."""
    cells = format_html_join("", '<tr><th scope="row">{}</th><td>{}</td></tr>', rows)
    return format_html('<table class="post-office-headers">{}</table>', cells) if cells else "-"


def stored(value: Any) -> object:
    """Return what a column holds, for reading."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return when(value, "H:i:s")
    if isinstance(value, str):
        return source(value) if "\n" in value or len(value) > 100 else value or "-"
    return structure(value) if isinstance(value, (dict, list)) else str(value)
