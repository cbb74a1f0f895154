"""The statements that run for all mail, written by hand: to have Django put them together takes longer than
the database needs for them.

For `claims`, `outcomes` and `cleanup` alone, which say what they mean. Keys are whole numbers, and stand in
the text: as parameters, hundreds of them would be quoted one by one and put there all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from .. import ages
from ..conf import conf
from ..enums import HOLD, OPEN, STATUS
from ..models import Addressee, Attachment, Email, Log, Worker
from .lanes import Lane

TABLE, LINKS = Email._meta.db_table, Attachment.emails.through._meta.db_table

# Where nobody has the mail, and where this worker does. Not by the index of workers, where it leads to all
# that this one has had lately.
FREE = f"worker_id IS NULL AND status IN ({OPEN[0]:d}, {OPEN[1]:d})"
MINE = f"(worker_id = %s) IS TRUE AND status IN ({OPEN[0]:d}, {OPEN[1]:d})"
HELD = "worker_id = %s, claimed_at = %s, claims = claims + 1"
HOLD_WORKER = f"UPDATE {Worker._meta.db_table} SET beat = beat WHERE id = %s"

Values = tuple[Any, ...]


def first_of_lane(lane: Lane, limit: int, now: datetime) -> list[Email]:
    """Return the first mails of a lane that are due and held by nobody, each with `has_attachments`, so that
    those of most mail need not be asked for. They are locked where that does not wait for others."""
    connection = _connection()
    return _emails(
        f"SELECT {_columns(connection)} FROM {TABLE} WHERE {_first(lane, limit, connection)}",
        lane.values(connection, now),
    )


def hold_worker(worker: Worker) -> bool:
    """Write to a worker's row, so that nobody removes it until the end of this transaction. Returns False
    where it is gone."""
    return bool(_changed(HOLD_WORKER, (_id(worker, _connection()),)))


def can_take() -> bool:
    """Return whether there is a shorter way than to read rows and then hold them: PostgreSQL does both by one
    statement, and SQLite, which reads row by row, lets others write meanwhile."""
    connection = _connection()
    is_new = bool(connection.features.can_return_rows_from_bulk_insert)  # so it returns what it updates, too
    return connection.vendor == "postgresql" or (connection.vendor == "sqlite" and is_new)


def take(lane: Lane, limit: int, worker: Worker, now: datetime) -> list[Email] | None:
    """Hold the first mails of a lane for a worker, and return them; but for those that are past their time,
    have outlived many workers or are to arrive at most once. So they may be fewer than there are.

    Returns None where the worker's row is gone.
    """
    connection = _connection()
    me, moment = _id(worker, connection), _moment(now, connection)
    first = f"SELECT id FROM {TABLE} WHERE {_first(lane, limit, connection)}"
    careless, values = _careless(lane, connection, now)
    if connection.vendor == "postgresql":
        # All of it by one statement, which is a transaction by itself. As an array, the first are looked for
        # once, whatever the planner thinks of it.
        emails = _emails(
            f"WITH me AS ({HOLD_WORKER} RETURNING id) UPDATE {TABLE} SET {HELD} "
            f"WHERE id = ANY (ARRAY ({first})) AND {FREE} AND {careless} AND EXISTS (SELECT 1 FROM me) "
            f"RETURNING {_columns(connection)}",
            (me, me, moment, *lane.values(connection, now), *values),
        )
        return emails if emails or hold_worker(worker) else None
    with transaction.atomic(using=connection.alias):
        # In one row, as that is what SQLite takes its time for.
        keys = f"SELECT COALESCE(group_concat(id), '') FROM ({first}) AS found"
        found = _found(f"{HOLD_WORKER} RETURNING ({keys})", (me, *lane.values(connection, now)))
        if found is None:
            return None
        pks = _listed(map(int, found.split(","))) if found else ""
        update = f"UPDATE {TABLE} SET {HELD} WHERE id IN ({pks}) AND {FREE} AND {careless}"
        if not pks or not _changed(update, (me, moment, *values)):
            return []
    # Only now, as SQLite reads row by row, while others wait to write.
    mine = f"id IN ({pks}) AND (worker_id = %s) IS TRUE AND claimed_at = %s"
    return _emails(f"SELECT {_columns(connection)} FROM {TABLE} WHERE {mine}", (me, moment))


def mark_held(pks: Collection[int], worker: Worker, now: datetime) -> int:
    """Write that a worker holds these, where nobody does. Returns how many rows changed.

    The predicate comes again: a database without `SKIP LOCKED` may have given a row to another.
    """
    connection = _connection()
    return _changed(
        f"UPDATE {TABLE} SET {HELD} WHERE id IN ({_listed(pks)}) AND {FREE}",
        (_id(worker, connection), _moment(now, connection)),
    )


def mark_sent(pks: Collection[int], worker: Worker, now: datetime) -> int:
    """Write that these were sent, where this worker holds them still. Returns how many rows changed."""
    connection = _connection()
    return _changed(_mark_sent(pks, connection), (_moment(now, connection), _id(worker, connection)))


def log_sent(pks: Collection[int], alias: str) -> None:
    """Log mail that was sent to all its recipients by the backend of this alias.

    The database makes these rows of its own: they are as many as there is mail.
    """
    connection = _connection()
    rows = f"{TABLE} WHERE id IN ({_listed(pks)}) ORDER BY id"
    _changed(_log_sent(rows, connection), (_moment(timezone.now(), connection), alias))


def writes_at_once() -> bool:
    """Return whether the database can write two tables by one statement, which needs no transaction around
    it."""
    return _connection().vendor == "postgresql"


def mark_and_log_sent(pks: Collection[int], alias: str, worker: Worker, now: datetime) -> int:
    """Do both by one statement, where the database `writes_at_once`. Returns how many rows changed; no other
    is logged."""
    connection = _connection()
    moment, me = _moment(now, connection), _id(worker, connection)
    return _changed(
        f"WITH sent AS ({_mark_sent(pks, connection)} RETURNING id, number_of_retries) "
        f"{_log_sent('sent', connection)}",
        (moment, me, moment, alias),
    )


def delete(pks: Collection[int], using: str) -> None:
    """Delete emails, and what of our own refers to them."""
    if not pks:
        return
    keys, values = _listed(pks), tuple[int, ...]()
    if connections[using].vendor == "sqlite":
        # Python keeps the last 128 statements, with what SQLite has made of them: let it be the same ones.
        keys, values = ", ".join(["%s"] * len(pks)), tuple(pks)
    with connections[using].cursor() as cursor:
        for table in (Log._meta.db_table, Addressee._meta.db_table, LINKS):
            cursor.execute(f"DELETE FROM {table} WHERE email_id IN ({keys})", values)
        cursor.execute(f"DELETE FROM {TABLE} WHERE id IN ({keys})", values)


# --- their parts ------------------------------------------------------------------------------------


def _mark_sent(pks: Collection[int], connection: BaseDatabaseWrapper) -> str:
    return (
        f"UPDATE {TABLE} SET status = {STATUS.sent:d}, last_updated = %s, "
        f"worker_id = NULL, claimed_at = NULL, claims = 0 WHERE id IN ({_listed(pks)}) AND {MINE}"
    )


def _log_sent(rows: str, connection: BaseDatabaseWrapper) -> str:
    date = connection.ops.quote_name("date")
    return (
        f"INSERT INTO {Log._meta.db_table} "
        f"(email_id, {date}, status, exception_type, message, backend, attempt) "
        f"SELECT id, %s, {STATUS.sent:d}, '', '', %s, COALESCE(number_of_retries, 0) + 1 FROM {rows}"
    )


def _first(lane: Lane, limit: int, connection: BaseDatabaseWrapper) -> str:
    ordered = f"{lane.condition(connection)} ORDER BY priority, due_at, id LIMIT {limit:d}"
    if not connection.features.has_select_for_update_skip_locked:
        return ordered
    return f"{ordered} {connection.ops.for_update_sql(skip_locked=True)}"


def _careless(lane: Lane, connection: BaseDatabaseWrapper, now: datetime) -> tuple[str, Values]:
    """Return what is true of mail that is claimed without care, see `claims`, and its values."""
    condition = (
        "(expires_at IS NULL OR expires_at > %s) AND (on_unknown IS NULL OR on_unknown <> %s) "
        f"AND (claims = 0 OR claims < {conf.MAX_CLAIMS - 1:d})"
    )
    values = (_moment(now, connection), HOLD)
    if (age := ages.greatest(lane.alias)) is None:
        return condition, values
    return f"{condition} AND COALESCE(first_due_at, due_at) > %s", (*values, _moment(now - age, connection))


def _columns(connection: BaseDatabaseWrapper) -> str:
    names = [str(field.column) for field in Email._meta.concrete_fields]
    columns = ", ".join(map(connection.ops.quote_name, names))
    return f"{columns}, EXISTS (SELECT 1 FROM {LINKS} WHERE email_id = {TABLE}.id) AS has_attachments"


def _connection() -> BaseDatabaseWrapper:
    return connections[Email.objects.primary().db]


def _id(worker: Worker, connection: BaseDatabaseWrapper) -> Any:
    return Worker._meta.pk.get_db_prep_value(worker.pk, connection)


def _moment(moment: datetime, connection: BaseDatabaseWrapper) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _listed(pks: Iterable[int]) -> str:
    return ", ".join([f"{pk:d}" for pk in pks])


def _found(statement: str, values: Values) -> Any:
    """Return the one value that a statement finds; None where it finds nothing."""
    with _connection().cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return row[0] if row else None


def _emails(statement: str, values: Values) -> list[Email]:
    return list(Email.objects.primary().raw(statement, values))


def _changed(statement: str, values: Values) -> int:
    with _connection().cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
