"""The brakes as staff see and pull them: one line for all mail and for each backend, with a button.

There is nothing to edit: what changes a state is `queue.brakes` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import compat
from ..aliases import aliases, delivering_alias
from ..delivery import policies
from ..exceptions import InvalidRate
from ..models import BackendState
from ..queue import brakes, limits
from ..queue.brakes import EVERYTHING
from .display import badge, when

if TYPE_CHECKING:
    BackendModelAdmin = admin.ModelAdmin[BackendState]
else:
    BackendModelAdmin = admin.ModelAdmin

TEMPLATE = "admin/post_office/backendstate/change_list.html"
# Seconds.
PACE = 2.0
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
        return HttpResponseRedirect(self._back(request))

    def _back(self, request: HttpRequest) -> str:
        """Return the page whose button it was."""
        if request.POST.get("next") == "overview":
            try:
                return reverse("admin:post_office_overview", current_app=self.admin_site.name)
            except NoReverseMatch:  # an admin without emails
                pass
        return request.get_full_path()


def lines() -> list[Line]:
    """Return what the page says: of all mail first, then of each backend that is configured."""
    found, now = brakes.read(), timezone.now()
    limited = _limited(found, now)
    return [
        _line(alias, found.states.get(alias) or BackendState(alias=alias), limited.get(alias), now)
        for alias in _known()
    ]


def _limited(found: brakes.Brakes, now: datetime) -> dict[str, datetime]:
    """Return until when backends have used up their rates."""
    by_alias: list[limits.Limit] = []
    for alias in aliases():
        try:
            rates = policies.rates(alias)
        except InvalidRate:  # a check says so
            continue
        if rates:
            by_alias.append(limits.Limit(alias, rates, found.part(alias, now)))
    return {
        alias: now + timedelta(seconds=refusal.seconds)
        for alias, refusal in limits.refusals(by_alias).items()
        # A shorter wait is the pace of a rate for a second.
        if refusal.seconds > PACE
    }


def _line(alias: str, state: BackendState, limited_until: datetime | None, now: datetime) -> Line:
    shown, details = badge(_("in operation"), "good"), ""
    if state.slowed_until is not None and state.slowed_until > now:
        shown = badge(_("slowed down"), "late")
        details = _("by its server, to %(part)d%% of its rate, until %(time)s") % {
            "part": round(state.slowed_to * 100),
            "time": when(state.slowed_until),
        }
    if limited_until is not None:
        shown = badge(_("at its limit"), "late")
        details = _("its rate is used up until %(time)s") % {"time": when(limited_until, "H:i:s")}
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
