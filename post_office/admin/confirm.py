"""The page that asks before something is done, or what exactly. Showing it does nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import Truncator, capfirst

from .. import compat
from ..addresses import join_mailboxes
from ..models import Email
from . import preview
from .display import status_badge

CONFIRMED = "confirmed"
SEEN = "seen"
MARK = "mark"
TEMPLATE = "admin/post_office/email/confirm.html"


def is_confirmed(request: HttpRequest) -> bool:
    """Return whether this request comes from the page that asked."""
    return request.POST.get(CONFIRMED) == "yes"


def mark_of(request: HttpRequest) -> str:
    """Return what tells one showing of the page from another; empty where none was shown."""
    return request.POST.get(MARK, "")[:64]


def seen(email: Email) -> str:
    """Return what tells this state of a mail from a later one."""
    return email.last_updated.isoformat()


def is_outdated(request: HttpRequest, email: Email) -> bool:
    """Return whether the mail has changed since the page that asked; as by a second click on it."""
    return request.POST.get(SEEN, seen(email)) != seen(email)


def confirmation(
    modeladmin: Any,
    request: HttpRequest,
    *,
    title: object,
    question: str,
    button: object,
    email: Email | None = None,
    form: forms.Form | None = None,
    action: str = "",
    more: Iterable[tuple[str, str]] = (),
    back: str = "",
) -> HttpResponse:
    """Return the page. Its form sends what this request sent, and that it is confirmed.

    Args:
        email: The mail in question, if it is one alone.
        form: What is to be chosen.
        action: Address that the form goes to, if not this one.
        more: What the form sends besides, unseen.
        back: Address of the page to which those go back who do not want it; else the mail, or the list.
    """
    site, opts = modeladmin.admin_site, modeladmin.opts
    listing = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist", current_app=site.name)
    steps = [(listing, capfirst(opts.verbose_name_plural))]
    back = back or listing
    own = {"csrfmiddlewaretoken", CONFIRMED, SEEN, MARK, *(form.fields if form else ())}
    hidden = [(name, value) for name, values in request.POST.lists() if name not in own for value in values]
    if email is not None:
        back = reverse("admin:post_office_email_change", args=[quote(email.pk)], current_app=site.name)
        steps.append((back, Truncator(email).words(18)))
        hidden.append((SEEN, request.POST.get(SEEN, seen(email))))
    context = {
        **(_facts(email) if email else {}),
        **site.each_context(request),
        "title": title,
        "subtitle": None,
        "question": question,
        "button": button,
        "back": back,
        "action": action,
        "form": form,
        "hidden": [*hidden, *more, (MARK, mark_of(request) or secrets.token_hex(16)), (CONFIRMED, "yes")],
        "original": email,
        "opts": opts,
        "steps": steps,
        "breadcrumbs_are_a_list": compat.ADMIN_BREADCRUMBS_ARE_A_LIST,
        "media": modeladmin.media,
    }
    request.current_app = site.name
    return TemplateResponse(request, TEMPLATE, context)


def _facts(email: Email) -> dict[str, object]:
    subject = preview.subject(email)
    return {
        "recipients": join_mailboxes([*email.to, *email.cc, *email.bcc]),
        "subject": subject.reason if isinstance(subject, preview.Unrenderable) else subject,
        "status": status_badge(email),
    }
