"""What all dispatchers know of a backend: whether it may be used. Only a small table is made."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0007_environment"),
    ]

    operations = [
        migrations.CreateModel(
            name="BackendState",
            fields=[
                (
                    "alias",
                    models.CharField(
                        max_length=64, primary_key=True, serialize=False, verbose_name="Backend alias"
                    ),
                ),
                ("paused_at", models.DateTimeField(null=True)),
                ("paused_by", models.CharField(default="", max_length=255)),
                ("out_of_order_until", models.DateTimeField(null=True)),
                ("probing_until", models.DateTimeField(null=True)),
                ("faults", models.PositiveIntegerField(default=0)),
                ("reason", models.TextField(default="")),
            ],
            options={
                "verbose_name": "Backend",
                "verbose_name_plural": "Backends",
            },
        ),
    ]
