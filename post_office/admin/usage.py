"""Which mails a template was used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from ..models import Email, EmailTemplate
from .filters import TemplateFilter

if TYPE_CHECKING:
    TemplateModelAdmin = admin.ModelAdmin[EmailTemplate]
else:
    TemplateModelAdmin = admin.ModelAdmin

# Counted no further, since a template may have been used for most of the table.
MOST_COUNTED = 1000


class TemplateUsage(TemplateModelAdmin):
    """Adds to the page of a template a link to its mails."""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        template: EmailTemplate | None = kwargs.get("obj")
        if template is not None and self._may_see_emails(request):
            context["emails_label"] = _label(template)
            context["emails_url"] = (
                reverse("admin:post_office_email_changelist", current_app=self.admin_site.name)
                + "?"
                + urlencode({TemplateFilter.parameter_name: template.name})
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def _may_see_emails(self, request: HttpRequest) -> bool:
        emails = self.admin_site._registry.get(Email)
        return emails is not None and emails.has_view_or_change_permission(request)


def _label(template: EmailTemplate) -> str:
    ids = EmailTemplate.objects.filter(Q(pk=template.pk) | Q(default_template=template.pk)).values("pk")
    used = Email.objects.filter(template__in=list(ids.values_list("pk", flat=True)))
    number = used.order_by().values("pk")[: MOST_COUNTED + 1].count()
    if number > MOST_COUNTED:
        return _("Emails (%(number)s+)") % {"number": number_format(MOST_COUNTED, force_grouping=True)}
    return _("Emails (%(number)s)") % {"number": number_format(number, force_grouping=True)}
