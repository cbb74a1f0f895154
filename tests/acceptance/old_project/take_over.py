"""With this package: say what an adopted database holds, deliver what is due, clean up, and go on with it."""

import json
import sys
from io import StringIO
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from rows import rows, subjects  # noqa: E402

from post_office import mail  # noqa: E402
from post_office.models import STATUS, Attachment, Email, Log  # noqa: E402


def said_by(*command: Any) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


adopted = rows()
delivery = said_by("send_queued_mail", "--verbosity=0")
statuses = {name: subjects(Email.objects.filter(status=status)) for name, status in STATUS._asdict().items()}
said_by("cleanup_mail", "--days=90", "--delete-attachments")
left = subjects(Email.objects)
# Two in one insert, which PostgreSQL is particular about.
mail.send_many(
    {
        "recipients": "new@example.com",
        "sender": "shop@example.com",
        "template": "welcome",
        "context": {"name": name},
        "render_on_delivery": True,
    }
    for name in ("Eve", "Fay")
)
json.dump(
    {
        "new": mail.send_queued(),
        "adopted": adopted,
        "delivery": delivery,
        "statuses": statuses,
        "left": left,
        "logs": list(Log.objects.filter(email__subject__startswith="old").values_list("id", flat=True)),
        "files": sorted(str(attachment.file.name) for attachment in Attachment.objects.all()),
    },
    sys.stdout,
)
