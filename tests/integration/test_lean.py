"""How little a worker asks of the database, with its hands full."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection

from post_office import mail
from post_office.delivery.worker import WorkerLoop

MAILS = 2000
MOST = 0.15  # statements for each mail


class TakingBackend(BaseEmailBackend):
    """Takes mail at once."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        return len(email_messages)


@pytest.mark.django_db(transaction=True)
def test_a_busy_worker_needs_few_statements_for_each_mail(settings: Any) -> None:
    settings.POST_OFFICE = {"BACKENDS": {"default": f"{__name__}.TakingBackend"}}
    draft = {"recipients": "ann@example.com", "sender": "me@example.com", "subject": "News", "message": "x"}
    mail.send_many([draft] * MAILS)
    asked: Counter[str] = Counter()

    def count(execute: Any, sql: str, *arguments: Any) -> Any:
        # Only SQLite is told of the beginning of a transaction in a statement that can be seen here.
        asked[sql[:60]] += not sql.startswith("BEGIN")
        return execute(sql, *arguments)

    with connection.execute_wrapper(count):
        assert WorkerLoop(log_level=2).run().sent == MAILS
    assert asked.total() / MAILS <= MOST, "\n".join(map(str, asked.most_common()))
