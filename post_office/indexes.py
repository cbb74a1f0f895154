"""The index by which mail is found that goes to one bare address, as most mail does.

It is made of the column itself, so it costs no row and follows whoever writes; each database has its own
way to make one. For all other mail, see `addressees`.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table

# As much of the column as the index holds: an address is never longer, and a list of many would be more
# than PostgreSQL takes.
LONGEST = 254
# MySQL and MariaDB index the beginning of a text, by the collation of its column; so much in every format.
PREFIX = 191


class Beginning(models.Func):
    """As much of a text as is indexed, in lower case. Its numbers stand in the SQL, as an index wants."""

    template = f"SUBSTR(LOWER(%(expressions)s), 1, {LONGEST})"
    output_field = models.CharField()


class RecipientIndex(models.Index):
    """An index of the beginning of one column of text, in the order of the keys."""

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Statement:
        quote = schema_editor.quote_name
        columns: dict[str, Any] = {field.name: field for field in model._meta.concrete_fields}
        column, key = (quote(columns[name].column) for name in (self.fields[0], "id"))
        table = model._meta.db_table
        beginning = {
            "mysql": f"{column}({PREFIX})",
            # Keys are part of each index on SQLite and MySQL.
            "sqlite": f"SUBSTR(LOWER({column}), 1, {LONGEST})",
        }.get(schema_editor.connection.vendor, f"SUBSTR(LOWER({column}), 1, {LONGEST}), {key}")
        return Statement(
            f"CREATE INDEX %(name)s ON %(table)s ({beginning})",
            name=quote(self.name),
            table=Table(table, quote),
        )
