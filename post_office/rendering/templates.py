"""What a template renders to.

Subject and plain text are rendered without HTML escaping, since they are not HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from django.template import Context
from django.template import Template as DjangoTemplate
from django.utils import timezone, translation

from ..conf import conf
from ..exceptions import EndlessTemplate, TemplateGone, UnreadableColumn
from ..models import Email, EmailTemplate
from ..packing import Unreadable
from . import finish, lookup
from .engines import Text, backend_named, compiled, looking_for
from .inline import InlineImage, collecting
from .lookup import cache as cache
from .lookup import cache_key as cache_key
from .lookup import get_email_template as get_email_template
from .lookup import translation_of as translation_of

Compile = Callable[[Text], Any]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The texts of one mail, and the images that its HTML shows."""

    subject: str
    message: str
    html_message: str
    images: tuple[InlineImage, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What a mail is rendered from that has no template: as much of one as rendering needs."""

    subject: str
    content: str
    html_content: str
    name: str = ""
    language: str = ""
    found_by: str = ""


def render(
    *,
    subject: str,
    message: str,
    html_message: str,
    context: Mapping[str, Any],
    language: str = "",
    time_zone: str = "",
    engine: str = "",
    template: str = "",
    compile: Compile | None = None,
) -> Rendered:
    """Render the three texts of a mail with one context.

    Args:
        language: Active while rendering; empty leaves the active one.
        time_zone: The same.
        engine: Alias in TEMPLATES; empty means Django's default engine.
        template: The name of the template that they are of.
        compile: In place of the engine.

    Raises:
        InvalidTemplate: One of the texts does not compile; names which.
        EndlessTemplate: One of them extends or includes itself.
    """
    sources = {"subject": subject, "message": message, "html_message": html_message}
    # Asked for the engine only by a text with tags: a project without one sends mail, too.
    compile = compile or (lambda text: compiled(text, backend_named(engine)))
    around = _circumstances(language, time_zone) if language or time_zone else nullcontext()
    with around, collecting() as images:
        texts = {
            argument: _render_text(
                Text(argument=argument, source=source, template=template, language=language), context, compile
            )
            for argument, source in sources.items()
        }
    return finished(
        Rendered(
            subject=one_line(texts["subject"]),
            message=texts["message"],
            html_message=texts["html_message"],
            images=tuple(images.values()),
        )
    )


def finished(rendered: Rendered) -> Rendered:
    """Return the texts with what INLINE_CSS and TEXT_FROM_HTML ask for."""
    html = finish.inline_css(rendered.html_message)
    message = rendered.message if rendered.message.strip() else finish.text_of(rendered.html_message)
    if html == rendered.html_message and (not message or message == rendered.message):
        return rendered
    return replace(rendered, html_message=html, message=message or rendered.message)


def render_template(
    template: EmailTemplate | Texts,
    context: Mapping[str, Any],
    *,
    language: str = "",
    time_zone: str = "",
    engine: str = "",
) -> Rendered:
    """Render a template, of the database or made of files. The language is the template's where not given.

    Raises what `render` raises.
    """
    return render(
        subject=template.subject,
        message=template.content,
        html_message=template.html_content,
        context=context,
        language=language or template.language,
        time_zone=time_zone,
        engine=template.found_by or engine,
        template=template.name,
    )


def render_on_delivery(email: Email) -> Rendered:
    """Return the texts of a stored mail, rendered from its template where it waits for that.

    Raises:
        TemplateGone: There is no such template any more.
    """
    if not is_to_be_rendered(email):
        return Rendered(subject=email.subject, message=email.message, html_message=email.html_message)
    email._rendered = _render_stored(email, template_of(email))
    return email._rendered


def subject_on_delivery(email: Email) -> str:
    """Return the subject of a stored mail alone, without loading or rendering its bodies.

    Raises what `render_on_delivery` does.
    """
    if not is_to_be_rendered(email):
        return email.subject
    template = template_of(email)
    subject = Texts(
        subject=template.subject,
        content="",
        html_content="",
        name=template.name,
        language=template.language,
        found_by=template.found_by,
    )
    return _render_stored(email, subject).subject


def _render_stored(email: Email, template: EmailTemplate | Texts) -> Rendered:
    return render_template(
        template,
        stored_context(email),
        language=email.language or "",
        time_zone=email.time_zone or "",
        engine=conf.TEMPLATE_ENGINE,
    )


def is_to_be_rendered(email: Email) -> bool:
    """Return whether the texts of a mail are still to be made from its template."""
    has_template = email.template_id is not None or bool(email.template_name)
    return has_template and email.context is not None and email.rendered_at is None


def template_of(email: Email) -> EmailTemplate:
    """Return the template of a mail that is to be rendered. Raises `TemplateGone`."""
    if email.template is not None:
        return email.template
    try:
        # Made of files, or of the database again.
        return lookup.find(email.template_name, email.language or "")
    except EmailTemplate.DoesNotExist:
        raise TemplateGone(email.template_name) from None


def stored_context(email: Email) -> Mapping[str, Any]:
    """Return the context of a mail that is rendered on delivery. Raises `UnreadableColumn`."""
    if isinstance(email.context, Unreadable):
        raise UnreadableColumn("context", email.context.fault) from email.context.fault
    return email.context or {}


def check_syntax(*, engine: str = "", **sources: str) -> None:
    """Compile texts without rendering them. Raises `InvalidTemplate`, naming the argument."""
    for argument, source in sources.items():
        if "{" in source:
            compiled(Text(argument=argument, source=source), backend_named(engine))


def one_line(subject: str) -> str:
    """Fold the lines of a subject into one; a header field has no others."""
    return " ".join(line.strip() for line in subject.splitlines()).strip() if subject else subject


def _render_text(text: Text, context: Mapping[str, Any], compile: Compile) -> str:
    if "{" not in text.source:
        return text.source
    with looking_for(text) as used:
        try:
            return _plain(_render_compiled(compile(text), context, text.is_html))
        except EndlessTemplate:
            raise
        except RecursionError as fault:
            raise EndlessTemplate(text.argument, [text.template, *used]) from fault


def _render_compiled(template: Any, context: Mapping[str, Any], is_html: bool) -> str:
    if not isinstance(template, DjangoTemplate):  # of Jinja2 or another engine
        return str(template.render(dict(context)))
    return template.render(Context(dict(context), autoescape=is_html and template.engine.autoescape))


def _plain(text: str) -> str:
    """Return text without the mark of Django's SafeString, which `str()` keeps.

    What is safe in a mail is not so in a page that shows the mail.
    """
    return str.__str__(text)


@contextmanager
def _circumstances(language: str, time_zone: str) -> Iterator[None]:
    with (
        translation.override(language) if language else nullcontext(),
        timezone.override(ZoneInfo(time_zone)) if time_zone else nullcontext(),
    ):
        yield
