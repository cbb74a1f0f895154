"""What the queue needs: claims, workers, a fuller log, and the template's name on the mail.

Every new column may be null or has a default in the database, so that code of an earlier version
that is still running can go on inserting rows. No table is rewritten on PostgreSQL, MariaDB and
MySQL; on SQLite some are, as always.
"""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("post_office", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Worker",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("host", models.CharField(max_length=255, verbose_name="Host")),
                ("boot", models.CharField(blank=True, max_length=128)),
                ("pid", models.PositiveIntegerField(verbose_name="Process")),
                ("pid_started", models.BigIntegerField(null=True)),
                ("started_at", models.DateTimeField(verbose_name="Started")),
                ("beat", models.PositiveBigIntegerField(default=0)),
                ("beat_at", models.DateTimeField(verbose_name="Last seen")),
            ],
            options={
                "verbose_name": "Worker",
                "verbose_name_plural": "Workers",
            },
        ),
        migrations.AddField(
            model_name="email",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="emails",
                to="post_office.worker",
            ),
        ),
        migrations.AddField(
            model_name="email",
            name="claimed_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="claims",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="email",
            name="template_name",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=255,
                verbose_name="Template name",
            ),
        ),
        migrations.AddField(
            model_name="log",
            name="backend",
            field=models.CharField(blank=True, max_length=64, null=True, verbose_name="Backend"),
        ),
        migrations.AddField(
            model_name="log",
            name="attempt",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="Attempt"),
        ),
        migrations.AddField(
            model_name="log",
            name="code",
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="Server's code"),
        ),
        migrations.AddField(
            model_name="log",
            name="answer",
            field=models.TextField(blank=True, null=True, verbose_name="Server's answer"),
        ),
        migrations.AddField(
            model_name="log",
            name="actor",
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name="By"),
        ),
    ]
