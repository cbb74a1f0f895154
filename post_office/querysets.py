"""Adjectives for emails: which rows, in words. They read; what changes rows is in queue/."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.db.models import Q

from .enums import OPEN

if TYPE_CHECKING:
    from .models import Email, EmailTemplate  # noqa: F401 - Email is named in a string below


class EmailQuerySet(models.QuerySet["Email"]):
    def primary(self) -> EmailQuerySet:
        """Of the database that is written to; a replica would show the queue of a while ago."""
        return self.using(router.db_for_write(self.model))

    def unfinished(self) -> EmailQuerySet:
        """Still to be sent, now or later."""
        return self.filter(status__in=OPEN)

    def finished(self) -> EmailQuerySet:
        """Sent, failed, expired or canceled; also rows without a status, which nothing will send."""
        return self.filter(~Q(status__in=OPEN) | Q(status__isnull=True))

    def due(self, now: datetime) -> EmailQuerySet:
        """Unfinished, with its time come."""
        return self.unfinished().filter(due_at__lte=now)

    def expired(self, now: datetime) -> EmailQuerySet:
        """Unfinished and past its `expires_at`."""
        return self.unfinished().filter(expires_at__lte=now)

    def unexpired(self, now: datetime) -> EmailQuerySet:
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))

    def unheld(self) -> EmailQuerySet:
        """Not claimed by any worker."""
        return self.filter(worker__isnull=True)

    def held(self) -> EmailQuerySet:
        return self.filter(worker__isnull=False)

    def claimable(self, now: datetime) -> EmailQuerySet:
        """What a worker may take at this moment."""
        return self.due(now).unexpired(now).unheld()

    def held_by(self, worker_id: Any) -> EmailQuerySet:
        """Claimed by this worker and not settled yet."""
        return self.unfinished().filter(worker_id=worker_id)

    def orphaned(self, aliases: list[str]) -> EmailQuerySet:
        """Unfinished, but for a backend that is none of these aliases: nobody will claim it."""
        return self.unfinished().exclude(backend_alias__in=["", *aliases])

    def tagged(self, tag: str) -> EmailQuerySet:
        """With this tag, exactly."""
        return self.filter(tags__contains=f"\n{tag}\n")

    def about(self, related_object: models.Model) -> EmailQuerySet:
        """Queued with this `related_object`."""
        return self.filter(related_type=related_object._meta.label_lower, related_id=str(related_object.pk))

    def to_be_rendered(self, template: EmailTemplate) -> EmailQuerySet:
        """Unfinished, and to be rendered from this template when delivered."""
        return self.unfinished().filter(template=template, context__isnull=False)


class EmailTemplateManager(models.Manager["EmailTemplate"]):
    def get_by_natural_key(
        self, name: str, language: str, default_template: EmailTemplate | int | None
    ) -> EmailTemplate:
        return self.get(name=name, language=language, default_template=default_template)
