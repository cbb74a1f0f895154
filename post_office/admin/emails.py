"""The queue as staff see it: the list of mails, and the page of one.

A mail may be edited as long as nobody delivers it and it was not sent. An edit writes only the
fields that were edited, and only if the queue has not touched the mail since it was loaded; the
columns of the queue's protocol are never written from here.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import addressees
from ..enums import STATUS
from ..fields import CommaSeparatedEmailField
from ..models import Email
from .actions import cancel, change_priority, requeue, reschedule, send_copies, send_now
from .columns import EmailColumns
from .compose import EmailCompose
from .details import EmailDetails
from .forms import EmailAdminForm, MailboxesField
from .listing import EmailList
from .overview import OverviewPage
from .pages import EmailPages
from .sections import FIELDSETS, READ_ONLY, visible
from .widgets import CommaSeparatedEmailWidget

EDITABLE = tuple(EmailAdminForm.Meta.fields)


class TakenMeanwhile(Exception):
    """The queue has touched the mail between its loading and its saving."""


@admin.register(Email)
class EmailAdmin(EmailColumns, EmailDetails, EmailList, OverviewPage, EmailCompose, EmailPages):
    form = EmailAdminForm
    formfield_overrides = {
        CommaSeparatedEmailField: {"widget": CommaSeparatedEmailWidget, "form_class": MailboxesField},
    }
    actions = [send_now, requeue, send_copies, cancel, change_priority, reschedule]

    fieldsets = FIELDSETS
    readonly_fields = READ_ONLY

    class Media:
        css = {"all": ["post_office/admin.css"]}
        js = ["post_office/tabs.js"]

    # --- who may do what ----------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Email | None = None) -> Any:
        return visible(
            super().get_fieldsets(request, obj),
            may_see_log=self.may(request, "view_log", obj),
            may_see_files=self.may_see_files(request, obj),
        )

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
        addressees.renew(obj)

    # --- the page of one mail -----------------------------------------------------------------

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        email = context.get("original")
        if email is not None:
            context.update(verbs=self.verbs_for(request, email), show_save_and_add_another=False)
            if not is_editable(email):
                context.update(show_save=False, show_save_and_continue=False)
        return super().render_change_form(request, context, *args, **kwargs)


def is_editable(email: Email) -> bool:
    """Return whether a hand may change this mail: nobody delivers it, and it is no history yet."""
    return email.worker_id is None and email.status != STATUS.sent
