"""Permissions for what staff may do with mail. No table of mail is touched."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("post_office", "0012_templates"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="email",
            options={
                "permissions": [
                    ("send_email", "Can send emails at once"),
                    ("requeue_email", "Can queue emails again"),
                    ("copy_email", "Can send copies of emails"),
                    ("cancel_email", "Can cancel emails"),
                    ("prioritize_email", "Can change the priority of emails"),
                    ("reschedule_email", "Can reschedule emails"),
                ],
                "verbose_name": "Email",
                "verbose_name_plural": "Emails",
            },
        ),
    ]
