"""Who may do what with mail: each verb has a permission of its own, beside that of seeing the mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from ..models import Email

if TYPE_CHECKING:
    EmailModelAdmin = admin.ModelAdmin[Email]
else:
    EmailModelAdmin = admin.ModelAdmin


class EmailPermissions(EmailModelAdmin):
    """For the actions, the methods are named as Django looks for them."""

    def may(self, request: HttpRequest, codename: str, email: Email | None = None) -> bool:
        """Return whether this user sees mail and has this permission."""
        name = f"{self.opts.app_label}.{codename}"
        user: Any = request.user
        return self.has_view_permission(request, email) and user.has_perm(name)

    def may_see_files(self, request: HttpRequest, email: Email | None = None) -> bool:
        return self.may(request, "view_attachment", email) or self.may(request, "change_attachment", email)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "send_email")

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "requeue_email")

    def has_copy_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "copy_email")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "cancel_email")

    def has_prioritize_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "prioritize_email")

    def has_reschedule_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "reschedule_email")
