"""The environment that the queue belongs to. A table of its own; nothing is locked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("post_office", "0006_dispatchers")]

    operations = [
        migrations.CreateModel(
            name="Environment",
            fields=[
                (
                    "id",
                    models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=255)),
            ],
        ),
    ]
