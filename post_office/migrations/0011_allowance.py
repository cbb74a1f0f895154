"""What was used of rate limits, and which part of them a backend gets. Only small tables are made and altered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0010_unknown_and_retries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                ("key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("used", models.TextField(default="{}")),
                ("version", models.PositiveBigIntegerField(default=0)),
                ("idle_at", models.FloatField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="backendstate",
            name="slowed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="backendstate",
            name="slowed_to",
            field=models.FloatField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="backendstate",
            name="slowed_until",
            field=models.DateTimeField(null=True),
        ),
    ]
