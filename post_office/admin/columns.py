"""What the list and the page of a mail say about it. No column asks the database per row."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..aliases import aliases
from ..delivery.connections import alias_of
from ..enums import STATUS
from ..models import Email
from . import preview
from .display import badge, status_badge, when
from .preview import Unrenderable

SHOWN_RECIPIENTS = 2


class EmailColumns:
    """Columns computed from the row alone."""

    @admin.display(description=gettext_lazy("Status"))
    def status_badge(self, email: Email) -> str:
        return status_badge(email)

    @admin.display(description=gettext_lazy("Message-ID"))
    def truncated_message_id(self, email: Email) -> str:
        return (email.message_id or "")[:10] or str(email.pk)

    @admin.display(description=gettext_lazy("Recipients"))
    def to_display(self, email: Email) -> str:
        everyone = [*email.to, *email.cc, *email.bcc]
        shown = ", ".join(everyone[:SHOWN_RECIPIENTS]) or _("nobody")
        more = len(everyone) - SHOWN_RECIPIENTS
        return (
            _("%(recipients)s and %(number)d more") % {"recipients": shown, "number": more}
            if more > 0
            else shown
        )

    @admin.display(description=gettext_lazy("Subject"))
    def shortened_subject(self, email: Email) -> str:
        subject = preview.subject(email)
        if isinstance(subject, Unrenderable):
            return format_html("{} {}", self.use_template(email), badge(_("does not render"), "bad"))
        return Truncator(subject).chars(100)

    @admin.display(description=gettext_lazy("Template"))
    def use_template(self, email: Email) -> str:
        return (email.template.name if email.template else email.template_name) or "-"

    @admin.display(description=gettext_lazy("Template"))
    def template_and_language(self, email: Email) -> str:
        name, language = self.use_template(email), self.language(email)
        return name if language == "-" else f"{name} ({language})"

    @admin.display(description=gettext_lazy("Language"))
    def language(self, email: Email) -> str:
        return email.language or (email.template.language if email.template else "") or "-"

    @admin.display(description=gettext_lazy("Backend"))
    def backend(self, email: Email) -> str:
        alias = alias_of(email)
        if alias in aliases():
            return alias
        # No worker will ever look at it, so somebody must.
        return format_html("{} {}", alias, badge(_("not configured"), "bad"))

    @admin.display(description=gettext_lazy("Due"))
    def due(self, email: Email) -> str:
        return when(email.due_at) if email.due_at else "-"

    @admin.display(description=gettext_lazy("Attempts"))
    def attempts(self, email: Email) -> int:
        # The last attempt of a mail is not counted as a retry.
        return (email.number_of_retries or 0) + (email.status in (STATUS.sent, STATUS.failed))

    @admin.display(description=gettext_lazy("Queued"), ordering="created")
    def queued(self, email: Email) -> str:
        return when(email.created)

    @admin.display(description=gettext_lazy("Sent"))
    def sent(self, email: Email) -> str:
        # What is sent is not changed any more.
        return when(email.last_updated) if email.status == STATUS.sent else "-"

    @admin.display(description=gettext_lazy("Last change"))
    def changed(self, email: Email) -> str:
        return when(email.last_updated)
