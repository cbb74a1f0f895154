"""Form widgets of the admin."""

from __future__ import annotations

from typing import Any

from django import forms

from ..addresses import join_mailboxes


class CommaSeparatedEmailWidget(forms.TextInput):
    """One line of mailboxes, separated by commas."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": "vTextField", **(attrs or {})})

    def format_value(self, value: Any) -> str | None:
        if isinstance(value, (list, tuple)):
            return join_mailboxes(str(mailbox) for mailbox in value)
        text: str | None = super().format_value(value)
        return text


class SubjectField(forms.TextInput):
    """A line as wide as the form, for the subject of a template."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": "vTextField post-office-wide", **(attrs or {})})


class SourceWidget(forms.Textarea):
    """Source text of a template: as wide as the form, in a fixed-width font."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {
                "class": "vLargeTextField post-office-wide post-office-source",
                "rows": 12,
                "spellcheck": "false",
                **(attrs or {}),
            }
        )
