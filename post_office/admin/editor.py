"""The page on which templates are written: what each text would send is seen while it is written.

The addresses here answer about texts that are not saved, and save nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from ..models import EmailTemplate
from ..rendering import drafts, languages, samples
from ..rendering.drafts import Preview, Problem
from ..rendering.templates import Rendered
from . import preview, sandbox
from .faults import sentence
from .preview import Unrenderable
from .unsaved import FORMSET, Unsaved, posted

if TYPE_CHECKING:
    TemplateModelAdmin = admin.ModelAdmin[EmailTemplate]
else:
    TemplateModelAdmin = admin.ModelAdmin

FRAME = "template-preview"
CHECK = "post_office_emailtemplate_check"
PREVIEW = "post_office_emailtemplate_preview"
SCRIPTS = ["post_office/tabs.js", "post_office/code.js", "post_office/editor.js"]


class TemplateEditor(TemplateModelAdmin):
    """Adds to the form of a template what shows it at work."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("unsaved/check/", wrap(self.check_view), name=CHECK),
            path("unsaved/preview/", wrap(self.preview_view), name=PREVIEW),
            *super().get_urls(),
        ]

    def may_write(self, request: HttpRequest, template: EmailTemplate | None = None) -> bool:
        """Return whether this user may save texts, and so try them."""
        return self.has_change_permission(request, template) or self.has_add_permission(request)

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """What the text says and what is wrong with it, as JSON."""
        if not self.may_write(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return JsonResponse(_answer(self._posted(request)))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The text as its readers would see it, as a document for the frame of the page."""
        if not self.may_write(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        shown = look(self._posted(request).template)
        # A mistake in the text does not hide the HTML.
        if shown.problems and not shown.rendered.html_message:
            text = "\n".join(_named(problem) for problem in shown.problems)
            return sandbox.notice(_("This template cannot be shown"), text)
        return preview.document_of(request, shown.rendered)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        template: EmailTemplate | None = kwargs.get("obj")
        allowed = self.has_change_permission(request, template) if template else kwargs.get("add")
        if allowed:
            context.update(self._page(request, context))
        return super().render_change_form(request, context, *args, **kwargs)

    def _posted(self, request: HttpRequest) -> Unsaved:
        return posted(request, EmailTemplate.objects.exclude(default_template=None))

    def _addresses(self, request: HttpRequest) -> dict[str, str]:
        """Return what the page asks, by what it asks for."""
        site = self.admin_site.name
        return {
            "check": reverse(f"admin:{CHECK}", current_app=site),
            "preview": reverse(f"admin:{PREVIEW}", current_app=site),
        }

    def _page(self, request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
        addresses = self._addresses(request)
        formset = next(
            (each.formset for each in context["inline_admin_formsets"] if each.formset.prefix == FORMSET),
            None,
        )
        translations = formset.initial_forms if formset else []
        present = [languages.DEFAULT, *(form.instance.language for form in translations)]
        names = dict(settings.LANGUAGES)
        return {
            "editor": True,
            "editor_scripts": SCRIPTS,
            "editor_json": json.dumps(
                {
                    **addresses,
                    "formset": formset.prefix if formset else "",
                    "languages": _offered(present) if formset else [],
                    "words": _words(),
                }
            ),
            "editor_address": address_of(request.user),
            "editor_addresses": addresses,
            "editor_parts": [
                ("", _("Default text")),
                *(
                    (each.prefix, names.get(each.instance.language, each.instance.language))
                    for each in translations
                ),
            ],
            "editor_frame": sandbox.frame("", frame_id=FRAME, title=_("Preview of this template")),
            "editor_frame_name": FRAME,
        }


def address_of(user: Any) -> str:
    """Return the email address of a user; empty where there is none."""
    return str(getattr(user, user.get_email_field_name(), "") or "")


def look(template: EmailTemplate) -> Preview:
    """Return what a template would send, in the circumstances of a worker."""
    shown = preview.attempt(lambda: drafts.render_draft(template))
    if isinstance(shown, Unrenderable):
        empty = Rendered(subject="", message="", html_message="")
        return Preview(rendered=empty, problems=(Problem(field="html_content", message=shown.reason),))
    return shown


def _answer(unsaved: Unsaved) -> dict[str, Any]:
    template = unsaved.template
    shown = look(template)
    names = drafts.variables(template)
    context = drafts.sample_context(template)
    lacking = set(samples.missing(names, context))
    of_context = _problems_of_context(template)
    filled = json.dumps(samples.completed(names, context), indent=2, ensure_ascii=False)
    return {
        "subject": shown.rendered.subject,
        "text": shown.rendered.message,
        "problems": [_as_json(unsaved, problem) for problem in (*shown.problems, *of_context)],
        "variables": [{"name": name, "missing": name in lacking} for name in names],
        "context": unsaved.control("sample_context"),
        # What cannot be read cannot be added to.
        "filled": filled if lacking and not of_context else None,
    }


def _problems_of_context(template: EmailTemplate) -> list[Problem]:
    own = (template.sample_context or "").strip()
    owner = template if own else template.default_template or template
    only = EmailTemplate(sample_context=(owner.sample_context or "").strip() and owner.sample_context)
    return drafts.problems(only)


def _as_json(unsaved: Unsaved, problem: Problem) -> dict[str, Any]:
    elsewhere = bool(problem.template)
    return {
        "control": unsaved.control(problem.field),
        "said": _named(problem),
        "line": None if elsewhere else problem.line,
        "column": None if elsewhere else problem.column,
    }


def _named(problem: Problem) -> str:
    return f"{_label(problem.field)}: {sentence(problem)}"


def _label(field: str) -> str:
    return str(EmailTemplate._meta.get_field(field).verbose_name)  # type: ignore[union-attr]


def _offered(present: list[str]) -> list[dict[str, Any]]:
    """Return LANGUAGES with what the page says of each."""
    lacking = set(languages.missing(present))
    return [
        {"code": code, "name": str(name), "missing": code in lacking} for code, name in settings.LANGUAGES
    ]


def _words() -> dict[str, str]:
    """Return what the scripts of the page say."""
    return {
        "default": _("Default text"),
        "unnamed": _("New language"),
        "tabs": _("Languages of this template"),
        "missing": _("%(language)s (missing)"),
        "lacking": _("No translation yet: %(languages)s"),
        "more": _("and %(number)s more"),
        "language": _("Add a language"),
        "add": _("Add this language"),
        "indent": _("Tab key indents"),
        "leave": _("Press Escape, then Tab, to leave the field."),
        "fine": _("No mistakes found."),
        "unanswered": _("The preview is not up to date: the server does not answer."),
        "signedOut": _(
            "You are not signed in any more, or may not do this. Sign in again in another window."
        ),
        "none": _("The texts use no variables."),
        "given": _("in the sample context"),
        "absent": _("not in the sample context"),
        "sending": _("Sending…"),
        "untold": _("The server does not answer: whether a test was sent is not known."),
    }
