"""Texts that were rendered on delivery, kept as they were sent.

A template may be changed or deleted later, and so may what it includes: only the texts themselves say
what a reader got. From `rendered_at` on the columns of the mail hold them, beside its context, and
nothing is rendered any more. Mail whose template is about to be deleted is rendered first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.db.models.signals import pre_delete
from django.utils import timezone

from ..conf import conf
from ..given import subject_column
from ..headers import storable
from ..models import Email, EmailTemplate
from . import attachments
from .templates import Rendered, render_on_delivery

logger = logging.getLogger("post_office")


def keep_as_sent(emails: Sequence[Email], now: datetime) -> None:
    """Keep the texts of mail that was sent just now, where they were rendered for that.

    It is sent and settled: whatever goes wrong here is logged, and changes nothing about that.
    """
    rendered = [(email, email._rendered) for email in emails if email._rendered is not None]
    if not rendered or not conf.KEEP_RENDERED:
        return
    using = router.db_for_write(Email)
    try:
        with transaction.atomic(using=using):
            kept = [(email, _keep(email, texts, using, now)) for email, texts in rendered]
    except Exception:
        logger.exception("What %d emails said cannot be kept; they were sent.", len(rendered))
        return
    for email, columns in kept:
        for name, value in columns.items():
            setattr(email, name, value)


def connect() -> None:
    """Connect what must happen when a template is deleted."""
    pre_delete.connect(_freeze, sender=EmailTemplate, dispatch_uid="post_office.freeze_mail")


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
        _keep(email, rendered, using, timezone.now())


def _keep(email: Email, rendered: Rendered, using: str, now: datetime) -> dict[str, Any]:
    """Write the texts and the images of a mail. Returns the columns and what they hold now."""
    columns = {
        "subject": subject_column(rendered.subject),
        "message": storable(rendered.message),
        "html_message": storable(rendered.html_message),
        "rendered_at": now,
    }
    Email.objects.using(using).filter(pk=email.pk).update(**columns)
    if rendered.images:
        attachments.add_images(email, rendered.images)
    return columns
