"""Drafts: the one way in which an email comes to be.

A draft is a validated mail that is not yet a row. Whatever can be refused is refused when it is
made, with a sentence that names the argument and the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from email.utils import make_msgid
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.core.mail.utils import DNS_NAME
from django.db.models import DEFERRED, Model
from django.utils import translation

from . import arguments
from .addresses import is_mailbox
from .aliases import validate_alias
from .compat import check_mailbox
from .conf import conf
from .delivery import policies
from .enums import PRIORITY, STATUS
from .exceptions import InvalidArgument
from .given import LONGEST_SENDER, LONGEST_SUBJECT
from .headers import is_storable, validate_header_name, validate_header_value
from .models import Email, EmailTemplate
from .rendering import attachments as files
from .rendering import lookup, templates
from .rendering.attachments import Upload
from .rendering.templates import Texts
from .rendering.verbatim import take_apart

LONGEST_MESSAGE_ID = 255  # of the column


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A mail that may become a row as it is."""

    email: Email
    uploads: tuple[Upload, ...] = field(default=())

    @property
    def is_for_now(self) -> bool:
        return self.email.priority == PRIORITY.now


def draft(
    *,
    template: EmailTemplate | str | None = None,
    context: Mapping[str, Any] | None = None,
    subject: str | None = "",
    message: str | None = "",
    html_message: str | None = "",
    language: str = "",
    time_zone: str = "",
    render_on_delivery: bool = False,
    attachments: Mapping[str, Any] | None = None,
    reader: files.Reader | None = None,
    **addressing: Any,
) -> Draft:
    """Make a draft of the arguments of `mail.send()`: render what is to be rendered now, read the files.

    Args:
        reader: Shared by the drafts of one call, so that each file is read once.
        addressing: What `addressed` takes.
    """
    email = addressed(**addressing)
    subject = arguments.text_of("subject", subject)
    message = arguments.text_of("message", message)
    html_message = arguments.text_of("html_message", html_message)
    arguments.refuse_both_template_and_text(template, subject, message, html_message)
    chosen = chosen_template(template, language)
    images: tuple[Upload, ...] = ()
    if chosen is not None:
        # One that is made of files is no row.
        email.template, email.template_name = chosen if chosen.pk else None, chosen.name
        language = language or chosen.language
    email.language, email.time_zone = language or None, arguments.time_zone_of(time_zone)
    if render_on_delivery:
        _render_later(email, chosen, context)
    else:
        source = chosen or Texts(subject=subject, content=message, html_content=html_message)
        images = _render(email, source, context)
    _validate(email)
    uploads = (reader or files.Reader()).read(attachments)
    return Draft(email=email, uploads=(*images, *uploads))


def verbatim(*, subject: str, message: str, html_message: str, **addressing: Any) -> Draft:
    """Make a draft of texts that are no templates but stand as they are."""
    email = addressed(**addressing)
    email.subject = validate_header_value("subject", subject)
    email.message, email.html_message = message, html_message
    _validate(email)
    return Draft(email=email)


def of_message(message: EmailMessage, *, priority: int | str | None = None, backend: str = "") -> Draft:
    """Make a draft of a message of Django's, which stands as it is: its texts are no templates.

    Raises:
        ValueError: What Django itself refuses, a header name or an address that no mail format allows.
        CannotStore: The message holds an object that cannot be stored.
    """
    taken = take_apart(message)
    _refuse_impossible(message)
    alias = validate_alias(backend)
    email = Email(
        **taken.columns,
        as_given=taken.as_given,
        priority=arguments.parse_priority(conf.DEFAULT_PRIORITY if priority is None else priority),
        status=STATUS.queued,
        message_id=taken.message_id or new_message_id(),
        backend_alias=alias,
        on_unknown=policies.on_unknown(alias),
    )
    email.full_clean(validate_unique=False, validate_constraints=False)
    return Draft(email=email, uploads=taken.uploads)


def _refuse_impossible(message: EmailMessage) -> None:
    for name in message.extra_headers:
        validate_header_name("headers", name)
    mailboxes = [("from_email", message.from_email), *(("recipients", item) for item in message.recipients())]
    for argument, mailbox in mailboxes:
        try:
            check_mailbox(str(mailbox))
        except ValueError as fault:
            raise InvalidArgument(f"{argument}: {fault}") from fault


def addressed(
    *,
    recipients: Any = None,
    sender: str | None = None,
    cc: Any = None,
    bcc: Any = None,
    headers: Mapping[str, Any] | None = None,
    priority: int | str | None = None,
    scheduled_time: date | None = None,
    expires_at: date | None = None,
    backend: str = "",
    tags: Iterable[str] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    related_object: Model | None = None,
    idempotency_key: str | None = None,
    max_retries: int | None = None,
    on_unknown: str | None = None,
) -> Email:
    """Return an unsaved email without texts: from whom, to whom, when, how and what about."""
    sender = str(django_settings.DEFAULT_FROM_EMAIL if sender is None else sender)
    valid_headers = arguments.headers_of(headers)
    alias = validate_alias(backend)
    return _new_email(
        to=arguments.mailboxes("recipients", recipients),
        # The old prefix, which callers may look for.
        cc=arguments.mailboxes("c", cc),
        bcc=arguments.mailboxes("bcc", bcc),
        from_email=validate_header_value("sender", sender),
        headers=valid_headers,
        priority=arguments.parse_priority(conf.DEFAULT_PRIORITY if priority is None else priority),
        scheduled_time=arguments.moment("scheduled_time", scheduled_time),
        expires_at=arguments.moment("expires_at", expires_at),
        status=STATUS.queued,
        message_id=_message_id_in(valid_headers) or new_message_id(),
        backend_alias=alias,
        max_retries=arguments.retries_of(max_retries),
        on_unknown=arguments.policy_of(on_unknown) or policies.on_unknown(alias),
        tags=arguments.tags_of(tags),
        metadata=arguments.metadata_of(metadata),
        idempotency_key=arguments.key_of(idempotency_key),
        **arguments.columns_of(related_object),
    )


def _message_id_in(headers: Mapping[str, str] | None) -> str | None:
    return next(
        (value.strip() for name, value in (headers or {}).items() if name.lower() == "message-id"), None
    )


def _render(
    email: Email, template: EmailTemplate | Texts, context: Mapping[str, Any] | None
) -> tuple[Upload, ...]:
    """Fill in the texts, rendered now; returns the images that they show."""
    rendered = templates.render_template(
        template,
        arguments.context_of(context),
        language=email.language or "",
        time_zone=email.time_zone or "",
    )
    email.subject, email.message = rendered.subject, rendered.message
    email.html_message = rendered.html_message
    return files.image_uploads(rendered.images)


def _render_later(email: Email, template: EmailTemplate | None, context: Mapping[str, Any] | None) -> None:
    """Keep template and context, once it is sure that the template compiles."""
    if template is None:
        raise InvalidArgument(
            "render_on_delivery: True needs a template to render; give its name in template."
        )
    templates.check_syntax(
        engine=template.found_by or conf.TEMPLATE_ENGINE,
        subject=template.subject,
        message=template.content,
        html_message=template.html_content,
    )
    email.context = arguments.context_of(context)


def chosen_template(template: EmailTemplate | str | None, language: str) -> EmailTemplate | None:
    """Return the template in that language. Raises `EmailTemplate.DoesNotExist`."""
    if isinstance(template, EmailTemplate):
        return lookup.translation_of(template, language)
    if template is not None:
        return lookup.find(template, language)
    if language and not translation.check_for_language(language):
        raise InvalidArgument(f"language: {language!r} is not a language that Django knows.")
    return None


def new_message_id() -> str:
    """Return a Message-ID (RFC 5322, section 3.6.4); the mail keeps it over all its attempts."""
    return make_msgid(domain=conf.MESSAGE_ID_FQDN or str(DNS_NAME))


def _new_email(**columns: Any) -> Email:
    """Return what `Email(**columns)` would, in a third of the time."""
    defaults, places = _defaults()
    values: Any = defaults.copy()
    for name, value in columns.items():
        values[places[name]] = value
    return Email(*values)


@cache
def _defaults() -> tuple[list[Any], dict[str, int]]:
    """Return the columns of an email of which nothing is said, and the place of each."""
    fields = Email._meta.concrete_fields
    values = [DEFERRED if field.generated else field.get_default() for field in fields]
    return values, {field.name: place for place, field in enumerate(fields)}


def _validate(email: Email) -> None:
    """Refuse what the model refuses, and what a database or a header could not hold."""
    for argument in ("subject", "message", "html_message"):
        if not is_storable(getattr(email, argument)):
            raise InvalidArgument(
                f"{argument}: a null character or half of a surrogate pair cannot be stored."
            )
    if not _is_plain(email):
        # The template was loaded a moment ago; there is no need to ask for it again.
        email.full_clean(exclude={"template"}, validate_unique=False, validate_constraints=False)


def _is_plain(email: Email) -> bool:
    """Return whether the model could refuse nothing of this email, as is so of nearly all.

    Its arguments were checked one by one; what is left are lengths, choices, and what must fit together.
    """
    return (
        0 < len(email.from_email) <= LONGEST_SENDER
        and len(email.subject) <= LONGEST_SUBJECT
        and len(email.message_id or "") <= LONGEST_MESSAGE_ID
        and email.priority in PRIORITY
        and email.context is None
        and email.expires_at is None
        and not email.related_type
        and is_mailbox(email.from_email)
    )


def each(many: Iterable[Mapping[str, Any]]) -> list[Draft]:
    """Make a draft of each dict of arguments, reading every file once."""
    reader = files.Reader()
    return [draft(**kwargs, reader=reader) for kwargs in many]
