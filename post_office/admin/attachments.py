"""Attachments: stored files, and the mails they go out with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy, ngettext

from ..models import Attachment

if TYPE_CHECKING:
    AttachmentModelAdmin = admin.ModelAdmin[Attachment]
else:
    AttachmentModelAdmin = admin.ModelAdmin

# One file may go out with a whole newsletter; more mails than this are no longer a field of a form.
MAILS_IN_FORM = 50


@admin.register(Attachment)
class AttachmentAdmin(AttachmentModelAdmin):
    list_display = ("name", "file")
    search_fields = ("name",)
    autocomplete_fields = ("emails",)
    readonly_fields = ("emails_link",)
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Attachment | None = None) -> Any:
        fields = ["file", "name", "mimetype", "headers"]
        if obj is None:
            return [*fields, "emails"]
        if obj.emails.all()[: MAILS_IN_FORM + 1].count() > MAILS_IN_FORM:
            return [*fields, "emails_link"]
        return [*fields, "emails", "emails_link"]

    @admin.display(description=gettext_lazy("Goes out with"))
    def emails_link(self, attachment: Attachment) -> str:
        number = attachment.emails.count()
        url = reverse("admin:post_office_email_changelist", current_app=self.admin_site.name)
        text = ngettext("%(count)d email", "%(count)d emails", number) % {"count": number}
        return format_html('<a href="{}?attachments={}">{}</a>', url, attachment.pk, text)
