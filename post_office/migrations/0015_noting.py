"""Note the addressees of the mail that is there, and count what was sent and failed in the last week.

In batches, each a transaction of its own; nobody waits for it, and it may be stopped and started again.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import migrations
from django.utils import timezone

from post_office.addressees import addresses_of
from post_office.enums import STATUS
from post_office.slots import slot_of

BATCH = 2000
WEEK = timedelta(days=8)


def note_addressees(apps: Any, schema_editor: Any) -> None:
    using = schema_editor.connection.alias
    Addressee = apps.get_model("post_office", "Addressee")
    emails = apps.get_model("post_office", "Email").objects.using(using).order_by("pk")
    last = 0
    while batch := list(emails.filter(pk__gt=last).values_list("pk", "to", "cc", "bcc")[:BATCH]):
        rows = [
            Addressee(email_id=pk, address=address)
            for pk, *recipients in batch
            for address in addresses_of(*recipients)
        ]
        Addressee.objects.using(using).bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        last = batch[-1][0]


def count_the_last_week(apps: Any, schema_editor: Any) -> None:
    using = schema_editor.connection.alias
    Tally = apps.get_model("post_office", "Tally")
    sent, failed = Counter[int](), Counter[int]()
    for slot, status in _last_week(apps.get_model("post_office", "Email").objects.using(using)):
        (sent if status == STATUS.sent else failed)[slot] += 1
    rows = [
        Tally(slot=slot, part=0, sent=sent[slot], failed=failed[slot]) for slot in sorted({*sent, *failed})
    ]
    Tally.objects.using(using).bulk_create(rows, batch_size=500, ignore_conflicts=True)


def _last_week(emails: Any) -> Iterator[tuple[int, int]]:
    rows = emails.filter(last_updated__gt=timezone.now() - WEEK, status__in=(STATUS.sent, STATUS.failed))
    for moment, status in rows.values_list("last_updated", "status").iterator(chunk_size=BATCH):
        yield slot_of(moment), status


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("post_office", "0014_finding"),
    ]

    operations = [
        migrations.RunPython(note_addressees, migrations.RunPython.noop, elidable=True),
        migrations.RunPython(count_the_last_week, migrations.RunPython.noop, elidable=True),
    ]
