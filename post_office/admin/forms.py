"""Forms of the admin: what of a mail may be edited by hand, and templates with their translations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..addresses import join_mailboxes, split_mailboxes
from ..aliases import aliases, default_alias
from ..models import Email, EmailTemplate
from ..rendering import drafts
from .faults import sentence
from .unsaved import TEXTS

if TYPE_CHECKING:
    EmailModelForm = forms.ModelForm[Email]
    TemplateModelForm = forms.ModelForm[EmailTemplate]
    TemplateFormSet = BaseInlineFormSet[EmailTemplate, EmailTemplate, TemplateModelForm]
else:
    EmailModelForm = TemplateModelForm = forms.ModelForm
    TemplateFormSet = BaseInlineFormSet


class MailboxesField(forms.CharField):
    """Mailboxes in one line; knows that a list and its line are the same."""

    def to_python(self, value: Any) -> Any:
        return split_mailboxes(super().to_python(value) or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        if isinstance(initial, (list, tuple)):
            initial = join_mailboxes(str(mailbox) for mailbox in initial)
        return super().has_changed(initial, data)


class EmailAdminForm(EmailModelForm):
    """A mail that is still to be sent, or may be sent again."""

    backend_alias = forms.ChoiceField(label=gettext_lazy("Backend"), required=False)

    class Meta:
        model = Email
        fields = [
            "from_email",
            "to",
            "cc",
            "bcc",
            "priority",
            "scheduled_time",
            "expires_at",
            "backend_alias",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Absent where the mail may not be edited.
        field = self.fields.get("backend_alias")
        if isinstance(field, forms.ChoiceField):
            known = dict.fromkeys([*aliases(), self.instance.backend_alias])
            default = _("Default (%(alias)s)") % {"alias": default_alias()}
            field.choices = [("", default), *((alias, alias) for alias in known if alias)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kinds = [kind for kind in ("to", "cc", "bcc") if kind in self.fields]
        given = [kind for kind in kinds if cleaned.get(kind) or kind in self.errors]
        if kinds and not given:
            raise ValidationError(_("Give at least one recipient."))
        return cleaned


class TextsForm(TemplateModelForm):
    """Texts of a template, whose mistakes are told with their place."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in TEXTS:
            if name in cleaned:
                # As it was typed, since the form takes away empty lines at the start.
                for problem in drafts.check(str(self[name].value() or ""), field=name):
                    self.add_error(name, sentence(problem))
        return cleaned

    def clean_sample_context(self) -> str | None:
        """Keep what there is where the form has no such field."""
        if self.add_prefix("sample_context") not in self.data:
            return self.instance.sample_context
        given: str | None = self.cleaned_data["sample_context"]
        return given


class EmailTemplateAdminForm(TextsForm):
    """A template in its default language."""

    class Meta:
        model = EmailTemplate
        fields = ["name", "description", *TEXTS, "sample_context"]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        # The database cannot see to it: NULL in default_template makes every row unique.
        same = EmailTemplate.objects.filter(name=name, language=self.instance.language)
        if same.filter(default_template=None).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("There is a template with this name already."))
        return name


class EmailTemplateTranslationForm(TextsForm):
    """A template in another language. The language stays what it is once the translation is saved."""

    language = forms.ChoiceField(label=gettext_lazy("Language"))

    class Meta:
        model = EmailTemplate
        fields = ["language", *TEXTS, "sample_context"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get("language")
        if isinstance(field, forms.ChoiceField):
            choices = {"": "---------", **{code: str(name) for code, name in settings.LANGUAGES}}
            if self.instance.pk:
                # It may have been taken out of LANGUAGES meanwhile.
                choices.setdefault(self.instance.language, self.instance.language)
                field.disabled = True
            field.choices = list(choices.items())


class EmailTemplateAdminFormSet(TemplateFormSet):
    """All translations of a template, one for each language."""

    def clean(self) -> None:
        super().clean()
        seen: set[str] = set()
        for form in self.forms:
            language = getattr(form, "cleaned_data", {}).get("language")
            if not language or (self.can_delete and self._should_delete_form(form)):  # type: ignore[attr-defined]
                continue
            if language in seen:
                message = _("Duplicate template for language “%(language)s”.")
                form.add_error("language", ValidationError(message, params={"language": language}))
            seen.add(language)
