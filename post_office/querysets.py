"""Adjectives for rows: which of them, in words. They read and lock; what changes rows is elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models, router
from django.db.models import Q, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import Exact

from . import addressees, ages
from .conf import conf
from .enums import OPEN
from .indexes import Beginning

if TYPE_CHECKING:
    from .models import Attachment, Email, EmailTemplate  # noqa: F401 - also named in strings below


# So many mails to an address among others are found, and so many to it alone are looked up before.
NOTED = 10_000
FEW = 1000

ALL, NONE = Q(), Q(pk__in=[])


def _too_old(oldest: datetime) -> Q:
    return Q(first_due_at__isnull=True, due_at__lte=oldest) | Q(first_due_at__lte=oldest)


def _young_enough(oldest: datetime) -> Q:
    return Q(first_due_at__isnull=True, due_at__gt=oldest) | Q(first_due_at__gt=oldest)


def _by_age(now: datetime, condition: Callable[[datetime], Q], *, without_limit: Q) -> Q:
    """Return a condition on age as it is for the mail of each backend."""

    def under(greatest: timedelta | None) -> Q:
        return without_limit if greatest is None else condition(now - greatest)

    of_backends = ages.of_backends()
    if not of_backends:
        return under(conf.MAX_AGE)
    rows = ~Q(backend_alias__in=list(of_backends)) & under(conf.MAX_AGE)
    for alias, greatest in of_backends.items():
        rows |= Q(backend_alias=alias) & under(greatest)
    return rows


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
        """Unfinished and past its `expires_at`, or due for longer than MAX_AGE."""
        too_old = _by_age(now, _too_old, without_limit=NONE)
        return self.unfinished().filter(Q(expires_at__lte=now) | too_old)

    def unexpired(self, now: datetime) -> EmailQuerySet:
        """Not past `expires_at`, and not due for longer than MAX_AGE."""
        rows = self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        return rows.filter(_by_age(now, _young_enough, without_limit=ALL))

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
        line = f"\n{tag}\n"
        if connections[self.db].vendor == "sqlite":
            # LIKE takes "A" for "a" there.
            return self.alias(tag_at=StrIndex("tags", Value(line))).filter(tag_at__gt=0)
        return self.filter(tags__contains=line)

    def about(self, related_object: models.Model) -> EmailQuerySet:
        """Queued with this `related_object`."""
        key = str(related_object.pk)
        about = self.filter(related_type=related_object._meta.label_lower, related_id=key)
        # Equal is what the collation says; this compares as Python does.
        return about.filter(related_id__contains=key)

    def addressed_to(self, address: str) -> EmailQuerySet:
        """With this address among its recipients, as the indexes tell; asks them what there is.

        Of mail that goes not to it alone, the NOTED newest.
        """
        wanted = addressees.normalised(address)
        everything = self.model._default_manager.using(self.db).order_by("-pk")
        noted = everything.filter(addressees__address=wanted).order_by("-addressees__email")
        keys = list(noted.values_list("pk", flat=True)[:NOTED])
        if not keys:
            return self.filter(self._to_alone(wanted))
        # By keys, as with an "or" no database can be trusted to use the indexes of both sides.
        alone = list(everything.filter(self._to_alone(wanted)).values_list("pk", flat=True)[:FEW])
        if len(alone) < FEW:
            return self.filter(pk__in=[*keys, *alone])
        return self.filter(self._to_alone(wanted) | Q(pk__in=keys))

    def _to_alone(self, wanted: str) -> Q:
        if connections[self.db].vendor == "mysql":
            # Compared by the collation of the column, as its index is.
            return Q(to=wanted)
        return Q(Exact(Beginning("to"), wanted))

    def to_be_rendered(self, template: EmailTemplate) -> EmailQuerySet:
        """Unfinished, and to be rendered from this template when delivered."""
        return self.unfinished().filter(template=template, context__isnull=False, rendered_at__isnull=True)


# Locks that any number of transactions may have on one row, and that keep it from being deleted. Django
# has select_for_update() only, with which all that attach one file would wait for each other.
SHARED_LOCKS = {
    "postgresql": "FOR KEY SHARE",
    "mysql": "FOR SHARE",
    "mariadb": "LOCK IN SHARE MODE",
}


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def primary(self) -> AttachmentQuerySet:
        """Of the database that is written to."""
        return self.using(router.db_for_write(self.model))

    def orphaned(self) -> AttachmentQuerySet:
        """Of no mail."""
        return self.filter(emails=None)

    def keep_alive(self) -> set[int]:
        """Keep rows from being deleted until this transaction ends. Returns the keys of those that stay.

        What another is about to delete is left out, and not waited for where the database has SKIP
        LOCKED. SQLite has no locks on rows: there, this transaction must have written by now, and with
        that has locked the whole database.
        """
        connection = connections[self.db]
        keys = self.order_by("pk").values_list("pk", flat=True)
        vendor = "mariadb" if getattr(connection, "mysql_is_mariadb", False) else connection.vendor
        if vendor not in SHARED_LOCKS:
            return set(keys)
        try:
            sql, params = keys.query.get_compiler(connection=connection).as_sql()
        except EmptyResultSet:  # Django knows without asking
            return set()
        skip = " SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} {SHARED_LOCKS[vendor]}{skip}", params)
            return {key for (key,) in cursor.fetchall()}


class EmailTemplateManager(models.Manager["EmailTemplate"]):
    def get_by_natural_key(
        self, name: str, language: str, default_template: EmailTemplate | int | None
    ) -> EmailTemplate:
        return self.get(name=name, language=language, default_template=default_template)
