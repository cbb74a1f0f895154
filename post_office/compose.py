"""Drafts: the one way in which an email comes to be.

A draft is a validated mail that is not yet a row. Whatever can be refused is refused when it is
made, with a sentence that names the argument and the value; making rows of drafts is one
transaction, so that a fault leaves none behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from email.utils import make_msgid
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.mail.utils import DNS_NAME
from django.db import connections as databases
from django.db import router, transaction
from django.db.models import Model
from django.utils import timezone, translation
from django.utils.dateparse import parse_date, parse_datetime

from .addresses import validate_mailbox
from .compat import check_mailbox
from .conf import conf
from .delivery.connections import validate_alias
from .enums import PRIORITY, STATUS
from .exceptions import InvalidArgument
from .given import metadata_column, tags_column
from .headers import is_storable, validate_header_name, validate_header_value, validate_headers
from .models import Email, EmailTemplate, Worker
from .rendering import attachments as files
from .rendering import templates
from .rendering.attachments import Upload
from .rendering.verbatim import take_apart


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A mail that may become a row as it is."""

    email: Email
    uploads: tuple[Upload, ...] = field(default=())

    @property
    def is_for_now(self) -> bool:
        return self.email.priority == PRIORITY.now


# --- making a draft ---------------------------------------------------------------------------


def draft(
    *,
    template: EmailTemplate | str | None = None,
    context: Mapping[str, Any] | None = None,
    subject: str = "",
    message: str = "",
    html_message: str = "",
    language: str = "",
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
    refuse_both_template_and_text(template, subject, message, html_message)
    chosen = chosen_template(template, language)
    images: tuple[Upload, ...] = ()
    if render_on_delivery:
        _render_later(email, chosen, context)
    elif chosen is None:
        images = _render(email, subject, message, html_message, context)
    else:
        email.template, email.template_name = chosen, chosen.name
        images = _render(
            email, chosen.subject, chosen.content, chosen.html_content, context, language=chosen.language
        )
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
    email = Email(
        **taken.columns,
        as_given=taken.as_given,
        source=taken.source,
        priority=parse_priority(conf.DEFAULT_PRIORITY if priority is None else priority),
        status=STATUS.queued,
        message_id=taken.message_id or new_message_id(),
        backend_alias=validate_alias(backend),
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
) -> Email:
    """Return an unsaved email without texts: from whom, to whom, when, how and what about."""
    sender = str(django_settings.DEFAULT_FROM_EMAIL if sender is None else sender)
    valid_headers = validate_headers("headers", headers)
    return Email(
        to=mailboxes("recipients", recipients),
        # The old prefix, which callers may look for.
        cc=mailboxes("c", cc),
        bcc=mailboxes("bcc", bcc),
        from_email=validate_header_value("sender", sender),
        headers=valid_headers,
        priority=parse_priority(conf.DEFAULT_PRIORITY if priority is None else priority),
        scheduled_time=moment("scheduled_time", scheduled_time),
        expires_at=moment("expires_at", expires_at),
        status=STATUS.queued,
        message_id=_message_id_in(valid_headers) or new_message_id(),
        backend_alias=validate_alias(backend),
        tags=_tags(tags),
        metadata=_metadata(metadata),
        **_related(related_object),
    )


def _message_id_in(headers: Mapping[str, str] | None) -> str | None:
    return next(
        (value.strip() for name, value in (headers or {}).items() if name.lower() == "message-id"), None
    )


def _tags(tags: Any) -> list[str] | None:
    if tags is None:
        return None
    chosen = [tags] if isinstance(tags, str) else tags
    column = tags_column(list(chosen) if isinstance(chosen, (set, frozenset)) else chosen)
    if chosen and column is None:
        raise InvalidArgument(f"tags: {tags!r} is not a list of labels, each one line of text.")
    return column


def _metadata(metadata: Any) -> dict[str, Any] | None:
    if metadata is None:
        return None
    column = metadata_column(metadata)
    if column is None:
        raise InvalidArgument(f"metadata: {metadata!r} is not a dict of names to plain values of JSON.")
    return column


def _related(related_object: Model | None) -> dict[str, str]:
    if related_object is None:
        return {}
    if not isinstance(related_object, Model) or related_object.pk is None:
        raise InvalidArgument(f"related_object: {related_object!r} is not a saved object of a model.")
    return {"related_type": related_object._meta.label_lower, "related_id": str(related_object.pk)}


def _render(
    email: Email,
    subject: str,
    message: str,
    html_message: str,
    context: Mapping[str, Any] | None,
    language: str = "",
) -> tuple[Upload, ...]:
    """Fill in the texts, rendered now; returns the images that they show."""
    rendered = templates.render(
        subject=subject,
        message=message,
        html_message=html_message,
        context=_context(context),
        language=language,
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
        engine=conf.TEMPLATE_ENGINE,
        subject=template.subject,
        message=template.content,
        html_message=template.html_content,
    )
    email.template, email.template_name = template, template.name
    email.context = _context(context)


def mailboxes(argument: str, value: Any) -> list[str]:
    """Return recipients as a list. A str is one mailbox; a list has one mailbox in each item.

    Raises ValidationError, naming the argument and the item.
    """
    if value is None:
        return []
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Iterable) or isinstance(items, (bytes, Mapping)):
        raise InvalidArgument(f"{argument}: {value!r} is neither an address nor a list of addresses.")
    checked = [str(item) for item in items]
    for item in checked:
        try:
            validate_mailbox(item)
        except ValidationError as fault:
            raise ValidationError(f"{argument}: {item} is not a valid email address") from fault
    return checked


def parse_priority(value: int | str) -> int:
    """Return a priority as a number. Raises ValueError for a name that is none."""
    if isinstance(value, str):
        try:
            return int(getattr(PRIORITY, value))
        except (AttributeError, TypeError):
            names = ", ".join(PRIORITY._fields)
            raise InvalidArgument(f"Invalid priority, must be one of: {names}") from None
    return value


def moment(argument: str, value: Any) -> datetime | None:
    """Return a date or datetime as a datetime that fits USE_TZ; a date means its first moment.

    Text in ISO 8601 is taken, too, as by the model's own field.
    """
    if value is None:
        return None
    found = _moment_in(value) if isinstance(value, str) else value
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time())
    if not isinstance(found, datetime):
        raise InvalidArgument(f"{argument}: {value!r} is neither a date nor a datetime.")
    if django_settings.USE_TZ and timezone.is_naive(found):
        return timezone.make_aware(found)
    if not django_settings.USE_TZ and timezone.is_aware(found):
        return timezone.make_naive(found)
    return found


def _moment_in(text: str) -> date | None:
    try:
        return parse_datetime(text) or parse_date(text)
    except ValueError:  # a date that no calendar has
        return None


def refuse_both_template_and_text(template: Any, subject: str, message: str, html_message: str) -> None:
    if template is None:
        return
    for name, value in (("subject", subject), ("message", message), ("html_message", html_message)):
        if value:
            raise InvalidArgument(f'You can\'t specify both "template" and "{name}" arguments')


def chosen_template(template: EmailTemplate | str | None, language: str) -> EmailTemplate | None:
    """Return the template in that language. Raises `EmailTemplate.DoesNotExist`."""
    if isinstance(template, EmailTemplate):
        return templates.translation_of(template, language)
    if template is not None:
        return templates.get_email_template(template, language)
    if language and not translation.check_for_language(language):
        raise InvalidArgument(f"language: {language!r} is not a language that Django knows.")
    return None


def new_message_id() -> str:
    """Return a Message-ID (RFC 5322, section 3.6.4); the mail keeps it over all its attempts."""
    return make_msgid(domain=conf.MESSAGE_ID_FQDN or str(DNS_NAME))


def _context(context: Mapping[str, Any] | None) -> dict[str, Any]:
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        raise InvalidArgument(f"context: {context!r} is not a dict.")
    return dict(context)


def _validate(email: Email) -> None:
    """Refuse what the model refuses, and what a database or a header could not hold."""
    for argument in ("subject", "message", "html_message"):
        if not is_storable(getattr(email, argument)):
            raise InvalidArgument(
                f"{argument}: a null character or half of a surrogate pair cannot be stored."
            )
    # The template was loaded a moment ago; there is no need to ask for it again.
    email.full_clean(exclude={"template"}, validate_unique=False, validate_constraints=False)


# --- from drafts to rows ----------------------------------------------------------------------


def store(drafts: Sequence[Draft], *, holder: Worker | None = None) -> list[Email]:
    """Make rows of drafts, with their attachments, in one transaction. Returns saved emails.

    Args:
        holder: A worker that holds the mail from its first moment.
    """
    emails = [item.email for item in drafts]
    if holder is not None:
        for email in emails:
            email.worker, email.claimed_at, email.claims = holder, timezone.now(), 1
    kept = files.Store()
    using = router.db_for_write(Email)
    try:
        with transaction.atomic(using=using):
            _insert(emails, using)
            files.link([(item.email, item.uploads) for item in drafts if item.uploads], kept)
    except BaseException:
        kept.undo()
        raise
    return emails


def _insert(emails: Sequence[Email], using: str) -> None:
    if len(emails) > 1 and databases[using].features.can_return_rows_from_bulk_insert:
        Email.objects.using(using).bulk_create(emails)
        return
    for email in emails:
        # Validated already, and save() would do it again.
        email.save_base(using=using, force_insert=True)


def each(arguments: Iterable[Mapping[str, Any]]) -> list[Draft]:
    """Make a draft of each dict of arguments, reading every file once."""
    reader = files.Reader()
    return [draft(**kwargs, reader=reader) for kwargs in arguments]
