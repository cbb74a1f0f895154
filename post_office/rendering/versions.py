"""Versions of a template: what it said, since when, and by whom.

Each save that changes what a mail would say makes one. What was changed past `save()`, by an
`update()` or another program, is noticed at the next one, so that no text is lost by overwriting it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.signals import post_save, pre_delete, pre_save
from django.utils import timezone

from ..models import EmailTemplate, TemplateVersion

TEXTS = ("subject", "content", "html_content")
KEPT = ("name", "language", *TEXTS)

_author: ContextVar[str] = ContextVar("post_office_author", default="")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One text of a template that two versions do not have in common.

    Attributes:
        field: "subject", "content" or "html_content"; also "name" and "language".
        lines: As in a unified diff, without its two lines of heading.
    """

    field: str
    lines: tuple[str, ...]


@contextmanager
def saved_by(author: object) -> Iterator[None]:
    """Say who saves the templates that are saved in this block: a user, or a name."""
    token = _author.set(str(author)[:255])
    try:
        yield
    finally:
        _author.reset(token)


def restore(version: TemplateVersion, *, author: object = "") -> EmailTemplate:
    """Let the template say again what it said in this version. That is a new version, too.

    The name stays what it is now, as programs ask for it. Of a deleted template, a new one of the old name
    and language is made; a translation belongs to the default template of its name.

    Raises:
        EmailTemplate.DoesNotExist: It was a translation, and the default template is gone.
    """
    template = version.template or _anew(version)
    for field in TEXTS:
        setattr(template, field, getattr(version, field))
    with saved_by(author):
        template.save()
    return template


def differences(
    old: TemplateVersion | EmailTemplate, new: TemplateVersion | EmailTemplate
) -> list[Difference]:
    """Return what differs between two versions, or between a version and a template."""
    return [
        Difference(field=field, lines=tuple(unified(getattr(old, field), getattr(new, field))))
        for field in KEPT
        if getattr(old, field) != getattr(new, field)
    ]


def unified(old: str, new: str) -> Iterator[str]:
    """Yield the lines of a unified diff, without its two lines of heading."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="")
    yield from list(lines)[2:]


def connect() -> None:
    """Connect what must happen when a template is saved or deleted."""
    pre_save.connect(_before, sender=EmailTemplate, dispatch_uid="post_office.version_before")
    post_save.connect(_after, sender=EmailTemplate, dispatch_uid="post_office.version_after")
    pre_delete.connect(_before, sender=EmailTemplate, dispatch_uid="post_office.version_of_deleted")


def _anew(version: TemplateVersion) -> EmailTemplate:
    known = EmailTemplate.objects.filter(name=version.name, language=version.language).first()
    if known is not None:
        return known
    of_no_other = {"name": version.name, "language": "", "default_template": None}
    default = EmailTemplate.objects.get(**of_no_other) if version.language else None
    return EmailTemplate(name=version.name, language=version.language, default_template=default)


def _before(sender: type[EmailTemplate], instance: EmailTemplate, using: str, **kwargs: Any) -> None:
    """Keep what stands in the database now, which may have come there without our notice."""
    if instance.pk is not None and not (instance._state.adding or kwargs.get("raw")):
        _keep(instance, using, author="", at=None)


def _after(sender: type[EmailTemplate], instance: EmailTemplate, using: str, **kwargs: Any) -> None:
    if not kwargs.get("raw"):  # a fixture may bring versions of its own
        _keep(instance, using, author=_author.get(), at=timezone.now())


def _keep(template: EmailTemplate, using: str, *, author: str, at: datetime | None) -> None:
    """Make a version of what the row says, unless the last one says the same."""
    rows = EmailTemplate.objects.using(using).filter(pk=template.pk)
    row = rows.values(*KEPT, "last_updated").first()
    if row is None:
        return
    since = row.pop("last_updated")
    versions = TemplateVersion.objects.using(using)
    if versions.filter(template_id=template.pk).order_by("-id").values(*KEPT).first() == row:
        return
    versions.create(template_id=template.pk, saved_by=author, saved_at=at or since, **row)
