"""Lanes: one priority, backend and status each, in which the rows that are due stand together in the index,
in their order, before those that are not.

So a claim reads just what it takes, however many rows were sent or are scheduled for later; and one query
tells in which lanes there is anything, with one look into the index for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..enums import PRIORITY, STATUS
from ..models import Email

# From high to low; rows of foreign code may have none.
PRIORITIES: tuple[int | None, ...] = (*sorted(PRIORITY, reverse=True), None)
# Mail that waited for its retry goes before new mail of its priority; there is never much of it.
STATUSES = (STATUS.requeued, STATUS.queued)
# SQLite takes 500 parts of a query at most.
LANES_IN_A_QUERY = 100


@dataclass(frozen=True)
class Lane:
    priority: int | None
    alias: str
    status: int

    def condition(self, connection: BaseDatabaseWrapper) -> str:
        """Return what tells its mail that is due and held by nobody, in SQL; for `values`.

        Its order is that of the index: by priority, due_at and id. The priority is to be named there although
        it is the same for all: PostgreSQL sorts what IS NULL otherwise.
        """
        columns = ("status", "backend_alias", "priority", "due_at", "worker_id")
        status, alias, priority, due_at, worker = map(connection.ops.quote_name, columns)
        wanted = "IS NULL" if self.priority is None else f"= {self.priority:d}"
        return (
            f"{status} = {self.status:d} AND {alias} = %s AND {priority} {wanted} "
            f"AND {due_at} <= %s AND {worker} IS NULL"
        )

    def values(self, connection: BaseDatabaseWrapper, now: datetime) -> tuple[Any, ...]:
        """Return what stands in the places of `condition`."""
        return self.alias, connection.ops.adapt_datetimefield_value(now)


def lanes(aliases: Sequence[str], priorities: Sequence[int | None] = PRIORITIES) -> Iterator[Lane]:
    """Yield the lanes of these backends, urgent ones first. Mail without an alias is that of ""."""
    for priority in priorities:
        for alias in aliases:
            for status in STATUSES:
                yield Lane(priority, alias, status)


def occupied(
    aliases: Sequence[str], now: datetime, priorities: Sequence[int | None] = PRIORITIES
) -> Iterator[Lane]:
    """Yield the lanes in which mail is due that nobody holds, urgent ones first."""
    remaining = lanes(aliases, priorities)
    while some := list(islice(remaining, LANES_IN_A_QUERY)):
        numbers = _occupied_numbers(some, now)
        yield from (lane for number, lane in enumerate(some) if number in numbers)


def any_occupied(aliases: Sequence[str], priorities: Sequence[int], now: datetime) -> bool:
    """Return whether any lane of these is occupied. It costs less than to tell which ones."""
    if not (aliases and priorities):
        return False
    connection = connections[Email.objects.primary().db]
    statuses, numbers = (", ".join(f"{number:d}" for number in some) for some in (STATUSES, priorities))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {Email._meta.db_table} WHERE status IN ({statuses}) "
            f"AND backend_alias IN ({', '.join(['%s'] * len(aliases))}) AND priority IN ({numbers}) "
            # Not by the index of workers, as SQLite would: few mails have one.
            "AND due_at <= %s AND (worker_id IS NULL) IS TRUE LIMIT 1",
            (*aliases, connection.ops.adapt_datetimefield_value(now)),
        )
        return cursor.fetchone() is not None


def _occupied_numbers(some: Iterable[Lane], now: datetime) -> set[int]:
    """Return which of these lanes are occupied, by their numbers.

    Written by hand: Django's union() cannot limit its parts on SQLite, and building a query for each lane
    costs more than running it.
    """
    connection = connections[Email.objects.primary().db]
    table = connection.ops.quote_name(Email._meta.db_table)
    parts: list[str] = []
    values: list[Any] = []
    for number, lane in enumerate(some):
        parts.append(
            f"SELECT {number} FROM (SELECT 1 FROM {table} "
            f"WHERE {lane.condition(connection)} ORDER BY priority, due_at LIMIT 1) lane_{number}"
        )
        values += lane.values(connection, now)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        return {number for (number,) in cursor.fetchall()}
