"""That a backend took a mail: for whom, and the id by which its provider knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.mail import EmailMessage

from .faults import Fault

LONGEST = 255  # of the column for it


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The backend took the mail.

    Attributes:
        provider_id: By which its provider knows the mail, where it told.
        accepted, refused: Addresses of the recipients, where the server refused some of them.
    """

    provider_id: str | None = None
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, Fault] = field(default_factory=dict)


def provider_id(message: EmailMessage) -> str | None:
    """Return the id that the provider gave to a message that was just sent.

    Anymail's backends leave `anymail_status.message_id`, django-ses a header "message_id". Several
    ids, one for each recipient, say nothing that could be looked up, and so does one that is too
    long to be kept whole.
    """
    return _by_anymail(message) or _by_django_ses(message)


def _by_anymail(message: EmailMessage) -> str | None:
    told = getattr(getattr(message, "anymail_status", None), "message_id", None)
    # A set where recipients got different ids. One id is one, with or without a set around it.
    if isinstance(told, (set, frozenset)) and len(told) == 1:
        (told,) = told
    return _id(told)


def _by_django_ses(message: EmailMessage) -> str | None:
    headers = message.extra_headers
    return _id(headers.get("message_id")) if isinstance(headers, dict) else None


def _id(told: Any) -> str | None:
    return told if isinstance(told, str) and 0 < len(told) <= LONGEST else None
