"""A mail to oneself, of a template as it stands in the form: "Send me a test"."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _

from .. import mail
from ..models import Email
from ..rendering import drafts
from . import preview, sandbox
from .editor import TemplateEditor, address_of, look
from .faults import sentence
from .preview import Unrenderable
from .sending import Said, said_of

TRIAL = "post_office_emailtemplate_trial"
TAG = "template-test"


class TemplateTrial(TemplateEditor):
    """Adds the address that sends it, for those who may write templates and add mail."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.trial_view)
        return [path("unsaved/trial/", view, name=TRIAL), *super().get_urls()]

    def may_try(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return self.may_write(request) and user.has_perm(f"{self.opts.app_label}.add_email")

    # Where requests are transactions, this one is none, as the mail is delivered in it.
    @method_decorator(transaction.non_atomic_requests)
    def trial_view(self, request: HttpRequest) -> HttpResponse:
        """Send the text to whoever asks; says what came of it, as JSON or for the frame."""
        if not self.may_try(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        said = self._send(request)
        if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
            return JsonResponse({"said": said.text, "sent": said.level == messages.SUCCESS})
        return sandbox.notice(_("Send me a test"), said.text)

    def _send(self, request: HttpRequest) -> Said:
        address = address_of(request.user)
        if not address:
            text = _("There is no email address in your account to which a test could be sent.")
            return Said(level=messages.ERROR, text=text, acted=False)
        template = self._posted(request).template
        if problems := look(template).problems:
            return Said(level=messages.ERROR, text=sentence(problems[0]), acted=False)
        context = drafts.sample_context(template)
        email = preview.attempt(
            lambda: mail.send(address, template=template, context=context, priority="now", tags=[TAG])
        )
        if isinstance(email, Unrenderable):
            return Said(level=messages.ERROR, text=email.reason, acted=False)
        said = _said(email)
        text = _("Test of the template %(name)s. %(said)s") % {
            "name": str(template).strip(),
            "said": said.text,
        }
        self.log_addition(request, cast(Any, email), text)
        return said

    def _addresses(self, request: HttpRequest) -> dict[str, str]:
        more = {}
        if self.may_try(request):
            more["trial"] = reverse(f"admin:{TRIAL}", current_app=self.admin_site.name)
        return {**super()._addresses(request), **more}


def _said(email: Email) -> Said:
    row = Email.objects.primary().get(pk=email.pk)
    log = row.logs.order_by("-pk").first()
    return said_of(row, log.message if log else "", tried=bool(row.number_of_retries))
