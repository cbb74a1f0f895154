"""The form in which staff write a mail: of a template and its variables, or of text that stands as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from .. import compose
from ..aliases import aliases, default_alias
from ..arguments import parse_priority
from ..conf import conf
from ..enums import PRIORITY_CHOICES
from ..models import EmailTemplate
from . import preview
from .choices import TimeInput
from .forms import MailboxesField
from .preview import Unrenderable
from .widgets import CommaSeparatedEmailWidget, SourceWidget, SubjectField

TEXTS = ("subject", "message", "html_message")
# What the arguments of `mail.send` are called here.
FIELDS = {"recipients": "to", "c": "cc", "sender": "from_email", "backend": "backend_alias"}
MOST_SUGGESTED = 200


class Files(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files."""

    widget = Files

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, (list, tuple)) else [data] if data else []
        return [super(FilesField, self).clean(each, initial) for each in given]


class Suggesting(forms.TextInput):
    """A line for which the browser suggests what there is."""

    template_name = "admin/post_office/email/suggesting.html"

    def __init__(self, suggest: Any) -> None:
        super().__init__({"class": "vTextField"})
        self.suggest = suggest

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"]["list"] = f"id_{name}_list"
        context["suggested"] = self.suggest()
        return context


def _names_of_templates() -> Iterable[str]:
    names = (
        EmailTemplate.objects.filter(default_template=None).order_by("name").values_list("name", flat=True)
    )
    return list(names[:MOST_SUGGESTED])


def _languages() -> list[tuple[str, str]]:
    return [("", _("Default language")), *((code, str(name)) for code, name in settings.LANGUAGES)]


def _backends() -> list[tuple[str, str]]:
    default = _("Default (%(alias)s)") % {"alias": default_alias()}
    return [("", default), *((alias, alias) for alias in aliases())]


class WritingForm(forms.Form):
    """Valid only if `mail.send` would take it; whatever that refuses is said at its field."""

    from_email = forms.CharField(
        label=gettext_lazy("Email From"), widget=forms.TextInput({"class": "vTextField"})
    )
    to = MailboxesField(label=gettext_lazy("Email To"), required=False, widget=CommaSeparatedEmailWidget)
    cc = MailboxesField(label=gettext_lazy("Cc"), required=False, widget=CommaSeparatedEmailWidget)
    bcc = MailboxesField(label=gettext_lazy("Bcc"), required=False, widget=CommaSeparatedEmailWidget)
    template = forms.CharField(
        label=gettext_lazy("Template"), required=False, widget=Suggesting(_names_of_templates)
    )
    language = forms.ChoiceField(label=gettext_lazy("Language"), required=False, choices=_languages)
    context = forms.CharField(
        label=gettext_lazy("Context"),
        required=False,
        widget=SourceWidget({"rows": 5}),
        help_text=gettext_lazy('Variables for the template, as a JSON object: {"name": "Ann"}'),
    )
    subject = forms.CharField(label=gettext_lazy("Subject"), required=False, widget=SubjectField)
    message = forms.CharField(
        label=pgettext_lazy("section of a mail", "Text"), required=False, strip=False, widget=SourceWidget
    )
    html_message = forms.CharField(
        label=pgettext_lazy("section of a mail", "HTML"), required=False, strip=False, widget=SourceWidget
    )
    attachments = FilesField(label=gettext_lazy("Attachments"), required=False)
    priority = forms.TypedChoiceField(label=gettext_lazy("Priority"), coerce=int, choices=PRIORITY_CHOICES)
    backend_alias = forms.ChoiceField(label=gettext_lazy("Backend"), required=False, choices=_backends)
    scheduled_time = forms.DateTimeField(
        label=gettext_lazy("Scheduled Time"),
        required=False,
        widget=TimeInput,
        help_text=gettext_lazy("Empty: as soon as possible."),
    )
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Expires"),
        required=False,
        widget=TimeInput,
        help_text=gettext_lazy("Email won't be sent after this timestamp"),
    )
    # The same page sent twice is one mail.
    mark = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    made: compose.Draft | None = None

    def clean_context(self) -> dict[str, Any]:
        text = self.cleaned_data["context"]
        if not text.strip():
            return {}
        try:
            value = json.loads(text)
        except ValueError as fault:
            raise ValidationError(_("This is no JSON: %(fault)s"), params={"fault": fault}) from fault
        if not isinstance(value, dict):
            raise ValidationError(_("This is no JSON object of names and values."))
        return value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._refuse_two_sources(cleaned)
        if not self.errors and not any(cleaned[kind] for kind in ("to", "cc", "bcc")):
            self.add_error("to", _("Give at least one recipient."))
        if not self.errors:
            made = preview.attempt(self._draft)
            if isinstance(made, Unrenderable):
                # Of a template, which may raise whatever it likes.
                self.add_error("template" if cleaned["template"] else None, made.reason)
            else:
                self.made = made
        return cleaned

    def _refuse_two_sources(self, cleaned: Mapping[str, Any]) -> None:
        written = [name for name in TEXTS if cleaned.get(name)]
        if cleaned.get("template"):
            for name in written:
                self.add_error(name, _("Leave this empty: the template has its own."))
        elif not written and not set(TEXTS) & self.errors.keys():
            self.add_error("subject", _("Write something, or choose a template."))

    def _draft(self) -> compose.Draft | None:
        try:
            return compose.draft(**self.arguments())
        except EmailTemplate.DoesNotExist:
            self.add_error("template", gettext_lazy("There is no such template."))
        except ValidationError as fault:
            self._say(fault)
        except ValueError as fault:
            self._say(ValidationError(str(fault)))
        return None

    def _say(self, fault: ValidationError) -> None:
        """Put what was refused at the field that it is about."""
        if hasattr(fault, "error_dict"):
            for name, errors in fault.error_dict.items():
                self.add_error(name if name in self.fields else None, errors)
            return
        for text in fault.messages:
            argument, colon, rest = text.partition(": ")
            field = FIELDS.get(argument, argument)
            known = bool(colon) and field in self.fields
            self.add_error(field if known else None, rest if known else text)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `mail.send`."""
        cleaned = self.cleaned_data
        common: dict[str, Any] = {
            "recipients": cleaned["to"],
            "sender": cleaned["from_email"],
            "cc": cleaned["cc"],
            "bcc": cleaned["bcc"],
            "priority": cleaned["priority"],
            "backend": cleaned["backend_alias"],
            "scheduled_time": cleaned["scheduled_time"],
            "expires_at": cleaned["expires_at"],
            "language": cleaned["language"],
            "attachments": dict(self._attachments(cleaned["attachments"])),
        }
        if cleaned["mark"]:
            common["idempotency_key"] = f"written in the admin: {cleaned['mark']}"
        if cleaned["template"]:
            return {**common, "template": cleaned["template"], "context": cleaned["context"]}
        # The texts stand as they are: who may write a mail may not therefore run template tags.
        texts = {name: cleaned[name].replace("\r\n", "\n") for name in TEXTS}
        sources = {name: _VERBATIM[name] for name, text in texts.items() if text}
        return {**common, **sources, "context": texts}

    def _attachments(self, uploaded: list[Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        taken: set[str] = set()
        for file in uploaded:
            path, number = PurePath(file.name), 1
            name = path.name
            while name in taken:
                number += 1
                name = f"{path.stem} ({number}){path.suffix}"
            taken.add(name)
            file.seek(0)
            yield name, {"file": file.read(), "mimetype": file.content_type or ""}


_VERBATIM = {
    "subject": "{{ subject }}",
    "message": "{{ message }}",
    "html_message": "{{ html_message|safe }}",
}

FIELDSETS: Any = [
    (None, {"fields": ["from_email", "to", ("cc", "bcc")]}),
    (
        gettext_lazy("From a template"),
        {
            "fields": [("template", "language"), "context"],
            "description": gettext_lazy("Or leave this empty, and write the texts below."),
        },
    ),
    (
        gettext_lazy("Texts"),
        {
            "fields": list(TEXTS),
            "description": gettext_lazy("They stand as they are: no template tags."),
        },
    ),
    (None, {"fields": ["attachments"]}),
    (
        gettext_lazy("Delivery"),
        {"fields": [("priority", "backend_alias"), ("scheduled_time", "expires_at")]},
    ),
]


def initial(mark: str) -> dict[str, Any]:
    """Return what stands in an empty form."""
    return {
        "from_email": settings.DEFAULT_FROM_EMAIL,
        "priority": parse_priority(conf.DEFAULT_PRIORITY),
        "mark": mark,
    }
