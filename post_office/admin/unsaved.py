"""The template that somebody is writing, as the form of the admin posts it: one of its texts, unsaved.

The form posts the default text and all translations together; `_part` says which of them is meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest

from ..models import EmailTemplate

PART = "_part"
FORMSET = "translated_templates"
TEXTS = ("subject", "content", "html_content")

_TRANSLATION = re.compile(rf"{FORMSET}-\d{{1,4}}")


@dataclass(frozen=True, kw_only=True)
class Unsaved:
    """A text as it stands in the form.

    Attributes:
        template: Not saved; a translation has its default text beside it.
        part: What the fields' names begin with; empty for the default text.
    """

    template: EmailTemplate
    part: str = ""

    def control(self, field: str) -> str:
        """Return the id of what this field is written in."""
        shared = field == "sample_context" and not (self.template.sample_context or "").strip()
        return f"id_{self.part}-{field}" if self.part and not shared else f"id_{field}"


def posted(request: HttpRequest, saved: QuerySet[EmailTemplate]) -> Unsaved:
    """Return the part of the form that the request asks for; the default text if it asks for none.

    Args:
        saved: Where a translation is found whose language the form does not post, as it is fixed.
    """
    default = _read(request, "")
    part = request.POST.get(PART, "")
    if not _TRANSLATION.fullmatch(part):
        return Unsaved(template=default)
    translation = _read(request, f"{part}-")
    translation.language = _language(request, part, saved)
    translation.default_template = default
    return Unsaved(template=translation, part=part)


def _read(request: HttpRequest, prefix: str) -> EmailTemplate:
    texts = {field: request.POST.get(f"{prefix}{field}", "") for field in (*TEXTS, "sample_context")}
    return EmailTemplate(name=request.POST.get("name", "")[:255], **texts)


def _language(request: HttpRequest, part: str, saved: QuerySet[EmailTemplate]) -> str:
    language = request.POST.get(f"{part}-language", "")
    if language in dict(settings.LANGUAGES):
        return language
    number = request.POST.get(f"{part}-id", "")
    if not number.isdecimal() or len(number) > 18:
        return ""
    return saved.filter(pk=number).values_list("language", flat=True).first() or ""
