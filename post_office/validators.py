"""Validators of model fields: addresses with display names, and template syntax."""

import json
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.template import Template, TemplateSyntaxError
from django.utils.encoding import force_str
from django.utils.translation import gettext_lazy as _

from .addresses import validate_mailbox


def validate_email_with_name(value: str) -> None:
    """Accept one mailbox, `ann@example.com` or `Ann <ann@example.com>`.

    Raises ValidationError 'Enter a valid email address.' for anything else.
    """
    validate_mailbox(force_str(value))


def validate_comma_separated_emails(value: Sequence[str]) -> None:
    """Accept a list of mailboxes, each a string of its own."""
    if not isinstance(value, (tuple, list)):
        raise ValidationError(_("Email list must be a list/tuple."))
    for email in value:
        try:
            validate_mailbox(email)
        except ValidationError as error:
            raise ValidationError(
                _("Invalid email: %(email)s"), code="invalid", params={"email": email}
            ) from error


def validate_template_syntax(source: str) -> None:
    """Accept text that Django's default template engine can compile."""
    try:
        Template(source)
    except TemplateSyntaxError as error:
        raise ValidationError(str(error)) from error


def validate_sample_context(text: str) -> None:
    """Accept a JSON object."""
    try:
        context = json.loads(text)
    except ValueError as error:
        raise ValidationError(_("This is not JSON: %(fault)s"), params={"fault": error}) from error
    if not isinstance(context, dict):
        raise ValidationError(_('This is JSON, but not an object such as {"name": "Ann"}.'))
