"""What the admin finds mail by and draws its charts of, however many rows there are.

One index is built on the table of emails, on PostgreSQL two, which locks out writers meanwhile. No table is
rewritten.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import post_office.indexes


class WhereItSaysMore(migrations.AddIndex):
    """Keys are part of each index on SQLite and MySQL: there, the index of the status alone is this one."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0013_permissions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Addressee",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("address", models.CharField(max_length=254)),
                (
                    "email",
                    models.ForeignKey(
                        db_constraint=False,
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="addressees",
                        to="post_office.email",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("address", "email"), name="post_office_addressee_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("slot", models.BigIntegerField()),
                ("part", models.PositiveSmallIntegerField()),
                ("sent", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("slot", "part"), name="post_office_tally_once")
                ],
            },
        ),
        WhereItSaysMore(
            model_name="email",
            index=models.Index(fields=["status", "id"], name="post_office_email_status"),
        ),
        migrations.AddIndex(
            model_name="email",
            index=post_office.indexes.RecipientIndex(fields=["to"], name="post_office_email_recipient"),
        ),
    ]
