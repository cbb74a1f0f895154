"""The pages of one mail beside its form: the preview, its images, and those that ask before a verb.

Every address is behind the admin's login and asks for the permission it needs. What changes
something does so by POST only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, re_path, reverse
from django.utils.translation import gettext as _

from ..models import Email
from . import preview
from .confirm import confirmation, is_outdated
from .verbs import CANCEL, REQUEUE, RESEND, VERBS, Verb

if TYPE_CHECKING:
    EmailModelAdmin = admin.ModelAdmin[Email]
else:
    EmailModelAdmin = admin.ModelAdmin


class EmailPages(EmailModelAdmin):
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
            path("<int:pk>/resend/", wrap(self.resend_view), name=RESEND.url_name),
            path("<int:pk>/requeue/", wrap(self.requeue_view), name=REQUEUE.url_name),
            path("<int:pk>/cancel/", wrap(self.cancel_view), name=CANCEL.url_name),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The mail as its reader sees it, as a document of its own."""
        return preview.document(self._get(request, pk, self.has_view_permission))

    def image_view(self, request: HttpRequest, pk: int, image: str) -> HttpResponse:
        """An inline image of the mail, by its Content-ID."""
        found = preview.find_image(self._get(request, pk, self.has_view_permission), image)
        if found is None:
            raise Http404
        return preview.image_response(found)

    # Where requests are transactions, this one is none: nothing waits while a server is talked to,
    # and what became of the mail is on record at once.
    @transaction.non_atomic_requests
    def resend_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks, and on POST delivers the mail in this process."""
        return self._ask_and_do(request, pk, RESEND)

    def requeue_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks, and on POST puts the mail into the queue again."""
        return self._ask_and_do(request, pk, REQUEUE)

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks, and on POST takes the mail out of the queue."""
        return self._ask_and_do(request, pk, CANCEL)

    def verbs_for(self, request: HttpRequest, email: Email) -> list[tuple[str, Verb]]:
        """Return what this user may do with this mail as it is, each with its address."""
        if not self.has_change_permission(request, email):
            return []
        address = partial(reverse, args=[email.pk], current_app=self.admin_site.name)
        return [(address(f"admin:{verb.url_name}"), verb) for verb in VERBS if verb.fits(email)]

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
        email = self._get(request, pk, self.has_change_permission)
        if not verb.fits(email) or is_outdated(request, email):
            text = _("This email has changed meanwhile, or is being delivered; nothing was done.")
            self.message_user(request, text, messages.WARNING)
        elif request.method == "POST":
            said = verb.carry_out(email, request.user.get_username())
            self.message_user(request, said.text, said.level)
            if said.acted:
                self.log_change(request, email, said.text)
        else:
            return confirmation(
                self, request, title=verb.title, question=verb.question(email), button=verb.label, email=email
            )
        back = reverse(
            "admin:post_office_email_change", args=[quote(email.pk)], current_app=self.admin_site.name
        )
        return HttpResponseRedirect(back)
