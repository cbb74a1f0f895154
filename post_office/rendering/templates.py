"""Which template text serves a name and a language, and what it renders to.

Templates are looked up through the cache, by a key that is exact, and forgotten there when they
are saved or deleted. Compiled text is kept by its source. Subject and plain text are rendered
without HTML escaping, since they are not HTML.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import transaction
from django.db.models.signals import post_delete, post_init, post_save, pre_delete
from django.template import Context, Engine, TemplateSyntaxError, engines
from django.utils import translation

from ..conf import conf
from ..exceptions import InvalidTemplate, TemplateGone, UnreadableColumn
from ..models import Email, EmailTemplate
from ..packing import Unreadable
from . import attachments
from .inline import InlineImage, collecting


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The texts of one mail, and the images that its HTML shows."""

    subject: str
    message: str
    html_message: str
    images: tuple[InlineImage, ...] = ()


# --- which template ---------------------------------------------------------------------------


def get_email_template(name: str, language: str = "") -> EmailTemplate:
    """Return the template of this name, in this language or the default one.

    Raises:
        EmailTemplate.DoesNotExist: There is none; another language is not tried.
        EmailTemplate.MultipleObjectsReturned: Two default templates bear this name.
    """
    if not _cache_is_on():
        return _load(name, language)
    key = cache_key(name, language)
    template: EmailTemplate | None = cache().get(key)
    if template is None:
        template = _load(name, language)
        cache().set(key, template)
    return template


def translation_of(template: EmailTemplate, language: str) -> EmailTemplate:
    """Return this template in another language. Raises `EmailTemplate.DoesNotExist`."""
    if not language or template.language == language:
        return template
    try:
        return template.translated_templates.get(language=language)
    except EmailTemplate.DoesNotExist:
        raise EmailTemplate.DoesNotExist(_no_such_template(template.name, language)) from None


def _load(name: str, language: str) -> EmailTemplate:
    try:
        return EmailTemplate.objects.get(name=name, language=language)
    except EmailTemplate.DoesNotExist:
        raise EmailTemplate.DoesNotExist(_no_such_template(name, language)) from None


def _no_such_template(name: str, language: str) -> str:
    wanted = f" in language {language!r}" if language else ""
    return f"template: there is no EmailTemplate named {name!r}{wanted}."


def cache() -> BaseCache:
    """Return the cache named post_office in CACHES, or the default one."""
    return caches["post_office" if "post_office" in settings.CACHES else "default"]


def cache_key(name: str, language: str = "") -> str:
    """Return the exact key of a name and a language, in characters that any cache accepts."""
    digest = hashlib.sha256(f"{name}\0{language}".encode()).hexdigest()
    return f"post_office:template:{digest}"


def _cache_is_on() -> bool:
    return bool(
        getattr(settings, "POST_OFFICE_CACHE", True) and getattr(settings, "POST_OFFICE_TEMPLATE_CACHE", True)
    )


# --- what it renders to -----------------------------------------------------------------------


def render(
    *,
    subject: str,
    message: str,
    html_message: str,
    context: Mapping[str, Any],
    language: str = "",
    engine: str = "",
) -> Rendered:
    """Render the three texts of a mail with one context.

    Args:
        language: Active while rendering; empty leaves the active one.
        engine: Alias in TEMPLATES; empty means Django's default engine.

    Raises:
        InvalidTemplate: One of the texts does not compile; names which.
    """
    with translation.override(language) if language else nullcontext(), collecting() as images:
        return Rendered(
            subject=one_line(_render_text("subject", subject, context, engine, is_html=False)),
            message=_render_text("message", message, context, engine, is_html=False),
            html_message=_render_text("html_message", html_message, context, engine, is_html=True),
            images=tuple(images.values()),
        )


def render_on_delivery(email: Email) -> Rendered:
    """Return the texts of a stored mail, rendered from its template where it waits for that."""
    if email.template is None and email.context is not None and email.template_name:
        raise TemplateGone(email.template_name)
    if email.template is None or email.context is None:
        return Rendered(subject=email.subject, message=email.message, html_message=email.html_message)
    return render(
        subject=email.template.subject,
        message=email.template.content,
        html_message=email.template.html_content,
        context=stored_context(email),
        language=email.template.language,
        engine=conf.TEMPLATE_ENGINE,
    )


def stored_context(email: Email) -> Mapping[str, Any]:
    """Return the context of a mail that is rendered on delivery. Raises `UnreadableColumn`."""
    if isinstance(email.context, Unreadable):
        raise UnreadableColumn("context", email.context.fault) from email.context.fault
    return email.context or {}


def check_syntax(*, engine: str = "", **sources: str) -> None:
    """Compile texts without rendering them. Raises `InvalidTemplate`, naming the argument."""
    for argument, source in sources.items():
        if "{" in source:
            _compiled(argument, source, engine)


def one_line(subject: str) -> str:
    """Fold the lines of a subject into one; a header field has no others."""
    return " ".join(line.strip() for line in subject.splitlines()).strip() if subject else subject


def _render_text(
    argument: str, source: str, context: Mapping[str, Any], engine: str, *, is_html: bool
) -> str:
    if "{" not in source:
        return source
    compiled = _compiled(argument, source, engine)
    django_template = getattr(compiled, "template", None)
    if django_template is None:  # Jinja2 or another engine, which has its own way of escaping
        return _plain(compiled.render(dict(context)))
    autoescape = is_html and django_template.engine.autoescape
    return _plain(django_template.render(Context(dict(context), autoescape=autoescape)))


def _plain(text: str) -> str:
    """Return text without the mark of Django's SafeString, which `str()` keeps.

    What is safe in a mail is not so in a page that shows the mail.
    """
    return str.__str__(text)


def _compiled(argument: str, source: str, engine: str) -> Any:
    backend = engines[engine] if engine else _default_backend()
    try:
        return _compile(backend, source)
    except TemplateSyntaxError as fault:
        raise InvalidTemplate(argument, source, fault) from fault


def _default_backend() -> Any:
    default = Engine.get_default()
    return next(backend for backend in engines.all() if getattr(backend, "engine", None) is default)


@lru_cache(maxsize=512)
def _compile(backend: Any, source: str) -> Any:
    # The backend is part of the key: changed TEMPLATES make new ones.
    return backend.from_string(source)


# --- receivers --------------------------------------------------------------------------------


def connect() -> None:
    """Connect what must happen when a template is saved or deleted."""
    post_init.connect(_remember, sender=EmailTemplate, dispatch_uid="post_office.remember_template")
    post_save.connect(_forget, sender=EmailTemplate, dispatch_uid="post_office.forget_saved_template")
    post_delete.connect(_forget, sender=EmailTemplate, dispatch_uid="post_office.forget_deleted_template")
    pre_delete.connect(_freeze, sender=EmailTemplate, dispatch_uid="post_office.freeze_mail")


def _remember(sender: type[EmailTemplate], instance: Any, **kwargs: Any) -> None:
    """Note the name under which a loaded template may be cached, for when it is renamed."""
    if not instance.get_deferred_fields() & {"name", "language"}:
        instance._cached_as = (instance.name, instance.language)


def _forget(sender: type[EmailTemplate], instance: Any, using: str, **kwargs: Any) -> None:
    names = {(instance.name, instance.language), getattr(instance, "_cached_as", ("", ""))}
    keys = [cache_key(*name) for name in names]
    cache().delete_many(keys)
    # Another process may read the old row and cache it again until this transaction commits.
    transaction.on_commit(partial(cache().delete_many, keys), using=using)
    instance._cached_as = (instance.name, instance.language)


def _freeze(sender: type[EmailTemplate], instance: EmailTemplate, using: str, **kwargs: Any) -> None:
    """Render the mail that waits for this template, as long as it is there.

    That includes what is being delivered, since it may come back to the queue. Mail that does not
    render stays as it is, and fails with that reason when its turn comes.
    """
    waiting = Email.objects.using(using).to_be_rendered(instance)
    for email in waiting.select_related("template").iterator():
        try:
            rendered = render_on_delivery(email)
        except Exception:
            continue
        Email.objects.using(using).filter(pk=email.pk).update(
            subject=rendered.subject[:989],
            message=rendered.message,
            html_message=rendered.html_message,
            context=None,
        )
        attachments.add_images(email, rendered.images)
