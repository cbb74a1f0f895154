"""Rows by which operators see which programs deliver. Only the small table of workers is altered."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0005_idempotency_key"),
    ]

    operations = [
        migrations.CreateModel(
            name="Dispatcher",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("command", models.CharField(max_length=64)),
                ("host", models.CharField(max_length=255)),
                ("boot", models.CharField(blank=True, max_length=128)),
                ("pid", models.PositiveIntegerField()),
                ("pid_started", models.BigIntegerField(null=True)),
                ("started_at", models.DateTimeField()),
                ("beat", models.PositiveBigIntegerField(default=0)),
                ("beat_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("sent", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
                ("requeued", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="worker",
            name="dispatcher",
            field=models.ForeignKey(
                db_constraint=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="workers",
                to="post_office.dispatcher",
            ),
        ),
    ]
