"""The queue as staff see it: the list of mails, and the page of one.

A mail may be edited as long as nobody delivers it and it was not sent. An edit writes only the
fields that were edited, and only if the queue has not touched the mail since it was loaded; the
columns of the queue's protocol are never written from here.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..enums import STATUS
from ..fields import CommaSeparatedEmailField
from ..models import Email
from .actions import cancel, requeue
from .columns import EmailColumns
from .details import EmailDetails
from .filters import BackendFilter, LanguageFilter, QueuedFilter, TemplateFilter
from .forms import EmailAdminForm, MailboxesField
from .inlines import AttachmentInline, LogInline
from .pages import EmailPages
from .widgets import CommaSeparatedEmailWidget

EDITABLE = tuple(EmailAdminForm.Meta.fields)
# Large, and in no column.
NOT_LISTED = (
    "message",
    "html_message",
    "headers",
    "as_given",
    "metadata",
    "template__description",
    "template__content",
    "template__html_content",
)


class EmailChangeList(ChangeList):
    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(*args, **kwargs).defer(*NOT_LISTED)


class TakenMeanwhile(Exception):
    """The queue has touched the mail between its loading and its saving."""


@admin.register(Email)
class EmailAdmin(EmailColumns, EmailDetails, EmailPages):
    form = EmailAdminForm
    formfield_overrides = {
        CommaSeparatedEmailField: {"widget": CommaSeparatedEmailWidget, "form_class": MailboxesField},
    }
    inlines = [AttachmentInline, LogInline]
    actions = [requeue, cancel]

    list_display = [
        "id",
        "status_badge",
        "to_display",
        "shortened_subject",
        "due",
        "attempts",
        "priority",
        "backend",
        "use_template",
        "language",
    ]
    list_display_links = ["id", "to_display"]
    list_filter = [
        "status",
        "recipient_delivery_status",
        "priority",
        BackendFilter,
        TemplateFilter,
        LanguageFilter,
        ("created", QueuedFilter),
    ]
    list_select_related = ["template"]
    search_fields = [
        *("to", "cc", "bcc", "subject"),
        *("message_id", "provider_id", "=related_id"),
        *("tags", "metadata"),
    ]
    search_help_text = gettext_lazy("Search in recipients, subject, Message-ID, tags and metadata")
    ordering = ["-id"]
    show_full_result_count = False

    fieldsets = [
        (
            None,
            {
                "fields": [
                    "status_badge",
                    "from_email",
                    "to",
                    "cc",
                    "bcc",
                    "render_subject",
                    ("priority", "backend_alias"),
                    ("scheduled_time", "expires_at"),
                ]
            },
        ),
        (gettext_lazy("HTML Email"), {"fields": ["render_html_body"]}),
        (gettext_lazy("Text Email"), {"fields": ["render_plaintext_body"]}),
        (gettext_lazy("Headers"), {"fields": ["message_id", "provider_id", "header_fields"]}),
        (gettext_lazy("Labels"), {"fields": ["tag_list", "stored_metadata", "related_link"]}),
        (
            gettext_lazy("Delivery"),
            {
                "fields": [
                    ("queued", "due"),
                    ("backend", "recipient_delivery_status"),
                    ("attempts", "retries"),
                    ("holder", "held_since"),
                    ("claims_so_far", "changed"),
                ]
            },
        ),
        (
            gettext_lazy("As stored"),
            {
                "classes": ["collapse"],
                "fields": [
                    "id",
                    "template_link",
                    "stored_context",
                    "stored_subject",
                    "stored_message",
                    "stored_html",
                    "beyond_columns",
                ],
            },
        ),
    ]
    readonly_fields = [
        "status_badge",
        "render_subject",
        "render_html_body",
        "render_plaintext_body",
        "message_id",
        "provider_id",
        "header_fields",
        "tag_list",
        "stored_metadata",
        "related_link",
        "queued",
        "changed",
        "due",
        "backend",
        "attempts",
        "retries",
        "recipient_delivery_status",
        "holder",
        "held_since",
        "claims_so_far",
        "id",
        "template_link",
        "stored_context",
        "stored_subject",
        "stored_message",
        "stored_html",
        "beyond_columns",
    ]

    class Media:
        css = {"all": ["post_office/admin.css"]}

    # --- who may do what ----------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Email | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None or is_editable(obj) else [*fields, *EDITABLE]

    # --- saving beside a running queue --------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except TakenMeanwhile:
            text = _("This email has changed meanwhile, or is being delivered; nothing was done.")
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if not is_editable(form.instance):
            raise TakenMeanwhile
        return super().save_form(request, form, change)

    def save_model(self, request: HttpRequest, obj: Email, form: Any, change: bool) -> None:
        edited = {name: getattr(obj, name) for name in form.changed_data}
        if not edited:
            return
        as_loaded = Email.objects.primary().unheld().filter(pk=obj.pk, status=obj.status)
        if not as_loaded.update(**edited, last_updated=timezone.now()):
            raise TakenMeanwhile

    # --- the list -----------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EmailChangeList

    # --- the page of one mail -----------------------------------------------------------------

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        email = context.get("original")
        if email is not None:
            context["verbs"] = self.verbs_for(request, email)
            if not is_editable(email):
                context.update(show_save=False, show_save_and_continue=False)
        return super().render_change_form(request, context, *args, **kwargs)


def is_editable(email: Email) -> bool:
    """Return whether a hand may change this mail: nobody delivers it, and it is no history yet."""
    return email.worker_id is None and email.status != STATUS.sent
