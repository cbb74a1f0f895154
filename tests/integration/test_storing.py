"""An idempotency key is had by one email only."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction

from post_office import mail
from post_office.models import PRIORITY, STATUS, Attachment, Email
from post_office.signals import email_queued

pytestmark = pytest.mark.django_db


def send(key: str | None = "order-7", **arguments: Any) -> Email:
    return mail.send("ann@example.com", "me@example.com", idempotency_key=key, **arguments)


@pytest.fixture
def announced() -> Any:
    found: list[Email] = []

    def note(emails: list[Email], **facts: Any) -> None:
        found.extend(emails)

    email_queued.connect(note)
    yield found
    email_queued.disconnect(note)


def test_the_second_call_with_a_key_returns_the_first_email_and_queues_nothing(
    announced: list[Email],
) -> None:
    first = send(subject="first")
    again = send(subject="again", attachments={"a.txt": b"a"})
    assert (again.pk, again.subject) == (first.pk, "first")
    assert announced == [first]
    assert Email.objects.count() == 1
    assert not Attachment.objects.exists()


def test_whatever_became_of_the_first(announced: list[Email]) -> None:
    first = send()
    mail.cancel([first])
    assert send().status == STATUS.canceled
    assert announced == [first]


def test_a_key_is_free_again_when_its_mail_is_gone() -> None:
    send().delete()
    assert send().status == STATUS.queued


@pytest.mark.parametrize("adding", [True, False])
def test_a_copy_is_another_mail_and_has_no_key(adding: bool) -> None:
    first = send()
    copy = Email.objects.get()
    copy.pk = None
    copy._state.adding = adding
    copy.save()
    assert (copy.idempotency_key, send()) == (None, first)


def test_a_mail_that_is_saved_later_keeps_its_key() -> None:
    email = send(commit=False)
    email.save()
    assert send() == email


def test_mail_for_now_is_delivered_once() -> None:
    first, again = send(priority="now"), send(priority="now")
    assert first == again
    assert len(outbox.outbox) == 1


def test_mail_for_now_that_waits_for_the_commit_is_delivered_once(
    settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "NOW_ON_COMMIT": True}
    with django_capture_on_commit_callbacks(execute=True):
        send(priority="now")
        send(priority="now")
    assert len(outbox.outbox) == 1


def test_send_many_answers_each_dict_with_the_email_that_has_its_key(announced: list[Email]) -> None:
    first = send("one")
    announced.clear()
    keys = ["two", "one", None, "two", None]
    emails = mail.send_many(
        {"recipients": f"{number}@example.com", "sender": "me@example.com", "idempotency_key": key}
        for number, key in enumerate(keys)
    )
    assert [email.to for email in emails] == [
        ["0@example.com"],
        ["ann@example.com"],
        ["2@example.com"],
        ["0@example.com"],
        ["4@example.com"],
    ]
    assert emails[1] == first
    assert announced == [emails[0], emails[2], emails[4]]
    assert Email.objects.count() == 4


@pytest.mark.parametrize("other", ["Order-7", "order-7 ", "ordér-7", "order-7\U0001f600", "order-7\x00"])
def test_keys_that_a_database_may_take_for_the_same_are_told_apart(other: str) -> None:
    assert send(other) != send("order-7")
    assert send(other) == send(other)


def test_a_key_may_be_of_any_length() -> None:
    assert send("k" * 1000) == send("k" * 1000)
    assert send("k" * 1000) != send("k" * 1001)


@pytest.mark.parametrize("key", ["", 7, b"order"])
def test_what_is_no_key_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match=r"^idempotency_key: "):
        send(key)
    assert not Email.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_of_two_calls_at_once_one_waits_for_the_other_and_returns_its_email(commits: bool) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    found: list[Email] = []

    def other() -> None:
        try:
            found.append(send(priority="high", attachments={"a.txt": b"a"}))
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        first = send()
        thread.start()
        wait_until_blocked()
        transaction.set_rollback(not commits)
    thread.join()
    email = Email.objects.get()
    assert found == [email]
    assert (email == first) == commits
    assert email.priority == (PRIORITY.medium if commits else PRIORITY.high)
    # Of the call that lost, no file stays behind.
    assert Attachment.objects.count() == (0 if commits else 1)


def wait_until_blocked() -> None:
    """Wait until another connection waits for a lock of ours."""
    question = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    }[connection.vendor]
    while True:
        with connection.cursor() as cursor:
            cursor.execute(question)
            if cursor.fetchone()[0]:
                return
        # InnoDB renews that table only when nobody has looked for a tenth of a second.
        time.sleep(0.2)


def a_stream(mails: int, seen: list[int] | None = None) -> Any:
    for number in range(mails):
        if seen is not None:
            seen.append(Email.objects.count())
        yield {"recipients": f"ann{number}@example.com", "sender": "me@example.com"}


def test_a_stream_is_queued_in_batches_and_never_held_as_a_whole() -> None:
    seen: list[int] = []
    assert mail.send_stream(a_stream(25, seen), batch_size=10) == 25
    assert Email.objects.count() == 25
    # What is asked for next is asked for only after the batch before is in the queue.
    assert seen == [0] * 10 + [10] * 10 + [20] * 5


def test_a_stream_of_nothing_queues_nothing() -> None:
    assert mail.send_stream([]) == 0


def test_what_a_stream_queued_before_a_fault_stays_and_the_log_says_how_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mails = [*a_stream(15)]
    mails[13]["recipients"] = "nobody"
    with pytest.raises(ValidationError, match="nobody"):
        mail.send_stream(mails, batch_size=10)
    assert Email.objects.count() == 10
    assert "the first 10 mails are queued" in caplog.text


def test_a_stream_with_keys_may_be_run_again() -> None:
    mails = [{**kwargs, "idempotency_key": f"issue-7-{number}"} for number, kwargs in enumerate(a_stream(15))]
    mail.send_stream(mails[:10], batch_size=4)
    assert mail.send_stream(mails, batch_size=4) == 15
    assert Email.objects.count() == 15


def test_a_batch_of_no_mail_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size: 0 is not 1 or more"):
        mail.send_stream([], batch_size=0)


def test_one_plain_mail_outside_a_transaction_takes_one_statement(
    transactional_db: None, django_assert_num_queries: Any, settings: Any
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "NOTIFY": False}
    with django_assert_num_queries(1):
        send(key=None, subject="Hi", message="Hello")
