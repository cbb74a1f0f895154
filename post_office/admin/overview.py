"""The overview: on one page, whether mail flows, what became of it, and who delivers it.

It costs the same however much mail there is: all counts are kept, or go no further than a person would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from .. import compat
from ..aliases import aliases, default_alias
from ..enums import STATUS
from ..models import BackendState, Email
from ..queue import figures, reasons, tallies
from ..queue.brakes import EVERYTHING
from ..queue.figures import Figures, Program
from ..slots import slot_of
from . import backends, charts
from .charts import capped, grouped
from .display import badge
from .notices import Notice, notices

if TYPE_CHECKING:
    EmailModelAdmin = admin.ModelAdmin[Email]
else:
    EmailModelAdmin = admin.ModelAdmin

TEMPLATE = "admin/post_office/overview.html"
URL_NAME = "post_office_overview"
# To which mail is counted here; it stands for "more than 1,000", which is many enough for a look.
MOST = 1_001
STATES = {"alive": "good", "dead": "bad", "ended": "ended"}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure, and where the mails are that it counts."""

    label: str
    value: str
    url: str = ""
    look: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A backend: what its own page says, and what waits for it."""

    line: backends.Line
    due: str
    retrying: str
    scheduled: str


class OverviewPage(EmailModelAdmin):
    """Adds the page, and the link to it from the list."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.overview_view)
        return [path("overview/", view, name=URL_NAME), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        url = reverse(f"admin:{URL_NAME}", current_app=self.admin_site.name)
        return super().changelist_view(request, {"overview_url": url, **(extra_context or {})})

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Show how it stands; changes nothing."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        return TemplateResponse(request, TEMPLATE, self._overview(request, timezone.now()))

    def _overview(self, request: HttpRequest, now: datetime) -> dict[str, Any]:
        # The rates that it counts by rows are not shown here.
        found = figures.look(aliases(), default_alias(), now, looked_at=1, most=MOST)
        spans = charts.spans()
        tallied = tallies.since(slot_of(min(charts.beginning(span, now) for span in spans)))
        address = partial(reverse, current_app=self.admin_site.name)
        listing = address("admin:post_office_email_changelist")
        failures, all_failures = reasons.failures()
        return {
            **self.admin_site.each_context(request),
            "title": _("Overview"),
            "subtitle": None,
            "opts": self.opts,
            "breadcrumbs_are_a_list": compat.ADMIN_BREADCRUMBS_ARE_A_LIST,
            "media": self.media,
            "at": now,
            "listing": listing,
            "notices": [(notice, _linked(notice, listing)) for notice in notices(found)],
            "tiles": list(tiles(found, tallied, listing, now)),
            "charts": [charts.draw(span, tallied, now) for span in spans],
            "size": {"width": charts.WIDTH, "height": charts.HEIGHT},
            "failures": [
                (failure, f"{listing}?{urlencode({'reason': failure.reason.key})}") for failure in failures
            ],
            "looked_at": None if all_failures else grouped(reasons.LOOKED_AT),
            **self._backends(request, found, address),
            "dispatchers": [(program, _state(program)) for program in found.programs],
        }

    def _backends(self, request: HttpRequest, found: Figures, address: Callable[..., str]) -> dict[str, Any]:
        """Return the lines that the page of the brakes shows, and where its buttons are sent."""
        model_admin = self.admin_site._registry.get(BackendState)
        try:
            url = address("admin:post_office_backendstate_changelist") if model_admin else ""
        except NoReverseMatch:  # an admin of the project's own, with other addresses
            url = ""
        may = bool(model_admin and url and model_admin.has_change_permission(request))
        return {
            "backends": [_row(line, found) for line in backends.lines()],
            "backends_url": url,
            "may_change_backends": may,
        }


def tiles(found: Figures, tallied: Sequence[tallies.Tallied], listing: str, now: datetime) -> Iterator[Tile]:
    """Yield what is to be seen first."""
    total, today = found.total, charts.midnight(now)
    of_today = [slot for slot in tallied if slot.slot >= slot_of(today)]
    sent, failed = sum(slot.sent for slot in of_today), sum(slot.failed for slot in of_today)
    yield Tile(label=_("Due"), value=capped(total.due, MOST), url=f"{listing}?waiting=due")
    oldest = total.oldest_due_at if total.due else None
    yield Tile(
        label=_("Oldest due email"),
        value=timesince(oldest, now) if oldest is not None else "-",
        look="late" if oldest is not None and now - oldest > timedelta(minutes=10) else "",
    )
    yield Tile(label=_("Being delivered"), value=capped(found.sending), url=f"{listing}?waiting=held")
    yield Tile(
        label=_("Waiting for another try"), value=capped(total.retrying, MOST), url=f"{listing}?waiting=retry"
    )
    yield Tile(label=_("Scheduled"), value=capped(total.scheduled, MOST), url=f"{listing}?waiting=scheduled")
    since = urlencode({"last_updated__gte": today.isoformat()})
    yield Tile(
        label=_("Sent today"), value=grouped(sent), url=f"{listing}?status__exact={STATUS.sent}&{since}"
    )
    yield Tile(
        label=_("Failed today"),
        value=grouped(failed),
        url=f"{listing}?status__exact={STATUS.failed}&{since}",
        look="bad" if failed else "",
    )


def _linked(notice: Notice, listing: str) -> str:
    return f"{listing}?{notice.query}" if notice.query else ""


def _row(line: backends.Line, found: Figures) -> Row:
    depth = found.total if line.alias == EVERYTHING else found.of_backend(line.alias)
    return Row(
        line=line,
        due=capped(depth.due, MOST),
        retrying=capped(depth.retrying, MOST),
        scheduled=capped(depth.scheduled, MOST),
    )


def _state(program: Program) -> str:
    names = {"alive": _("alive"), "dead": _("dead"), "ended": _("ended")}
    return badge(names[program.state], STATES[program.state])
