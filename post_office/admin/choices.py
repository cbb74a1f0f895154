"""What a page that asks lets one choose: a priority, a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..enums import PRIORITY, PRIORITY_CHOICES


class TimeInput(forms.DateTimeInput):
    """Date and time in the browser's own field: no script, and usable by keyboard and by touch."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


class PriorityForm(forms.Form):
    # What "now" means is another verb.
    priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority"),
        coerce=int,
        choices=[choice for choice in PRIORITY_CHOICES if choice[0] != PRIORITY.now],
        initial=PRIORITY.medium,
    )


class TimeForm(forms.Form):
    scheduled_time = forms.DateTimeField(
        label=gettext_lazy("Scheduled Time"),
        required=False,
        widget=TimeInput,
        help_text=gettext_lazy("Empty: as soon as possible."),
    )

    def clean_scheduled_time(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["scheduled_time"]
        if at is not None and at <= timezone.now():
            raise ValidationError(_("This time is past. Leave it empty to send as soon as possible."))
        return at
