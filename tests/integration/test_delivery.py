"""Attempts and their outcomes, from the queue to the backend and back."""

from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from post_office import mail
from post_office.exceptions import UnknownBackend
from post_office.models import STATUS, BackendState, Email, EmailTemplate, Log, Worker
from tests.backends import NO_SUCH_USER, TRY_LATER, FaultyBackend, LocmemBackend

pytestmark = pytest.mark.django_db


@pytest.fixture
def faults(settings: Any) -> Iterator[dict[str, Exception]]:
    """Deliver through a backend that raises these, by the first recipient."""
    settings.POST_OFFICE = {**settings.POST_OFFICE, "BACKENDS": {"default": "tests.backends.FaultyBackend"}}
    FaultyBackend.faults.clear()
    FaultyBackend.opened.clear()
    FaultyBackend.closed.clear()
    yield FaultyBackend.faults
    FaultyBackend.faults.clear()


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**changes: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, **changes}

    return change


def send(to: str = "ann@example.com", **arguments: Any) -> Email:
    return mail.send(to, "me@example.com", **{"subject": "s", "message": "m", **arguments})


def row(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


# --- outcomes ---------------------------------------------------------------------------------


def test_what_is_refused_for_now_is_tried_again_later(faults: Any, configure: Any) -> None:
    configure(RETRY_INTERVAL=timedelta(minutes=10), RETRY_BACKOFF=3)
    email = send()
    faults["ann@example.com"] = TRY_LATER
    before = timezone.now()
    assert mail.send_queued() == (0, 0, 1)
    stored = row(email)
    assert (stored.status, stored.number_of_retries, stored.worker_id) == (STATUS.requeued, 1, None)
    assert stored.scheduled_time is not None
    assert timedelta(minutes=10) <= stored.scheduled_time - before <= timedelta(minutes=11, seconds=30)
    # and not before
    assert mail.send_queued() == (0, 0, 0)
    Email.objects.update(scheduled_time=before)
    assert mail.send_queued() == (0, 0, 1)
    scheduled = row(email).scheduled_time
    assert scheduled is not None
    assert timedelta(minutes=30) <= scheduled - before <= timedelta(minutes=35)
    Email.objects.update(scheduled_time=before)
    faults.clear()
    assert mail.send_queued() == (1, 0, 0)
    assert [log.attempt for log in email.logs.order_by("pk")] == [1, 2, 3]
    assert email.logs.order_by("pk")[0].code == 451
    assert email.logs.order_by("pk")[0].answer == "4.3.0 try later"


def test_what_is_refused_for_good_fails_at_once(faults: Any, configure: Any) -> None:
    configure(MAX_RETRIES=5)
    email = send()
    faults["ann@example.com"] = NO_SUCH_USER
    assert mail.send_queued() == (0, 1, 0)
    assert row(email).status == STATUS.failed
    assert email.logs.get().code == 550


@pytest.mark.parametrize(("retries", "outcome"), [(0, (0, 1, 0)), (1, (0, 0, 1)), (None, (0, 0, 1))])
def test_retries_are_as_many_as_the_setting_says(
    retries: int | None, outcome: tuple[int, int, int], faults: Any, configure: Any
) -> None:
    configure(MAX_RETRIES=retries)
    send()
    faults["ann@example.com"] = TRY_LATER
    assert mail.send_queued() == outcome


def test_no_retry_is_planned_past_expiry(faults: Any) -> None:
    email = send(expires_at=timezone.now() + timedelta(minutes=5))
    faults["ann@example.com"] = TRY_LATER
    assert mail.send_queued() == (0, 1, 0)
    row(email).full_clean()


def test_where_no_age_is_too_great_mail_of_any_age_is_tried_again(faults: Any, configure: Any) -> None:
    configure(MAX_AGE=None)
    email = send()
    Email.objects.update(created=timezone.now() - timedelta(days=4000))
    faults["ann@example.com"] = TRY_LATER
    assert mail.send_queued() == (0, 0, 1)
    assert row(email).status == STATUS.requeued


def test_five_that_fail_together_come_back_at_different_times(faults: Any) -> None:
    for number in range(5):
        faults[f"{number}@example.com"] = TRY_LATER
        send(f"{number}@example.com")
    assert mail.send_queued() == (0, 0, 5)
    assert len(set(Email.objects.values_list("scheduled_time", flat=True))) == 5


def test_one_bad_mail_stops_no_other(faults: Any) -> None:
    for number, fault in enumerate(
        [ValueError("bad"), KeyError("worse"), RecursionError(), UnicodeError(), TRY_LATER, NO_SUCH_USER]
    ):
        faults[f"{number}@example.com"] = fault
        send(f"{number}@example.com", priority="high")
    good = [send(f"good{number}@example.com") for number in range(20)]
    sent, failed, requeued = mail.send_queued()
    assert (sent, failed + requeued) == (20, 6)
    assert {row(email).status for email in good} == {STATUS.sent}


def test_a_vanished_attachment_fails_its_mail_with_that_reason() -> None:
    email = send(attachments={"a.pdf": b"%PDF"})
    default_storage.delete(email.attachments.get().file.name)
    other = send("bob@example.com")
    assert mail.send_queued() == (1, 1, 0)
    assert "the attachment 'a.pdf' is gone" in email.logs.get().message
    assert row(other).status == STATUS.sent


def test_mail_without_recipients_is_sent_without_a_connection(faults: Any) -> None:
    email = mail.send(sender="me@example.com", subject="nobody")
    assert mail.send_queued() == (1, 0, 0)
    assert row(email).status == STATUS.sent
    assert django_mail.outbox == []


def test_a_backend_that_reports_nothing_sent_has_sent_nothing(configure: Any) -> None:
    configure(BACKENDS={"default": "tests.backends.SilentBackend"})
    email = send()
    assert mail.send_queued() == (0, 0, 1)
    assert email.logs.get().exception_type == "NotAccepted"


@pytest.mark.parametrize("priority", ["medium", "now"])
def test_the_id_that_the_provider_gave_is_kept(configure: Any, priority: str) -> None:
    configure(BACKENDS={"default": "tests.backends.ProviderBackend", "other": "locmem"})
    emails = [send(to, priority=priority) for to in ("ann@example.com", "bob@example.com")]
    without = send(backend="other", priority=priority)
    mail.send_queued()
    assert [row(email).provider_id for email in emails] == ["id of ann@example.com", "id of bob@example.com"]
    assert (row(without).status, row(without).provider_id) == (STATUS.sent, None)


def test_a_backend_that_reports_nothing_at_all_is_believed(configure: Any) -> None:
    configure(BACKENDS={"default": "tests.backends.WordlessBackend"})
    send()
    assert mail.send_queued() == (1, 0, 0)


# --- backends ---------------------------------------------------------------------------------


def test_a_backend_that_cannot_be_reached_costs_no_attempt_and_stops_no_other(
    faults: Any, configure: Any, caplog: Any
) -> None:
    configure(BACKENDS={"default": "tests.backends.FaultyBackend", "other": "locmem"})
    faults["open"] = ConnectionRefusedError("refused")
    waiting = [send(f"{number}@example.com") for number in range(20)]
    good = [send(backend="other") for _ in range(3)]
    assert mail.send_queued() == (3, 0, 0)
    for email in waiting:
        stored = row(email)
        assert (stored.status, stored.number_of_retries, stored.worker_id) == (STATUS.queued, None, None)
    assert {row(email).status for email in good} == {STATUS.sent}
    assert "Backend default is out of order" in caplog.text
    faults.clear()
    mail.resume("default")
    assert mail.send_queued() == (20, 0, 0)


def test_a_thread_keeps_one_connection_and_closes_it(faults: Any, configure: Any) -> None:
    configure(THREADS_PER_PROCESS=2)
    for number in range(40):
        send(f"{number}@example.com")
    assert mail.send_queued() == (40, 0, 0)
    assert len(FaultyBackend.opened) <= 2
    assert sorted(map(id, FaultyBackend.opened)) == sorted(map(id, FaultyBackend.closed))


def test_a_broken_connection_is_not_used_again(faults: Any, configure: Any) -> None:
    configure(THREADS_PER_PROCESS=1)
    send("1@example.com", priority="high")
    send("2@example.com", priority="medium")
    faults["1@example.com"] = ConnectionResetError()
    assert mail.send_queued() == (1, 0, 1)
    assert len(FaultyBackend.opened) == 2
    assert len(FaultyBackend.closed) == 2


# --- limits -----------------------------------------------------------------------------------


def test_one_call_delivers_one_batch(configure: Any) -> None:
    configure(BATCH_SIZE=7)
    for _ in range(10):
        send()
    assert mail.send_queued() == (7, 0, 0)
    assert mail.send_queued() == (3, 0, 0)
    assert not Worker.objects.exists()


def test_until_done_means_all(configure: Any) -> None:
    configure(BATCH_SIZE=7)
    for _ in range(20):
        send()
    totals = mail.send_queued_mail_until_done(lockfile="")
    assert totals is not None
    assert (totals.sent, totals.attempted) == (20, 20)


def test_get_queued_only_looks() -> None:
    low, high = send(priority="low"), send(priority="high")
    send(scheduled_time=timezone.now() + timedelta(days=1))
    send(expires_at=timezone.now() - timedelta(days=1), scheduled_time=timezone.now() - timedelta(days=2))
    assert list(mail.get_queued()) == [high, low]
    assert mail.send_queued()[0] == 2


# --- now --------------------------------------------------------------------------------------


def test_now_is_delivered_before_send_returns() -> None:
    email = send(priority="now")
    assert email.status == row(email).status == STATUS.sent
    assert len(django_mail.outbox) == 1
    assert not Worker.objects.exists()


def test_now_goes_to_the_queue_after_a_fault_that_may_pass(faults: Any) -> None:
    faults["ann@example.com"] = TRY_LATER
    email = send(priority="now")
    assert email.status == row(email).status == STATUS.requeued
    faults.clear()
    Email.objects.update(scheduled_time=timezone.now())
    assert mail.send_queued() == (1, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_now_slows_a_backend_whose_server_wants_less(faults: Any, configure: Any) -> None:
    configure(BACKENDS={"default": {"BACKEND": "tests.backends.FaultyBackend", "RATE": "100/s"}})
    faults["ann@example.com"] = type(TRY_LATER)(450, b"4.7.28 unusual rate of mail")
    assert row(send(priority="now")).status == STATUS.requeued
    assert BackendState.objects.get().slowed_to == 0.5


class ForwardingBackend(LocmemBackend):
    """Says of each mail at once that it came, and breaks then."""

    def send_messages(self, email_messages: Any) -> int:
        mail.send("log@example.com", "me@example.com", priority="now", backend="other")
        raise ConnectionResetError("broken")


def test_a_mail_that_is_sent_at_once_while_another_is_on_its_way_leaves_that_its_outcome(
    configure: Any,
) -> None:
    """It closes the connections of the thread, among them the one that is in use."""
    configure(BACKENDS={"default": f"{__name__}.ForwardingBackend", "other": "locmem"})
    assert row(send(priority="now")).status == STATUS.requeued
    assert [message.to for message in django_mail.outbox] == [["log@example.com"]]


def test_now_fails_at_once_when_refused_for_good(faults: Any) -> None:
    faults["ann@example.com"] = NO_SUCH_USER
    assert send(priority="now").status == STATUS.failed


def test_now_stays_in_the_queue_while_the_backend_is_out_of_order(faults: Any) -> None:
    faults["open"] = ConnectionRefusedError()
    email = send(priority="now")
    assert (email.status, row(email).worker_id) == (STATUS.queued, None)
    faults.clear()
    assert mail.send_queued() == (1, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_now_waits_for_the_commit_on_request(configure: Any) -> None:
    configure(NOW_ON_COMMIT=True)
    with transaction.atomic():
        email = send(priority="now")
        assert django_mail.outbox == []
    assert len(django_mail.outbox) == 1
    assert row(email).status == STATUS.sent
    with transaction.atomic():
        send(priority="now")
        transaction.set_rollback(True)
    assert len(django_mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_mail_of_a_transaction_that_rolls_back_is_never_sent() -> None:
    with transaction.atomic():
        send()
        transaction.set_rollback(True)
    assert mail.send_queued() == (0, 0, 0)


# --- dispatch ---------------------------------------------------------------------------------


def test_dispatch_delivers_one_mail_whatever_its_time(faults: Any) -> None:
    email = send(scheduled_time=timezone.now() + timedelta(days=1))
    assert email.dispatch() == STATUS.sent
    assert row(email).status == STATUS.sent
    assert len(FaultyBackend.closed) == len(FaultyBackend.opened) == 1


def test_dispatch_records_a_fault_and_raises_nothing(faults: Any) -> None:
    faults["ann@example.com"] = NO_SUCH_USER
    email = send()
    assert email.dispatch() == STATUS.failed
    assert email.logs.get().exception_type == "SMTPRecipientsRefused"


def test_dispatch_without_commit_records_nothing_and_raises(faults: Any) -> None:
    faults["ann@example.com"] = NO_SUCH_USER
    email = send()
    with pytest.raises(type(NO_SUCH_USER)):
        email.dispatch(commit=False)
    assert row(email).status == STATUS.queued
    assert not Log.objects.exists()


def test_dispatch_without_commit_of_mail_to_nobody_sends_nothing(faults: Any) -> None:
    email = mail.create("me@example.com", priority="low")
    assert email.dispatch(commit=False) == STATUS.sent
    assert django_mail.outbox == []


def test_dispatch_sends_a_finished_mail_again_when_asked() -> None:
    email = send(priority="now")
    assert email.dispatch() == STATUS.sent
    assert len(django_mail.outbox) == 2


def test_dispatch_leaves_a_mail_that_another_delivers() -> None:
    from post_office.queue import claims, liveness

    email = send()
    claims.claim_one(Email.objects.get(pk=email.pk), liveness.register(timezone.now()), timezone.now())
    assert email.dispatch() == STATUS.queued
    assert django_mail.outbox == []


def test_dispatch_takes_a_connection_of_the_callers(faults: Any) -> None:
    backend = FaultyBackend()
    backend.open()
    send().dispatch(connection=backend)
    assert FaultyBackend.opened == [backend]
    assert FaultyBackend.closed == []


@pytest.mark.parametrize(("log_level", "rows"), [(0, 0), (1, 0), (2, 1), (None, 1)])
def test_dispatch_logs_as_it_is_told(log_level: int | None, rows: int) -> None:
    send().dispatch(log_level=log_level)
    assert Log.objects.count() == rows


# --- what goes out ----------------------------------------------------------------------------


def delivered(email: Email) -> Any:
    mail.send_queued()
    assert row(email).status == STATUS.sent
    return django_mail.outbox[-1]


def test_staging_writes_to_nobody_else(configure: Any) -> None:
    configure(OVERRIDE_RECIPIENTS=["team@example.com"])
    email = send('"Doe, Ann" <ann@example.com>', cc=["cc@example.com"], bcc=["bcc@example.com"])
    message = delivered(email)
    assert message.recipients() == ["team@example.com"]
    assert message.extra_headers["X-Original-To"] == '"Doe, Ann" <ann@example.com>'
    assert message.extra_headers["X-Original-Cc"] == "cc@example.com"
    assert message.extra_headers["X-Original-Bcc"] == "bcc@example.com"
    # the row still says whom it is for
    assert row(email).to == ['"Doe, Ann" <ann@example.com>']


def test_the_message_id_is_made_once_and_kept_over_retries(faults: Any) -> None:
    email = send()
    assert email.message_id
    faults["ann@example.com"] = TRY_LATER
    mail.send_queued()
    assert row(email).message_id == email.message_id


@pytest.mark.parametrize(
    ("backend", "enabled", "goes_out"),
    [
        ("locmem", False, True),  # Django's own
        ("tests.backends.ThirdPartyBackend", False, False),
        ("tests.backends.ThirdPartyBackend", True, True),
    ],
)
def test_a_message_id_goes_to_other_backends_on_request_only(
    backend: str, enabled: bool, goes_out: bool, configure: Any
) -> None:
    configure(BACKENDS={"default": backend}, MESSAGE_ID_ENABLED=enabled)
    email = send()
    assert (delivered(email).extra_headers.get("Message-ID") == email.message_id) is goes_out


def test_the_domain_of_message_ids_may_be_set(configure: Any) -> None:
    configure(MESSAGE_ID_FQDN="mail.example.com")
    assert str(send().message_id).endswith("@mail.example.com>")


def test_a_message_id_of_the_callers_own_stands() -> None:
    email = send(headers={"message-id": "<mine@example.com>"})
    assert delivered(email).message()["Message-ID"] == "<mine@example.com>"


def test_the_expires_header_is_a_full_date() -> None:
    expires_at = timezone.now().replace(microsecond=0) + timedelta(days=400)
    message = delivered(send(expires_at=expires_at))
    assert parsedate_to_datetime(message.extra_headers["Expires"]) == expires_at


def test_attachments_with_headers_are_encoded_unless_they_say_so() -> None:
    email = send(
        attachments={
            "raw.bin": {"file": b"\0\xff", "mimetype": "application/x-foo", "headers": {"X-A": "1"}},
            "encoded.bin": {
                "file": b"AP8=",
                "mimetype": "application/x-foo",
                "headers": {"Content-Transfer-Encoding": "base64", "Content-Disposition": "attachment"},
            },
        }
    )
    parts = delivered(email).message().get_payload()[1:]
    assert [part.get_payload(decode=True) for part in parts] == [b"\0\xff", b"\0\xff"]
    assert [part.get_content_type() for part in parts] == ["application/x-foo"] * 2
    assert parts[0]["X-A"] == "1"
    assert parts[0].get_filename() == "raw.bin"


def test_an_unknown_backend_is_that_backends_fault(configure: Any, caplog: Any) -> None:
    configure(BACKENDS={"default": "locmem", "old": "locmem"})
    email = send(backend="old")
    configure(BACKENDS={"default": "locmem"})
    with pytest.raises(UnknownBackend):
        email.dispatch(commit=False)
    # nobody claims it, and it is not lost
    assert mail.send_queued() == (0, 0, 0)
    assert list(Email.objects.orphaned(["default"])) == [email]


def break_context(email: Email) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("A jsonb column holds nothing but JSON.")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE post_office_email SET context = '{broken' WHERE id = %s", [email.pk])


def test_a_context_that_cannot_be_read_back_fails_its_own_mail_and_stops_no_other() -> None:
    template = EmailTemplate.objects.create(name="hello", subject="Hello {{ name }}")
    first, bad, last = (
        mail.send(address, "me@example.com", template=template, render_on_delivery=True)
        for address in ("ann@example.com", "bob@example.com", "eve@example.com")
    )
    break_context(bad)
    mail.send_queued()
    statuses = Email.objects.in_bulk([first.pk, bad.pk, last.pk])
    assert [statuses[email.pk].status for email in (first, bad, last)] == [
        STATUS.sent,
        STATUS.failed,
        STATUS.sent,
    ]
    assert "context of this mail cannot be read back" in bad.logs.get().message


def test_a_context_that_cannot_be_read_back_is_never_overwritten() -> None:
    template = EmailTemplate.objects.create(name="hello", subject="Hello {{ name }}")
    email = mail.send("ann@example.com", "me@example.com", template=template, render_on_delivery=True)
    break_context(email)
    with pytest.raises(ValidationError, match="cannot be read back from the database"):
        Email.objects.get().save()
