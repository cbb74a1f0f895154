"""The list of mails: what it shows, by what it is filtered and searched, and how far it counts.

It costs the same however many mails there are: nothing in it counts or sorts the whole table, and no row
asks for more. What can only be found by reading the table says so on the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy

from ..models import Email
from ..queue.depth import MANY
from . import search
from .filters import (
    IN_LANES,
    NOT_CONFIGURED,
    BackendFilter,
    LanguageFilter,
    QueuedFilter,
    ReasonFilter,
    SearchFilter,
    StatusFilter,
    TemplateFilter,
    WaitingFilter,
)

if TYPE_CHECKING:
    EmailModelAdmin = admin.ModelAdmin[Email]
else:
    EmailModelAdmin = admin.ModelAdmin

# Large, and in no column.
NOT_LISTED = (
    "message",
    "html_message",
    "headers",
    "as_given",
    "answers",
    "metadata",
    "template__description",
    "template__content",
    "template__html_content",
    "template__sample_context",
)


# With an index that has their order; by anything else the database would sort all mail.
SORTABLE = ("id", "pk", "created")


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts as far as MANY, which stands for "more than that"."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            # In its order, which is that of an index: so the database stops as soon as it has enough.
            return rows.values("pk")[:MANY].count()
        return super().count


class EmailChangeList(ChangeList):
    """Follows indexes, and knows what its page has to say of a search."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(*args, **kwargs).defer(*NOT_LISTED)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Sort by what has an index: the one of what the rows are filtered by."""
        wanted = [str(name) for name in super().get_ordering(request, queryset)]
        if ORDER_VAR not in self.params:
            return self._natural_ordering()
        return [name for name in wanted if name.lstrip("-") in SORTABLE] or ["-id"]

    def _natural_ordering(self) -> list[str]:
        given = self.params
        if (
            given.get(WaitingFilter.parameter_name) in IN_LANES
            or given.get(BackendFilter.parameter_name) == NOT_CONFIGURED
        ):
            # In each lane, what has been due for longest comes first.
            return ["status", "backend_alias", "priority", "due_at", "id"]
        if given.get(WaitingFilter.parameter_name) == "held":
            return ["worker_id", "id"]
        if any(name.startswith("created__") for name in given):
            return ["-created", "-id"]
        if any(name.startswith("status__") for name in given) or ReasonFilter.parameter_name in given:
            return ["-status", "-id"]
        return ["-id"]

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # How many there are is said once, below the list, where it may be "more than 10,000".
        self.full_result_count = self.result_count

    @property
    def is_capped(self) -> bool:
        return bool(self.result_count >= MANY)

    @property
    def most_shown(self) -> str:
        return number_format(MANY - 1, force_grouping=True)

    @property
    def searched_everything(self) -> bool:
        """Whether the database had to read all mail for this."""
        return bool(self.query) and not search.is_exact(self.params, self.query)

    @property
    def link_to_parts(self) -> str:
        """Where the same words are looked for in parts of texts; empty where that was done."""
        if not self.query or self.searched_everything:
            return ""
        return self.get_query_string({search.PARAMETER: search.PARTS})


class EmailList(EmailModelAdmin):
    """Adds the list."""

    list_display = [
        "id",
        "status_badge",
        "to_display",
        "shortened_subject",
        "template_and_language",
        "priority",
        "backend",
        "queued",
        "due",
        "sent",
        "attempts",
    ]
    list_display_links = ["id", "to_display"]
    sortable_by = ["id", "queued"]
    list_per_page = 50
    list_filter = [
        SearchFilter,
        ("status", StatusFilter),
        WaitingFilter,
        ReasonFilter,
        "recipient_delivery_status",
        "priority",
        BackendFilter,
        TemplateFilter,
        LanguageFilter,
        ("created", QueuedFilter),
    ]
    list_select_related = ["template"]
    # What is searched for parts of texts; see `search`.
    search_fields = [
        *("to", "cc", "bcc", "subject"),
        *("message_id", "provider_id", "=related_id"),
        *("tags", "metadata"),
    ]
    search_help_text = gettext_lazy(
        "A whole email address or Message-ID is found at once. Anything else is looked for in recipients, "
        "subject, Message-ID, tags and metadata, which takes longer."
    )
    ordering = ["-id"]
    paginator = CappedPaginator
    show_full_result_count = False
    list_max_show_all = 0
    # Facets count the whole table once for each choice.
    show_facets = ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EmailChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Email], search_term: str
    ) -> tuple[QuerySet[Email], bool]:
        if search.is_exact(request.GET, search_term):
            return search.exactly(queryset, search_term), False
        return super().get_search_results(request, queryset, search_term)
