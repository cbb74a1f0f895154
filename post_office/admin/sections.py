"""The page of a mail in sections: first what may be edited, then one tab for each way to look at it."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, pgettext_lazy


def _tab(name: str, title: Promise, *fields: Any) -> tuple[Promise, dict[str, Any]]:
    """Return a section that static/post_office/tabs.js makes a tab of; its address is `#tab-NAME`."""
    return (title, {"classes": ["post-office-tab", f"tab-{name}"], "fields": list(fields)})


FORM = [
    ("status_badge", "recipient_delivery_status"),
    "from_email",
    "to",
    ("cc", "bcc"),
    ("render_subject", "template_link"),
    ("priority", "backend_alias"),
    ("scheduled_time", "expires_at"),
]
HTML = _tab("html", pgettext_lazy("section of a mail", "HTML"), "render_html_body")
TEXT = _tab("text", pgettext_lazy("section of a mail", "Text"), "render_plaintext_body")
TIMELINE = _tab("timeline", gettext_lazy("Timeline"), "timeline")
TIMELINE_WITHOUT_LOG = _tab("timeline", gettext_lazy("Timeline"), "timeline_without_log")
ATTACHMENTS = _tab("attachments", gettext_lazy("Attachments"), "attached_files")
HEADERS = _tab("headers", gettext_lazy("Headers"), "header_fields")
SOURCE = _tab("source", gettext_lazy("Source"), "source_frame")
DETAILS = _tab(
    "details",
    gettext_lazy("Details"),
    ("message_id", "provider_id"),
    ("tag_list", "related_link"),
    "stored_metadata",
    ("queued", "due"),
    ("backend", "changed"),
    ("attempts", "retries"),
    ("holder", "held_since", "claims_so_far"),
)
STORED = _tab("stored", gettext_lazy("As stored"), "stored_row")
TABS = [HTML, TEXT, TIMELINE, ATTACHMENTS, HEADERS, SOURCE, DETAILS, STORED]
FIELDSETS: Any = [(None, {"fields": FORM}), *TABS]

EDITABLE = {"from_email", "to", "cc", "bcc", "priority", "backend_alias", "scheduled_time", "expires_at"}


def _names(fields: Any) -> list[str]:
    return [name for field in fields for name in ([field] if isinstance(field, str) else field)]


READ_ONLY = [
    *(name for _title, options in FIELDSETS for name in _names(options["fields"]) if name not in EDITABLE),
    "timeline_without_log",
]


def visible(fieldsets: Any, *, may_see_log: bool, may_see_files: bool) -> Any:
    """Return the sections for somebody who may not see everything that belongs to a mail."""
    shown = [TIMELINE_WITHOUT_LOG if each is TIMELINE and not may_see_log else each for each in fieldsets]
    return [each for each in shown if may_see_files or each is not ATTACHMENTS]
