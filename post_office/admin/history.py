"""Versions of a template: who saved what, what has changed since, and a way back.

They stay when a template is deleted; those of a deleted one are found from the list of templates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from .. import compat
from ..models import EmailTemplate, TemplateVersion
from ..rendering import versions
from .confirm import confirmation
from .display import when

if TYPE_CHECKING:
    TemplateModelAdmin = admin.ModelAdmin[EmailTemplate]
else:
    TemplateModelAdmin = admin.ModelAdmin

NAME = "post_office_emailtemplate"
VERSIONS, VERSION, RESTORE = f"{NAME}_versions", f"{NAME}_version", f"{NAME}_restore"
DELETED = f"{NAME}_deleted"
LIST_PAGE = "admin/post_office/emailtemplate/versions.html"
VERSION_PAGE = "admin/post_office/emailtemplate/version.html"
PER_PAGE = 50


class TemplateHistory(TemplateModelAdmin):
    """Adds the pages of versions. To see them takes what seeing a template does; to restore, to change it."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("versions/", wrap(self.deleted_view), name=DELETED),
            path("versions/<int:pk>/", wrap(self.version_view), name=VERSION),
            path("versions/<int:pk>/restore/", wrap(self.restore_view), name=RESTORE),
            path("<int:pk>/versions/", wrap(self.versions_view), name=VERSIONS),
            *super().get_urls(),
        ]

    def versions_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The versions of a template and its translations, the last one first."""
        template = self.get_object(request, str(pk))
        self._require(self.has_view_permission(request, template))
        if template is None:
            raise Http404
        found = _of(template).defer("subject", "content", "html_content")
        title = _("Versions of %(name)s") % {"name": template.name}
        return self._list(request, found, title, self._change_url(template))

    def deleted_view(self, request: HttpRequest) -> HttpResponse:
        """The last version of each text whose template is deleted."""
        self._require(self.has_view_permission(request))
        present = EmailTemplate.objects.values_list("name", "language")
        last = (
            TemplateVersion.objects.filter(template=None)
            .order_by()
            .values("name", "language")
            .annotate(last=Max("pk"))
            .values_list("name", "language", "last")
        )
        there = set(present)
        ids = [number for name, language, number in last if (name, language) not in there]
        found = TemplateVersion.objects.filter(pk__in=sorted(ids)[-PER_PAGE * 10 :])
        found = found.defer("subject", "content", "html_content")
        return self._list(request, found, _("Deleted templates"), "")

    def version_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What a version said, what it changed, and what has changed since."""
        version = self._version(pk)
        template = current(version)
        self._require(self.has_view_permission(request, template))
        if version is None:
            raise Http404
        before = _before(version)
        context = {
            "title": _("Version of %(name)s") % {"name": str(version.template or _title(version)).strip()},
            "version": version,
            "saved_at": when(version.saved_at),
            "current": template,
            "since": _compared(version, template) if template else [],
            "before": before,
            "change": _compared(before, version) if before else [],
            "texts": [(_label(field), getattr(version, field)) for field in versions.TEXTS],
            "restore_url": self._url(RESTORE, version.pk) if self._may_restore(request, version) else "",
            **self._crumbs(template),
        }
        return self._show(request, VERSION_PAGE, context)

    def restore_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, and on POST let the template say again what it said then."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        version = self._version(pk)
        self._require(self._may_restore(request, version))
        if version is None:
            raise Http404
        if request.method != "POST":
            return self._ask(request, version)
        try:
            template = versions.restore(version, author=request.user)
        except EmailTemplate.DoesNotExist:
            text = _("This is a translation, and the default text is deleted. Restore that one first.")
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(self._url(VERSION, version.pk))
        text = _("The version of %(time)s is restored.") % {"time": when(version.saved_at)}
        shown = template.default_template or template
        self.log_change(request, shown, text)
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(self._change_url(shown))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        template: EmailTemplate | None = kwargs.get("obj")
        if template is not None:
            context["versions_url"] = self._url(VERSIONS, template.pk)
        return super().render_change_form(request, context, *args, **kwargs)

    def _ask(self, request: HttpRequest, version: TemplateVersion) -> HttpResponse:
        facts = {"name": _title(version), "time": when(version.saved_at)}
        question = (
            _("Shall %(name)s say again what it said since %(time)s? What it says now stays a version.")
            if current(version)
            else _("%(name)s is deleted. Shall it be there again, as it was since %(time)s?")
        )
        return confirmation(
            self,
            request,
            title=_("Restore a version"),
            question=question % facts,
            button=_("Restore"),
            back=self._url(VERSION, version.pk),
        )

    def _may_restore(self, request: HttpRequest, version: TemplateVersion | None) -> bool:
        template = current(version)
        if version is not None and template is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, template)

    def _version(self, pk: int) -> TemplateVersion | None:
        return TemplateVersion.objects.select_related("template__default_template").filter(pk=pk).first()

    def _list(
        self, request: HttpRequest, found: QuerySet[TemplateVersion], title: str, back: str
    ) -> HttpResponse:
        page = Paginator(found.order_by("-pk"), PER_PAGE).get_page(request.GET.get("p"))
        rows = [
            {
                "url": self._url(VERSION, version.pk),
                "name": version.name,
                "language": version.language or _("Default text"),
                "saved_at": when(version.saved_at),
                "saved_by": version.saved_by or "-",
            }
            for version in page
        ]
        context = {"title": title, "rows": rows, "page": page, "change_url": back}
        return self._show(request, LIST_PAGE, context)

    def _show(self, request: HttpRequest, page: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        listing = reverse(f"admin:{NAME}_changelist", current_app=self.admin_site.name)
        between = [("change_url", _("Template")), ("versions_url", _("Versions"))]
        shared = {
            **self.admin_site.each_context(request),
            "subtitle": None,
            "opts": self.opts,
            "media": self.media,
            "steps": [
                (listing, capfirst(self.opts.verbose_name_plural)),
                *((context[key], name) for key, name in between if context.get(key)),
            ],
            "breadcrumbs_are_a_list": compat.ADMIN_BREADCRUMBS_ARE_A_LIST,
        }
        return TemplateResponse(request, page, {**shared, **context})

    def _crumbs(self, template: EmailTemplate | None) -> dict[str, str]:
        if template is None:
            return {"versions_url": self._url(DELETED)}
        shown = template.default_template or template
        return {"versions_url": self._url(VERSIONS, shown.pk), "change_url": self._change_url(shown)}

    def _change_url(self, template: EmailTemplate) -> str:
        return self._url(f"{NAME}_change", quote(template.pk))

    def _url(self, name: str, *arguments: Any) -> str:
        return reverse(f"admin:{name}", args=arguments, current_app=self.admin_site.name)

    def _require(self, allowed: bool) -> None:
        """Refuse before it is told whether there is something."""
        if not allowed:
            raise PermissionDenied


def current(version: TemplateVersion | None) -> EmailTemplate | None:
    """Return the template that a version is of, or that has taken the place of its deleted one."""
    if version is None:
        return None
    if version.template is not None:
        return version.template
    same = EmailTemplate.objects.filter(name=version.name, language=version.language)
    return same.select_related("default_template").first()


def _of(template: EmailTemplate) -> QuerySet[TemplateVersion]:
    own = Q(template=template.pk) | Q(template__default_template=template.pk)
    return TemplateVersion.objects.filter(own | Q(template=None, name=template.name))


def _before(version: TemplateVersion) -> TemplateVersion | None:
    same = (
        Q(template=version.template_id)
        if version.template_id
        else Q(template=None, name=version.name, language=version.language)
    )
    return TemplateVersion.objects.filter(same, pk__lt=version.pk).order_by("-pk").first()


def _compared(old: TemplateVersion, new: TemplateVersion | EmailTemplate) -> list[dict[str, Any]]:
    return [
        {"label": _label(difference.field), "lines": list(_marked(difference.lines))}
        for difference in versions.differences(old, new)
    ]


def _marked(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    for line in lines:
        yield kinds.get(line[:1], "same"), line


def _title(version: TemplateVersion) -> str:
    return f"{version.name} ({version.language})" if version.language else version.name


def _label(field: str) -> str:
    return str(EmailTemplate._meta.get_field(field).verbose_name)  # type: ignore[union-attr]
