"""Fewer and smaller indexes on PostgreSQL, where each change of a row is written to all of them.

The claim and the settling of a mail are two changes, so each index that most mail has nothing in costs each mail
three entries. Gone are the index of the status alone, which that of status and id contains, and those for
`LIKE 'x%'` on keys that are only looked up whole. Rows without a template, a provider's id or an object that they are
about are in no index of these. Each is built by one reading of the table, which locks out writers meanwhile.

Other databases write to those indexes only whose columns change, and have no use for this.
"""

from collections.abc import Iterable
from typing import Any

from django.db import migrations

GONE = (
    ("post_office_email_status_013a896c", "post_office_email (status)"),
    (
        "post_office_email_idempotency_key_bc16e92e_like",
        "post_office_email (idempotency_key varchar_pattern_ops)",
    ),
    ("post_office_log_event_id_bfa484f2_like", "post_office_log (event_id varchar_pattern_ops)"),
)
# With what is true of the rows that stay in them.
SMALLER = (
    ("post_office_email_template_id_417da7da", "post_office_email (template_id)", "template_id IS NOT NULL"),
    ("post_office_email_provider_id", "post_office_email (provider_id)", "provider_id IS NOT NULL"),
    ("post_office_email_related", "post_office_email (related_type, related_id)", "related_type <> ''"),
)


def _execute(schema_editor: Any, statements: Iterable[str]) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for statement in statements:
            schema_editor.execute(statement)


def make_leaner(apps: Any, schema_editor: Any) -> None:
    _execute(schema_editor, (f"DROP INDEX IF EXISTS {name}" for name, _ in GONE))
    for name, columns, condition in SMALLER:
        statements = (f"DROP INDEX IF EXISTS {name}", f"CREATE INDEX {name} ON {columns} WHERE {condition}")
        _execute(schema_editor, statements)


def make_as_before(apps: Any, schema_editor: Any) -> None:
    _execute(schema_editor, (f"CREATE INDEX IF NOT EXISTS {name} ON {columns}" for name, columns in GONE))
    for name, columns, _ in SMALLER:
        _execute(schema_editor, (f"DROP INDEX IF EXISTS {name}", f"CREATE INDEX {name} ON {columns}"))


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0015_noting"),
    ]

    operations = [
        migrations.RunPython(make_leaner, make_as_before, elidable=False),
    ]
