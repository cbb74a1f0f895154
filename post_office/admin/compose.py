"""The page on which staff write a mail: seen as its readers will see it, then queued by `mail.send`."""

from __future__ import annotations

import secrets
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from .. import compat, mail
from ..compose import Draft
from ..enums import PRIORITY
from ..exact import exact_key
from ..models import Email
from ..rendering.templates import Rendered
from . import preview, sandbox
from .permissions import EmailPermissions
from .preview import Unrenderable
from .sandbox import Image
from .sending import Said, said_of
from .writing import FIELDSETS, WritingForm, initial

TEMPLATE = "admin/post_office/email/compose.html"
FRAME = "compose-preview"
PREVIEW = "post_office_email_compose_preview"


class EmailCompose(EmailPermissions):
    """Writing a mail stands in the place of adding a row, under its address and with its permission."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compose_preview_view)
        return [path("add/preview/", view, name=PREVIEW), *super().get_urls()]

    # Where requests are transactions, this one is none, as mail with priority "now" is delivered in it.
    @method_decorator(transaction.non_atomic_requests)
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the form; on POST, queue the mail."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            form = WritingForm(request.POST, request.FILES)
            if form.is_valid() and (response := self._send(request, form)) is not None:
                return response
        else:
            given = {name: value for name, value in request.GET.items() if name in WritingForm.base_fields}
            form = WritingForm(initial={**initial(secrets.token_hex(16)), **given})
        return self._page(request, form, extra_context or {})

    def compose_preview_view(self, request: HttpRequest) -> HttpResponse:
        """The mail as it would be, as a document for the frame of the page; `?part=text` for its text."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = WritingForm(request.POST, request.FILES)
        if not form.is_valid() or form.made is None:
            return sandbox.notice(_("This email cannot be shown"), _errors(form))
        if request.GET.get("part") == "text":
            return sandbox.notice(form.made.email.subject, _as_text(form.made))
        email = form.made.email
        rendered = Rendered(subject=email.subject, message=email.message, html_message=email.html_message)
        return preview.document_of(request, rendered, _images(form.made))

    def _page(self, request: HttpRequest, form: WritingForm, extra: dict[str, Any]) -> HttpResponse:
        back = reverse("admin:post_office_email_changelist", current_app=self.admin_site.name)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Write an email"),
            "subtitle": None,
            "opts": self.opts,
            "adminform": helpers.AdminForm(cast(Any, form), FIELDSETS, {}, model_admin=self),
            "errors": bool(form.errors),
            "form": form,
            "media": self.media + form.media,
            "preview_url": reverse(f"admin:{PREVIEW}", current_app=self.admin_site.name),
            "frame": sandbox.frame("", frame_id=FRAME, title=_("Preview of this email")),
            "frame_name": FRAME,
            "back": back,
            "steps": [(back, capfirst(self.opts.verbose_name_plural))],
            "breadcrumbs_are_a_list": compat.ADMIN_BREADCRUMBS_ARE_A_LIST,
            **extra,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, TEMPLATE, context)

    def _send(self, request: HttpRequest, form: WritingForm) -> HttpResponse | None:
        """Queue the mail, or return None where it is refused after all."""
        arguments = form.arguments()
        key = arguments.get("idempotency_key")
        known = key and Email.objects.primary().filter(idempotency_key=exact_key(key)).exists()
        email = preview.attempt(lambda: mail.send(**arguments))
        if isinstance(email, Unrenderable):
            form.add_error(None, email.reason)
            return None
        said = _said(email)
        self.message_user(request, said.text, said.level)
        if not known:
            self.log_addition(request, email, _("Written in the admin. %(said)s") % {"said": said.text})
        if not self.has_view_permission(request, email):
            return HttpResponseRedirect(reverse("admin:index", current_app=self.admin_site.name))
        address = reverse("admin:post_office_email_change", args=[email.pk], current_app=self.admin_site.name)
        return HttpResponseRedirect(address)


def _said(email: Email) -> Said:
    if email.priority != PRIORITY.now:
        return Said(level=messages.SUCCESS, text=_("The email is in the queue."))
    row = Email.objects.primary().get(pk=email.pk)
    log = row.logs.order_by("-pk").first()
    return said_of(row, log.message if log else "", tried=bool(row.number_of_retries))


def _errors(form: WritingForm) -> str:
    lines = [
        f"{form.fields[name].label}: {error}" if name in form.fields else str(error)
        for name, errors in form.errors.items()
        for error in errors
    ]
    return "\n".join(lines)


def _as_text(made: Draft) -> str:
    email = made.email
    heads = [
        (pgettext("header of a mail", "From"), email.from_email),
        (pgettext("header of a mail", "To"), ", ".join(email.to)),
        (_("Cc"), ", ".join(email.cc)),
        (_("Bcc"), ", ".join(email.bcc)),
        (_("Subject"), email.subject),
        (_("Attachments"), ", ".join(str(upload.name) for upload in made.uploads)),
    ]
    shown = "\n".join(f"{name}: {value}" for name, value in heads if value)
    return f"{shown}\n\n{email.message or _('This email has no plain text.')}"


def _images(made: Draft) -> dict[str, Image]:
    """Return the images that a template shows inside the HTML, by their Content-ID."""
    found = {}
    for upload in made.uploads:
        cid = dict(upload.headers or {}).get("Content-ID", "").strip("<>")
        if cid:
            found[cid] = Image(mimetype=upload.mimetype, content=upload.content)
    return found
