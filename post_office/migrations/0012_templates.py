"""Sample contexts and versions of templates; in which language, time zone and when a mail was rendered.

Every new column may be null: no table is rewritten.
"""

import django.db.models.deletion
from django.db import migrations, models

import post_office.validators


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0011_allowance"),
    ]

    operations = [
        migrations.AddField(
            model_name="email",
            name="language",
            field=models.CharField(editable=False, max_length=35, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="rendered_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="time_zone",
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="emailtemplate",
            name="sample_context",
            field=models.TextField(
                blank=True,
                help_text="Variables for the preview, as a JSON object.",
                null=True,
                validators=[post_office.validators.validate_sample_context],
                verbose_name="Sample context",
            ),
        ),
        migrations.CreateModel(
            name="TemplateVersion",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=255, verbose_name="Name")),
                ("language", models.CharField(blank=True, max_length=12, verbose_name="Language")),
                ("subject", models.CharField(blank=True, max_length=255, verbose_name="Subject")),
                ("content", models.TextField(blank=True, verbose_name="Content")),
                ("html_content", models.TextField(blank=True, verbose_name="HTML content")),
                ("saved_at", models.DateTimeField(verbose_name="Saved")),
                ("saved_by", models.CharField(blank=True, max_length=255, verbose_name="By")),
                (
                    "template",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="versions",
                        to="post_office.emailtemplate",
                    ),
                ),
            ],
            options={
                "verbose_name": "Version of a template",
                "verbose_name_plural": "Versions of templates",
                "ordering": ["-id"],
            },
        ),
    ]
