"""Filters of the list of emails. None of them reads the whole table to know its choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..aliases import aliases, default_alias
from ..enums import OPEN, STATUS
from ..models import Email, EmailTemplate, Log
from ..queue.depth import Lanes
from ..queue.reasons import Reason
from . import search

if TYPE_CHECKING:
    Emails = QuerySet[Email]

NOT_CONFIGURED = "-"
# Of what mail waits for, that which its lanes in the index of claims tell.
IN_LANES = ("due", "retry", "scheduled")


class TemplateFilter(admin.SimpleListFilter):
    title = gettext_lazy("template")
    parameter_name = "template__name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = EmailTemplate.objects.order_by("name").values_list("name", flat=True).distinct()
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails:
        name = self.value()
        return queryset if name is None else queryset.filter(template__name=name)


class LanguageFilter(admin.SimpleListFilter):
    title = gettext_lazy("language of the template")
    parameter_name = "template__language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("", _("Default language")), *((code, str(name)) for code, name in settings.LANGUAGES)]

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails:
        language = self.value()
        return queryset if language is None else queryset.filter(template__language=language)


class BackendFilter(admin.SimpleListFilter):
    title = gettext_lazy("backend")
    parameter_name = "backend_alias"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((alias, alias) for alias in aliases()), (NOT_CONFIGURED, _("Not configured"))]

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails:
        alias = self.value()
        if alias is None:
            return queryset
        if alias == NOT_CONFIGURED:
            # Nobody will send these; what was sent by a backend of former times is all right.
            known = ("", *aliases())
            gone = {present for _, present in Lanes().present if present not in known}
            return queryset.filter(status__range=(min(OPEN), max(OPEN)), backend_alias__in=gone)
        return queryset.filter(
            Q(backend_alias__in=["", alias]) if alias == default_alias() else Q(backend_alias=alias)
        )


class StatusFilter(admin.ChoicesFieldListFilter):
    """By status, as a range of one: PostgreSQL takes an equal one for no reason to follow the index of the
    statuses, and reads all newer mail where it goes by the key alone."""

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails | None:
        if not self.lookup_val:
            return super().queryset(request, queryset)
        try:
            statuses = [int(value) for value in self.lookup_val]
        except ValueError as fault:
            raise IncorrectLookupParameters(fault) from fault
        if len(statuses) > 1:
            return super().queryset(request, queryset)
        return queryset.filter(status__range=(statuses[0], statuses[0]))


class WaitingFilter(admin.SimpleListFilter):
    """By what mail waits for that is still to be sent."""

    title = gettext_lazy("what it waits for")
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("due", _("Due now")),
            ("retry", _("Another try")),
            ("scheduled", _("Its time")),
            ("held", _("The end of its delivery")),
        ]

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails:
        now = timezone.now()
        # Ranges, for the reason that `StatusFilter` has.
        waiting = {
            "due": Q(status__range=(min(OPEN), max(OPEN)), due_at__lte=now),
            "retry": Q(status__range=(STATUS.requeued, STATUS.requeued), due_at__gt=now),
            "scheduled": Q(status__range=(STATUS.queued, STATUS.queued), due_at__gt=now),
            "held": Q(worker__isnull=False),
        }
        return queryset.filter(waiting[value]) if (value := self.value()) in waiting else queryset


class ReasonFilter(admin.SimpleListFilter):
    """By why mail failed. The overview links to it; it is there only when it is used."""

    title = gettext_lazy("reason of the failure")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        given = request.GET.get(self.parameter_name)
        reason = None if given is None else Reason.parse(given)
        return [] if reason is None else [(reason.key, reason.name)]

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails:
        reason = Reason.parse(self.value() or "")
        if reason is None:
            return queryset
        logs = Log.objects.filter(
            email=OuterRef("pk"), status=STATUS.failed, exception_type=reason.exception_type, code=reason.code
        )
        return queryset.filter(Exists(logs), status=STATUS.failed)


class SearchFilter(admin.SimpleListFilter):
    """Whether a whole address is looked for as it is, or in parts of texts as all else."""

    title = gettext_lazy("how to search")
    parameter_name = search.PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if not search.may_be_exact(request.GET.get("q", "")):
            return []
        return [(search.PARTS, _("In parts of texts (slower)"))]

    def queryset(self, request: HttpRequest, queryset: Emails) -> Emails:
        # `search` does it.
        return queryset

    def choices(self, changelist: Any) -> Any:
        exact, *others = super().choices(changelist)
        return [{**exact, "display": _("The whole address or Message-ID")}, *others]


class QueuedFilter(admin.DateFieldListFilter):
    """By the day on which the mail was queued."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("day of queueing")
