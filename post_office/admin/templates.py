"""Templates: the default text, and below it one translation for each language."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import models
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy

from ..models import EmailTemplate
from ..rendering import versions
from .forms import EmailTemplateAdminForm, EmailTemplateAdminFormSet, EmailTemplateTranslationForm
from .history import TemplateHistory
from .trial import TemplateTrial
from .unsaved import TEXTS
from .usage import TemplateUsage
from .widgets import SourceWidget, SubjectField

if TYPE_CHECKING:
    TemplateStackedInline = admin.StackedInline[EmailTemplate, EmailTemplate]
else:
    TemplateStackedInline = admin.StackedInline

WIDGETS: dict[str, Callable[[], Any]] = {
    "subject": SubjectField,
    "content": SourceWidget,
    "html_content": SourceWidget,
    "sample_context": partial(SourceWidget, {"rows": 5}),
    "description": partial(AdminTextareaWidget, {"rows": 3}),
}


class TextWidgets:
    """Gives the texts of a template room enough."""

    def formfield_for_dbfield(self, db_field: models.Field[Any, Any], request: Any, **kwargs: Any) -> Any:
        if db_field.name in WIDGETS:
            kwargs["widget"] = WIDGETS[db_field.name]()
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]


class EmailTemplateInline(TextWidgets, TemplateStackedInline):
    model = EmailTemplate
    form = EmailTemplateTranslationForm
    formset = EmailTemplateAdminFormSet
    fieldsets = [
        (None, {"fields": ("language", *TEXTS)}),
        (
            gettext_lazy("Sample context of its own"),
            {
                "fields": ["sample_context"],
                "classes": ["collapse"],
                "description": gettext_lazy("Empty: that of the default text."),
            },
        ),
    ]
    extra = 0
    verbose_name = gettext_lazy("Translation")
    verbose_name_plural = gettext_lazy("Translations")

    def get_max_num(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return len(settings.LANGUAGES)


@admin.register(EmailTemplate)
class EmailTemplateAdmin(TextWidgets, TemplateTrial, TemplateHistory, TemplateUsage):
    form = EmailTemplateAdminForm
    list_display = ("name", "description_shortened", "subject", "languages_compact", "created_at")
    search_fields = ("name", "description", "subject")
    fieldsets = [
        (None, {"fields": ("name", "description")}),
        (gettext_lazy("Default Content"), {"fields": TEXTS}),
        (gettext_lazy("Sample context"), {"fields": ["sample_context"], "classes": ["post-office-sample"]}),
    ]

    class Media:
        css = {"all": ["post_office/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailTemplate]:
        languages = EmailTemplate.objects.order_by("language").only("default_template_id", "language")
        return (
            super()
            .get_queryset(request)
            .filter(default_template__isnull=True)
            .prefetch_related(Prefetch("translated_templates", queryset=languages))
        )

    def get_inlines(self, request: HttpRequest, obj: EmailTemplate | None) -> Any:
        return [EmailTemplateInline] if settings.USE_I18N else []

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with versions.saved_by(request.user):
            return super().changeform_view(request, *args, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        template = form.instance
        # One by one, so that each is forgotten by the cache under its old name.
        for translation in template.translated_templates.exclude(name=template.name):
            translation.name = template.name
            translation.save()

    @admin.display(description=gettext_lazy("Description"), ordering="description")
    def description_shortened(self, template: EmailTemplate) -> str:
        return Truncator(template.description.split("\n")[0]).chars(200)

    @admin.display(description=gettext_lazy("Languages"))
    def languages_compact(self, template: EmailTemplate) -> str:
        return ", ".join(each.language for each in template.translated_templates.all()) or "-"

    @admin.display(description=gettext_lazy("Created"), ordering="created")
    def created_at(self, template: EmailTemplate) -> Any:
        return template.created
