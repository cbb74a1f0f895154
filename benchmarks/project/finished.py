"""Fill a database with mail that was sent long ago, with a row in the log for each: finished.py NUMBER."""

import sys
from datetime import timedelta

import django
from django.db import connection
from django.utils import timezone
from queue_mail import queue_mails

SEED = 1000


def main() -> None:
    from post_office.models import Email, Log

    number = int(sys.argv[1])
    queue_mails(range(min(SEED, number)))
    long_ago = timezone.now() - timedelta(days=365)
    Email.objects.update(status=0, created=long_ago)
    names = [
        connection.ops.quote_name(field.column)
        for field in Email._meta.concrete_fields
        if not field.primary_key and not getattr(field, "generated", False)
    ]
    listed, table = ", ".join(names), connection.ops.quote_name(Email._meta.db_table)
    while (missing := number - Email.objects.count()) > 0:
        with connection.cursor() as cursor:
            # Table names and columns of our own.
            cursor.execute(f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {table} LIMIT {missing}")
    log = connection.ops.quote_name(Log._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {log} (email_id, date, status, exception_type, message)"
            f" SELECT id, created, 0, '', '' FROM {table}"
        )
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    django.setup()
    main()
