"""What is done often costs the same however many mails there are: no query reads or sorts the table."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from post_office import health, mail
from post_office.models import PRIORITY, STATUS, Email

pytestmark = pytest.mark.django_db

TABLE = "post_office_email"
# Enough of each kind that a database has reason to use an index.
ROWS = 3000
HOUR = timedelta(hours=1)


@pytest.fixture
def full_table() -> None:
    """Much that was sent, is meant for later, and is due; of each priority, and for two backends."""
    if connection.vendor == "mysql":
        pytest.skip("MariaDB judges a table of this size to be read quickest as a whole.")
    later = timezone.now() + HOUR
    seed = mail.send("ann@example.com", "shop@example.com", message="Nothing new.")
    for columns in (
        {"status": STATUS.sent},
        {"status": STATUS.queued, "scheduled_time": later, "priority": PRIORITY.high},
        {"status": STATUS.requeued, "scheduled_time": later},
        {"status": STATUS.queued},
        {"status": STATUS.queued, "priority": None},
        {"status": STATUS.queued, "backend_alias": "gone"},
        {"status": None},
    ):
        copy(seed, ROWS, columns)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {TABLE}")
            # So few rows are soon sorted, if need be. Whether there is need is the question.
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")


def copy(seed: Email, number: int, changed: dict[str, Any]) -> None:
    """Make so many rows like this one but for these columns, by one statement."""
    fields = [field for field in Email._meta.concrete_fields if not (field.primary_key or field.generated)]
    names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    values = ["%s" if field.name in changed else connection.ops.quote_name(field.column) for field in fields]
    given = [
        field.get_db_prep_save(changed[field.name], connection) for field in fields if field.name in changed
    ]
    numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} ({names}) {numbers} "
            f"SELECT {', '.join(values)} FROM {TABLE}, numbers WHERE id = %s",
            [number, *given, seed.pk],
        )


def queries(action: Callable[[], object]) -> list[tuple[str, Any]]:
    """Return the statements about the table of emails that an action runs, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if f'"{TABLE}"' in sql and sql.startswith(("SELECT", "UPDATE", "DELETE")):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        action()
    return seen


def plan(sql: str, params: Any) -> list[str]:
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN (COSTS OFF)"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params)
        return [str(row[-1]).strip() for row in cursor.fetchall()]


def faults(sql: str, lines: list[str]) -> list[str]:
    """Return what of a plan takes longer when the table is longer: nothing, for what is found by its keys, by
    its worker, or in the order of an index and with an end."""
    has_end = "LIMIT" in sql
    any_row = sql.endswith(f'ORDER BY "{TABLE}"."id" DESC LIMIT 1')
    by_keys = any(re.search(r"rowid=\?|worker_id|Index Cond: \(id = ", line) for line in lines)
    bad = [line for line in lines if re.search(rf"Seq Scan on {TABLE}\b", line)]
    if not any_row:
        bad += [line for line in lines if line.startswith(f"SCAN {TABLE}")]
    if not by_keys:
        bad += [line for line in lines if re.search("B-TREE FOR ORDER BY|Sort$", line)]
    return bad if by_keys or has_end else [*bad, "reads to the end of what it finds"]


@pytest.mark.parametrize("action", [health.look], ids=["a look at the figures"])
def test_no_query_reads_or_sorts_the_table(action: Callable[[], object], full_table: None) -> None:
    seen = queries(action)
    assert seen
    for sql, params in seen:
        lines = plan(sql, params)
        assert not faults(sql, lines), "\n".join([sql, *lines])
