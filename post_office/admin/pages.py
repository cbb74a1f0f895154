"""The pages of one mail beside its form: the preview, its images, and those that ask before a verb.

Every address is behind the admin's login and asks for the permission it needs. What changes
something does so by POST only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, re_path, reverse
from django.utils.translation import gettext as _

from ..models import Email
from . import preview, sandbox, source
from .actions import SEND, deliver_chosen
from .confirm import confirmation, is_outdated, mark_of
from .permissions import EmailPermissions
from .verbs import VERBS, Order, Verb


class EmailPages(EmailPermissions):
    """Adds the pages and their addresses."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/preview/", wrap(self.preview_view), name="post_office_email_preview"),
            re_path(
                r"^(?P<pk>\d+)/image/(?P<image>[0-9a-f]{32})$",
                wrap(self.image_view),
                name="post_office_email_image",
            ),
            path("<int:pk>/source/", wrap(self.source_view), name="post_office_email_source"),
            path("<int:pk>/download/", wrap(self.download_view), name="post_office_email_eml"),
            path(
                "<int:pk>/attachment/<int:attachment>/",
                wrap(self.attachment_view),
                name="post_office_email_attachment",
            ),
            *(
                path(f"<int:pk>/{verb.path}/", wrap(self._view_of(verb)), name=verb.url_name)
                for verb in VERBS
            ),
            path("send/", wrap(self.send_view), name=SEND),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The mail as its reader sees it, as a document of its own."""
        return preview.document(request, self._get(request, pk, self.has_view_permission))

    def image_view(self, request: HttpRequest, pk: int, image: str) -> HttpResponse:
        """An inline image of the mail, by its Content-ID."""
        found = preview.find_image(self._get(request, pk, self.has_view_permission), image)
        if found is None:
            raise Http404
        return sandbox.image_response(found)

    def source_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The message as bytes, shown as text."""
        return source.document(self._get(request, pk, self.has_view_permission))

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The same as a file."""
        email = self._get(request, pk, self.has_view_permission)
        return self._file(request, email, source.download(email))

    def attachment_view(self, request: HttpRequest, pk: int, attachment: int) -> HttpResponse:
        """A file that goes out with the mail."""
        email = self._get(request, pk, self.may_see_files)
        return self._file(request, email, source.attachment(email, attachment))

    def _file(
        self, request: HttpRequest, email: Email, found: HttpResponse | preview.Unrenderable | None
    ) -> HttpResponse:
        if found is None:
            raise Http404
        if isinstance(found, preview.Unrenderable):
            self.message_user(request, found.reason, messages.ERROR)
            return self._to(email)
        return found

    def _view_of(self, verb: Verb) -> Callable[..., HttpResponse]:
        """Return a view that asks, and on POST does it."""

        # Where requests are transactions, this one is none: nothing waits while a server is talked to,
        # and what became of the mail is on record at once.
        @transaction.non_atomic_requests
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            return self._ask_and_do(request, pk, verb)

        return view

    @transaction.non_atomic_requests
    def send_view(self, request: HttpRequest) -> HttpResponse:
        """Deliver mails that were chosen in the list, on POST of the page that asked."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_send_permission(request):
            raise PermissionDenied
        deliver_chosen(self, request)
        return HttpResponseRedirect(
            reverse("admin:post_office_email_changelist", current_app=self.admin_site.name)
        )

    def verbs_for(self, request: HttpRequest, email: Email) -> list[tuple[str, Verb]]:
        """Return what this user may do with this mail as it is, each with its address."""
        address = partial(reverse, args=[email.pk], current_app=self.admin_site.name)
        return [
            (address(f"admin:{verb.url_name}"), verb)
            for verb in VERBS
            if self.may(request, verb.permission, email) and verb.fits(email)
        ]

    def _get(self, request: HttpRequest, pk: Any, may: Callable[..., bool]) -> Email:
        """Return the mail. Refuses before it tells whether there is one."""
        email = self.get_object(request, str(pk))
        if not may(request, email):
            raise PermissionDenied
        if email is None:
            raise Http404
        return email

    def _ask_and_do(self, request: HttpRequest, pk: int, verb: Verb) -> HttpResponse:
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        email = self._get(request, pk, partial(self._may, verb))
        if not verb.fits(email) or is_outdated(request, email):
            text = _("This email has changed meanwhile, or is being delivered; nothing was done.")
            self.message_user(request, text, messages.WARNING)
            return self._to(email)
        form = self._form_of(verb, request, email)
        if request.method != "POST" or (form is not None and not form.is_valid()):
            return confirmation(
                self,
                request,
                title=verb.title,
                question=verb.question(email),
                button=verb.label,
                email=email,
                form=form,
            )
        order = Order(
            actor=request.user.get_username(),
            chosen=form.cleaned_data if form is not None else {},
            mark=mark_of(request),
        )
        said = verb.carry_out(email, order)
        self.message_user(request, said.text, said.level)
        if said.acted:
            self.log_change(request, email, said.text)
        if said.about is not None:
            text = _("Copy of email number %(number)d.") % {"number": email.pk}
            self.log_addition(request, said.about, text)
        return self._to(said.about or email)

    def _may(self, verb: Verb, request: HttpRequest, email: Email | None) -> bool:
        return self.may(request, verb.permission, email)

    def _form_of(self, verb: Verb, request: HttpRequest, email: Email) -> forms.Form | None:
        if verb.form is None:
            return None
        initial = {name: getattr(email, name) for name in verb.form.base_fields}
        return verb.form(request.POST if request.method == "POST" else None, initial=initial)

    def _to(self, email: Email) -> HttpResponseRedirect:
        return HttpResponseRedirect(
            reverse(
                "admin:post_office_email_change", args=[quote(email.pk)], current_app=self.admin_site.name
            )
        )
