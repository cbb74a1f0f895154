"""Templates that are being written: what is wrong with them, what they use, and what they would send.

Nothing here is saved or kept, and nothing that a template does wrong is raised: it is told, with its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.template import TemplateSyntaxError
from django.utils.translation import gettext as _

from ..exceptions import EndlessTemplate
from ..models import EmailTemplate
from ..validators import validate_sample_context
from . import templates
from .engines import FIELDS, Text, compiled_to_debug
from .inline import InlineImage
from .templates import Rendered
from .variables import in_order
from .variables import variables as variables_in

ARGUMENTS = {field: argument for argument, field in FIELDS.items()}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with a template.

    Attributes:
        field: "subject", "content", "html_content" or "sample_context".
        message: A sentence of whoever found it.
        line, column: Where, from 1; None where that is not known.
        template: The name of another template in which it is, such as an included one.
    """

    field: str
    message: str
    line: int | None = None
    column: int | None = None
    template: str = ""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a template would send. A text with a problem is empty."""

    rendered: Rendered
    problems: tuple[Problem, ...] = ()


def check(source: str, *, field: str = "content") -> list[Problem]:
    """Return what keeps a text from being a template. The first mistake hides those behind it."""
    text = Text(argument=ARGUMENTS[field], source=source)
    try:
        compiled_to_debug(text)
    except Exception as fault:  # tags raise whatever they like
        return [_problem(field, fault, text)]
    return []


def problems(template: EmailTemplate) -> list[Problem]:
    """Return what is wrong with the texts and the sample context of a template, saved or not."""
    found = [problem for field in ARGUMENTS for problem in check(getattr(template, field), field=field)]
    try:
        if template.sample_context:
            validate_sample_context(template.sample_context)
    except ValidationError as fault:
        found.append(_problem_of_json(fault))
    return found


def variables(template: EmailTemplate) -> list[str]:
    """Return the variables that the texts of a template name, such as "order.total", saved or not.

    A text that does not compile names none.
    """
    names = []
    for argument in FIELDS:
        try:
            names.append(variables_in(compiled_to_debug(_text(argument, template))))
        except Exception:  # `check` says what is wrong
            continue
    return in_order(*names)


def sample_context(template: EmailTemplate) -> dict[str, Any]:
    """Return the sample context of a template, else of its default; empty where there is none to be read."""
    for one in (template, template.default_template):
        try:
            found = json.loads(one.sample_context or "") if one else None
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def render_draft(
    template: EmailTemplate,
    *,
    context: Mapping[str, Any] | None = None,
    language: str = "",
    time_zone: str = "",
) -> Preview:
    """Render a template, saved or not, as a mail would be rendered; one text after another.

    Args:
        context: In place of the sample context.
        language: In place of that of the template.
        time_zone: In place of the active one.
    """
    values = sample_context(template) if context is None else context
    found: list[Problem] = []
    texts: dict[str, str] = {}
    images: list[InlineImage] = []
    for argument, field in FIELDS.items():
        sources = {**dict.fromkeys(FIELDS, ""), argument: getattr(template, field)}
        try:
            rendered = templates.render(
                subject=sources["subject"],
                message=sources["message"],
                html_message=sources["html_message"],
                context=values,
                language=language or template.language,
                time_zone=time_zone,
                template=template.name,
                compile=compiled_to_debug,
            )
        except Exception as fault:  # templates raise whatever they like
            found.append(_problem(field, fault, _text(argument, template)))
            continue
        texts[argument] = getattr(rendered, argument)
        images.extend(rendered.images)
    rendered = Rendered(**{**dict.fromkeys(FIELDS, ""), **texts}, images=tuple(images))
    return Preview(rendered=templates.finished(rendered), problems=tuple(found))


def _text(argument: str, template: EmailTemplate) -> Text:
    return Text(argument=argument, source=getattr(template, FIELDS[argument]), template=template.name)


def _problem(field: str, fault: Exception, text: Text) -> Problem:
    message = str(getattr(fault, "raw_error_message", fault))  # without the name that Django 6 puts before it
    if not isinstance(fault, (TemplateSyntaxError, EndlessTemplate)):
        message = f"{type(fault).__name__}: {message}"
    place = getattr(fault, "template_debug", None)
    if place is None:
        return Problem(field=field, message=message)
    return Problem(
        field=field,
        message=message,
        line=place["line"],
        column=len(place["before"]) + 1,
        template="" if place["name"] == text.place else place["name"],
    )


def _problem_of_json(fault: ValidationError) -> Problem:
    cause, message = fault.__cause__, " ".join(fault.messages)
    if isinstance(cause, json.JSONDecodeError):
        message = _("This is not JSON: %(fault)s") % {"fault": cause.msg}  # the place is told apart
        return Problem(field="sample_context", message=message, line=cause.lineno, column=cause.colno)
    return Problem(field="sample_context", message=message)
