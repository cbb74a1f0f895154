"""Deleting old mail, and files that no mail needs."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction
from django.db.models.signals import pre_delete
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Attachment, Email, Log
from post_office.queue import cleanup as module
from post_office.queue import liveness
from post_office.queue.claims import claim_one
from tests.faults import failing

# A real transaction, since files go when it is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def old_mail(status: int | None, **arguments: Any) -> Email:
    email = mail.send("ann@example.com", "me@example.com", **arguments)
    Email.objects.filter(pk=email.pk).update(status=status, created=timezone.now() - timedelta(days=91))
    return email


def cleanup(**options: Any) -> str:
    out = StringIO()
    call_command("cleanup_mail", stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("status", [STATUS.sent, STATUS.failed, STATUS.expired, STATUS.canceled, None])
def test_old_mail_that_is_over_is_deleted_with_its_log(status: int | None) -> None:
    email = old_mail(status)
    Log.objects.create(email=email, status=STATUS.sent, message="")
    new = mail.send("ann@example.com", "me@example.com")
    Email.objects.filter(pk=new.pk).update(status=status)
    assert "Deleted 1 mails created before" in cleanup()
    assert list(Email.objects.all()) == [new]
    assert not Log.objects.exists()


@pytest.mark.parametrize("status", [STATUS.queued, STATUS.requeued])
def test_mail_that_is_still_to_be_sent_is_never_deleted(status: int) -> None:
    email = old_mail(status, scheduled_time=timezone.now() + timedelta(days=1))
    assert "Deleted 0 mails" in cleanup(days=0)
    assert Email.objects.get() == email


def test_mail_in_delivery_is_not_deleted() -> None:
    email = mail.send("ann@example.com", "me@example.com")
    claim_one(email, liveness.register(timezone.now()), timezone.now())
    Email.objects.update(status=STATUS.sent, created=timezone.now() - timedelta(days=91))
    assert "Deleted 0 mails" in cleanup()


def test_attachments_stay_as_long_as_a_mail_needs_them() -> None:
    shared = mail.send_many(
        [{"recipients": "ann@example.com", "sender": "me@example.com", "attachments": {"a.txt": b"shared"}}]
        * 2
    )
    alone = old_mail(STATUS.sent, attachments={"b.txt": b"alone"})
    Email.objects.filter(pk=shared[0].pk).update(
        status=STATUS.sent, created=timezone.now() - timedelta(days=91)
    )
    path = alone.attachments.get().file.name
    dry = cleanup(delete_attachments=True, dry_run=True)
    assert "Would delete 2 mails" in dry
    assert "and 1 attachments" in dry
    assert Email.objects.count() == 3
    done = cleanup(delete_attachments=True, batch_size=1)
    assert "Deleted 2 mails" in done
    assert "and 1 attachments" in done
    assert Attachment.objects.get().name == "a.txt"
    assert default_storage.exists(Attachment.objects.get().file.name)
    assert not default_storage.exists(path)


def test_attachments_stay_unless_asked_for() -> None:
    old_mail(STATUS.sent, attachments={"b.txt": b"alone"})
    assert "and 0 attachments" in cleanup()
    assert Attachment.objects.count() == 1


def test_a_file_stays_when_its_row_does() -> None:
    email = old_mail(STATUS.sent, attachments={"b.txt": b"alone"})
    path = email.attachments.get().file.name
    with transaction.atomic():
        cleanup(delete_attachments=True)
        transaction.set_rollback(True)
    assert Attachment.objects.count() == 1
    assert default_storage.exists(path)


def test_mail_queued_again_while_it_is_cleaned_up_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    again, over = old_mail(STATUS.sent), old_mail(STATUS.sent)
    listed = module._batches

    def requeue_meanwhile(rows: Any, size: int) -> Any:
        for pks in listed(rows, size):
            mail.requeue([again])
            yield pks

    monkeypatch.setattr(module, "_batches", requeue_meanwhile)
    assert module.remove_emails(timezone.now() - timedelta(days=90)) == 1
    assert list(Email.objects.all()) == [again]
    assert not Email.objects.filter(pk=over.pk).exists()


def test_a_file_that_is_gone_already_is_no_fault() -> None:
    email = old_mail(STATUS.sent, attachments={"b.txt": b"alone"})
    default_storage.delete(email.attachments.get().file.name)
    assert "and 1 attachments" in cleanup(delete_attachments=True)


class StrictStorage(FileSystemStorage):
    """One that raises for a file that is not there, as some do."""

    def delete(self, name: str) -> None:
        self.open(name).close()
        super().delete(name)


def test_nor_is_it_where_the_storage_complains(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.StrictStorage"}}
    test_a_file_that_is_gone_already_is_no_fault()
    assert caplog.text == ""


# As the drivers of MariaDB and of PostgreSQL say that a transaction was chosen to break a deadlock.
class DeadlockDetected(Exception):
    sqlstate = "40P01"


def deadlock(database: str) -> OperationalError:
    if database == "mariadb":
        return OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
    fault = OperationalError("deadlock detected")
    fault.__cause__ = DeadlockDetected()
    return fault


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("database", ["mariadb", "postgres"])
def test_a_batch_that_was_given_up_to_break_a_deadlock_is_done_again(database: str) -> None:
    old_mail(STATUS.sent, attachments={"b.txt": b"alone"})
    with failing("^DELETE", times=1, fault=deadlock(database)) as failed:
        assert re.match("Deleted 1 mails .* and 1 attachments", cleanup(delete_attachments=True))
    assert failed
    assert not Email.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_ends_the_cleanup() -> None:
    old_mail(STATUS.sent)
    with failing("^DELETE", times=1), pytest.raises(OperationalError, match="the database is away"):
        cleanup()
    assert Email.objects.exists()


@pytest.mark.parametrize("options", [{"days": -1}, {"batch_size": 0}])
def test_numbers_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(CommandError, match="is too small"):
        cleanup(**options)


def test_texts_are_not_read_to_delete_them(django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        old_mail(STATUS.sent).logs.create(status=STATUS.sent, message="")
    # Keys of the batch, the same locked, four deletions, no further batch; and the transaction.
    with django_assert_max_num_queries(10) as captured:
        cleanup()
    assert not Email.objects.exists()
    assert not any("html_message" in query["sql"] for query in captured.captured_queries)


def test_whoever_listens_hears_of_each_mail_that_is_deleted() -> None:
    heard: list[str] = []

    def listen(instance: Email, **facts: Any) -> None:
        heard.append(instance.subject)

    old_mail(STATUS.sent, subject="Hi").logs.create(status=STATUS.sent, message="")
    pre_delete.connect(listen, sender=Email)
    try:
        cleanup()
    finally:
        pre_delete.disconnect(listen, sender=Email)
    assert heard == ["Hi"]
    assert not Log.objects.exists()
