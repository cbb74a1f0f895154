"""Deliver what is queued in this process, and count what is asked of the database: statements.py NUMBER.

Prints the number of statements for each mail.
"""

import json
import sys
from typing import Any

import django
from django.db import connection


def main() -> None:
    from post_office.delivery.worker import WorkerLoop

    asked = 0

    def count(execute: Any, sql: str, *arguments: Any) -> Any:
        nonlocal asked
        # Only SQLite is told of the beginning of a transaction in a statement that can be seen here.
        asked += not sql.startswith("BEGIN")
        return execute(sql, *arguments)

    with connection.execute_wrapper(count):
        sent = WorkerLoop(log_level=2).run().sent
    assert sent == int(sys.argv[1]), f"{sent} mails were sent"
    print(json.dumps(asked / sent))


if __name__ == "__main__":
    django.setup()
    main()
