"""What a mail says of its own retries. The new columns may be null: no table is rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0009_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name="email",
            name="first_due_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="max_retries",
            field=models.PositiveSmallIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="email",
            name="on_unknown",
            field=models.CharField(editable=False, max_length=16, null=True),
        ),
    ]
