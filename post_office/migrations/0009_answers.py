"""What servers said of each recipient. A new column that may be null: no table is rewritten."""

from django.db import migrations

import post_office.fields


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0008_backend_state"),
    ]

    operations = [
        migrations.AddField(
            model_name="email",
            name="answers",
            field=post_office.fields.PackedField(editable=False, null=True),
        ),
    ]
