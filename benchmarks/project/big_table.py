"""Fill our tables by SQL, quicker than any mail could be queued: big_table.py SENT SCHEDULED QUEUED.

What was sent was so during the last day, the last of it a moment ago; what is scheduled is urgent, so that it
stands before what is due in everything that is ordered by priority.
"""

import sys
import time

import django
from django.db import connection


def main() -> None:
    from post_office.models import STATUS

    sent, scheduled, queued = map(int, sys.argv[1:4])
    seed()
    start = time.perf_counter()
    copy(sent, f"{STATUS.sent:d}", priority="1", created=moment("-", 86_400 / max(sent, 1)))
    copy(scheduled, f"{STATUS.queued:d}", priority="2", scheduled_time=moment("+", 60))
    copy(queued, f"{STATUS.queued:d}", priority="1", created=moment("-", 0.1))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM post_office_email WHERE subject = 'seed'")
        cursor.execute(
            {"postgresql": "VACUUM ANALYZE", "sqlite": "PRAGMA wal_checkpoint"}.get(
                connection.vendor, "ANALYZE TABLE post_office_email"
            )
        )
    print(f"filled in {time.perf_counter() - start:.0f} s", file=sys.stderr)


def seed() -> None:
    """Queue the mail of which all others are copies."""
    from post_office import mail

    mail.send("ann@example.com", "shop@example.com", subject="seed", message="Nothing new. " * 10)


def copy(number: int, status: str, **columns: str) -> None:
    """Make rows like the first one, each with a number `n` from 1, and these expressions in their columns."""
    from post_office.models import Email

    columns = {
        "to": text("'reader'", "n", "'@example.com'"),
        "subject": text("'News '", "n"),
        "message_id": text("'<'", "n", "'@shop'"),
        **columns,
    }
    columns["last_updated"] = columns.get("created", "created")
    columns["status"] = status
    fields = [field for field in Email._meta.concrete_fields if not (field.primary_key or field.generated)]
    names = [connection.ops.quote_name(field.column) for field in fields]
    values = [columns.get(field.name, name) for field, name in zip(fields, names, strict=True)]
    rows = {
        "postgresql": f"generate_series(1, {number}) AS numbers (n)",
        "sqlite": "numbers",
        "mysql": f"(SELECT seq AS n FROM seq_1_to_{max(number, 1)}) numbers",
    }[connection.vendor]
    counting = ""
    if connection.vendor == "sqlite":
        below = f"SELECT n + 1 FROM numbers WHERE n < {number}"
        counting = f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL {below}) "
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO post_office_email ({', '.join(names)}) {counting}"
            f"SELECT {', '.join(values)} FROM post_office_email CROSS JOIN {rows} WHERE subject = 'seed'"
        )


def text(*parts: str) -> str:
    return f"CONCAT({', '.join(parts)})" if connection.vendor == "mysql" else " || ".join(parts)


def moment(sign: str, seconds: float) -> str:
    """Return an expression for a moment that is so much further from now for each row."""
    return {
        "postgresql": f"now() {sign} n * interval '{seconds} seconds'",
        "sqlite": f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{sign}' || (n * {seconds}) || ' seconds')",
        "mysql": f"UTC_TIMESTAMP(6) {sign} INTERVAL n * {seconds} SECOND",
    }[connection.vendor]


if __name__ == "__main__":
    django.setup()
    main()
