"""The log of all attempts, and of what providers reported later. Nobody writes it here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy, pgettext_lazy

from ..models import Log
from .display import source, status_badge, when

if TYPE_CHECKING:
    LogModelAdmin = admin.ModelAdmin[Log]
else:
    LogModelAdmin = admin.ModelAdmin


@admin.display(description=gettext_lazy("Message"))
def get_message_preview(log: Log) -> str:
    return Truncator(log.message).chars(25)


@admin.register(Log)
class LogAdmin(LogModelAdmin):
    list_display = (
        "logged_at",
        "email_link",
        "status_badge",
        "recipient",
        "attempt",
        get_message_preview,
        "code",
        "backend",
    )
    list_filter = ("status", "date")
    search_fields = ("recipient", "message", "answer", "exception_type")
    ordering = ("-id",)
    show_full_result_count = False
    fields = readonly_fields = (
        "logged_at",
        "email_link",
        "status_badge",
        "recipient",
        "attempt",
        "backend",
        "code",
        "full_message",
        "full_answer",
        "exception_type",
        "actor",
    )

    class Media:
        css = {"all": ["post_office/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Log | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Log]:
        own = [field.name for field in self.opts.concrete_fields]
        return super().get_queryset(request).select_related("email").only(*own, "email__to")

    @admin.display(description=gettext_lazy("Time"), ordering="date")
    def logged_at(self, log: Log) -> str:
        return when(log.date, "H:i:s")

    @admin.display(description=pgettext_lazy("Email address", "Email"), ordering="email")
    def email_link(self, log: Log) -> str:
        text = str(log.email) or f"#{log.email_id}"
        try:
            url = reverse(
                "admin:post_office_email_change", args=[log.email_id], current_app=self.admin_site.name
            )
        except NoReverseMatch:  # a site of the project's own may leave emails out
            return text
        return format_html('<a href="{}">{}</a>', url, text)

    @admin.display(description=gettext_lazy("Status"), ordering="status")
    def status_badge(self, log: Log) -> str:
        return status_badge(log)

    @admin.display(description=gettext_lazy("Message"))
    def full_message(self, log: Log) -> str:
        return source(log.message)

    @admin.display(description=gettext_lazy("Server's answer"))
    def full_answer(self, log: Log) -> str:
        return source(log.answer or "")
