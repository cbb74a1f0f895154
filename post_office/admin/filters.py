"""Filters of the list of emails. None of them reads the whole table to know its choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..delivery.connections import aliases, default_alias
from ..models import Email, EmailTemplate

if TYPE_CHECKING:
    Emails = QuerySet[Email]

NOT_CONFIGURED = "-"


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
            return queryset.exclude(backend_alias__in=["", *aliases()])
        return queryset.filter(
            Q(backend_alias__in=["", alias]) if alias == default_alias() else Q(backend_alias=alias)
        )


class QueuedFilter(admin.DateFieldListFilter):
    """By the day on which the mail was queued."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("day of queueing")
