"""What mail is known by outside the queue, and what a message of Django's holds beyond the columns.

Every new column may be null or has a default in the database, so that code of an earlier version
that is still running can go on inserting rows. The indexes lock out writers while they are built;
see docs/upgrading.md for how long.
"""

from django.db import migrations, models

import post_office.fields


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0003_due_at"),
    ]

    operations = [
        migrations.AddField(
            model_name="attachment",
            name="as_given",
            field=post_office.fields.PackedField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="attachment",
            name="digest",
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="as_given",
            field=post_office.fields.PackedField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="metadata",
            field=models.JSONField(
                blank=True,
                encoder=post_office.fields.ReadableJSON,
                null=True,
                verbose_name="Metadata",
            ),
        ),
        migrations.AddField(
            model_name="email",
            name="provider_id",
            field=models.CharField(
                blank=True, editable=False, max_length=255, null=True, verbose_name="Provider's id"
            ),
        ),
        migrations.AddField(
            model_name="email",
            name="related_id",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=255),
        ),
        migrations.AddField(
            model_name="email",
            name="related_type",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=201),
        ),
        migrations.AddField(
            model_name="email",
            name="tags",
            field=post_office.fields.TagsField(blank=True, null=True, verbose_name="Tags"),
        ),
        migrations.AddField(
            model_name="log",
            name="event_id",
            field=models.CharField(editable=False, max_length=255, null=True, unique=True),
        ),
        migrations.AddField(
            model_name="log",
            name="recipient",
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name="Recipient"),
        ),
        migrations.AddIndex(
            model_name="attachment",
            index=models.Index(fields=["digest"], name="post_office_attachment_digest"),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(fields=["message_id"], name="post_office_email_message_id"),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(fields=["provider_id"], name="post_office_email_provider_id"),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(fields=["related_type", "related_id"], name="post_office_email_related"),
        ),
    ]
