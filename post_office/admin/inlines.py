"""What stands below a mail on its page: its attachments and its log. To be read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Attachment, Email, Log
from .display import status_badge, when

if TYPE_CHECKING:
    LogTabularInline = admin.TabularInline[Log, Email]
    LinkTabularInline = admin.TabularInline[models.Model, Email]
else:
    LogTabularInline = LinkTabularInline = admin.TabularInline


class ReadOnlyInline:
    """Nobody adds, changes or deletes; who may see the rows is left to their own permission."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttachmentInline(ReadOnlyInline, LinkTabularInline):
    """The files that go out with a mail, inline images among them."""

    model = Attachment.emails.through
    classes = ["post-office-rows"]
    verbose_name = gettext_lazy("Attachment")
    verbose_name_plural = gettext_lazy("Attachments")
    fields = readonly_fields = ("name", "mimetype", "use")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("attachment").order_by("pk")

    @admin.display(description=gettext_lazy("Name"))
    def name(self, link: Any) -> str:
        try:
            url = reverse(
                "admin:post_office_attachment_change",
                args=[link.attachment_id],
                current_app=self.admin_site.name,
            )
        except NoReverseMatch:  # a site of the project's own may leave attachments out
            return str(link.attachment.name)
        return format_html('<a href="{}">{}</a>', url, link.attachment.name)

    @admin.display(description=gettext_lazy("Media type"))
    def mimetype(self, link: Any) -> str:
        return str(link.attachment.mimetype)

    @admin.display(description=gettext_lazy("Use"))
    def use(self, link: Any) -> str:
        headers = {name.lower(): str(value) for name, value in dict(link.attachment.headers or {}).items()}
        inline = headers.get("content-disposition", "").lower().startswith("inline")
        return _("Inline image") if inline else _("Attachment")


class LogInline(ReadOnlyInline, LogTabularInline):
    """What became of each attempt, and what the provider reported later."""

    model = Log
    classes = ["post-office-rows"]
    ordering = ("pk",)
    fields = readonly_fields = (
        "logged_at",
        "outcome",
        "recipient",
        "attempt",
        "backend",
        "code",
        "message",
        "answer",
        "exception_type",
        "actor",
    )

    @admin.display(description=gettext_lazy("Time"))
    def logged_at(self, log: Log) -> str:
        return when(log.date, "H:i:s")

    @admin.display(description=gettext_lazy("Status"))
    def outcome(self, log: Log) -> str:
        return status_badge(log)
