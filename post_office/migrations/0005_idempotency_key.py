"""A key that one mail only can have. The unique index locks out writers while it is built."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("post_office", "0004_faithful_messages")]

    operations = [
        migrations.AddField(
            model_name="email",
            name="idempotency_key",
            field=models.CharField(editable=False, max_length=255, null=True, unique=True),
        ),
    ]
