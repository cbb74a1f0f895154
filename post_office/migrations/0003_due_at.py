"""When mail is due, as a column that the database computes, and the index that claims walk.

Adding the column rewrites the table and locks it meanwhile; see docs/upgrading.md for how long.
"""

from django.db import migrations, models
from django.db.models.functions import Coalesce


class Migration(migrations.Migration):
    dependencies = [("post_office", "0002_claims")]

    operations = [
        migrations.AddField(
            model_name="email",
            name="due_at",
            field=models.GeneratedField(
                db_persist=True,
                expression=Coalesce("scheduled_time", "created"),
                output_field=models.DateTimeField(null=True),
            ),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(
                fields=["status", "backend_alias", "priority", "due_at", "id"], name="post_office_email_lane"
            ),
        ),
    ]
