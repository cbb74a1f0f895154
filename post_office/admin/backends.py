"""The brakes as staff see and pull them: one line for all mail and for each backend, with a button.

There is nothing to edit: what changes a state is `queue.brakes` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import compat
from ..delivery.connections import aliases, delivering_alias
from ..models import BackendState
from ..queue import brakes
from ..queue.brakes import EVERYTHING
from .display import badge, when

if TYPE_CHECKING:
    BackendModelAdmin = admin.ModelAdmin[BackendState]
else:
    BackendModelAdmin = admin.ModelAdmin

TEMPLATE = "admin/post_office/backendstate/change_list.html"
VERBS = {"pause": brakes.pause, "resume": brakes.resume}


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the page says of a backend, or of all mail."""

    alias: str
    name: str
    state: SafeString
    details: str
    may_pause: bool
    may_resume: bool


@admin.register(BackendState)
class BackendStateAdmin(BackendModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: BackendState | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="post_office_backendstate_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show all brakes; on POST, pause or resume what it names."""
        if request.method == "POST":
            return self._pull(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": self.opts.verbose_name_plural,
            "subtitle": None,
            "opts": self.opts,
            "lines": lines(),
            "may_change": self.has_change_permission(request),
            "breadcrumbs_are_a_list": compat.ADMIN_BREADCRUMBS_ARE_A_LIST,
            "media": self.media,
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, TEMPLATE, context)

    def _pull(self, request: HttpRequest) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        verb, alias = request.POST.get("verb", ""), request.POST.get("alias", "")
        if verb not in VERBS or alias not in _known():
            self.message_user(request, _("There is no such backend."), messages.ERROR)
        elif VERBS[verb](alias, by=request.user.get_username(), now=timezone.now()):
            said = _("Paused: %(backend)s.") if verb == "pause" else _("Resumed: %(backend)s.")
            said %= {"backend": _name(alias)}
            self.log_change(request, BackendState.objects.get(alias=alias), said)
            self.message_user(request, said, messages.SUCCESS)
        else:
            self.message_user(request, _("It was so already; nothing was changed."), messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())


def lines() -> list[Line]:
    """Return what the page says: of all mail first, then of each backend that is configured."""
    states = brakes.read().states
    return [_line(alias, states.get(alias) or BackendState(alias=alias)) for alias in _known()]


def _line(alias: str, state: BackendState) -> Line:
    shown, details = badge(_("in operation"), "good"), ""
    if state.out_of_order_until is not None:
        shown = badge(_("out of order"), "bad")
        details = _("until %(time)s: %(reason)s") % {
            "time": when(state.out_of_order_until),
            "reason": state.reason,
        }
    if state.paused_at is not None:
        shown = badge(_("paused"), "late")
        details = _("since %(time)s, by %(user)s") % {
            "time": when(state.paused_at),
            "user": state.paused_by or "?",
        }
    return Line(
        alias=alias,
        name=_name(alias),
        state=shown,
        details=details,
        may_pause=state.paused_at is None,
        may_resume=state.paused_at is not None or state.out_of_order_until is not None,
    )


def _known() -> list[str]:
    return [EVERYTHING, *(alias for alias in aliases() if delivering_alias(alias) == alias)]


def _name(alias: str) -> str:
    return _("All mail") if alias == EVERYTHING else alias
