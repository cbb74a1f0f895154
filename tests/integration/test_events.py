"""What providers report, in the database: each report once, in any order, the gravest status to stay."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from post_office import mail
from post_office.enums import RecipientDeliveryStatus as Status
from post_office.events import STATUS_PRIORITY, ESPEvent, record
from post_office.models import Email, Log
from post_office.signals import event_recorded

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 1, 8, tzinfo=timezone.utc)


@pytest.fixture
def email() -> Email:
    return queue()


def queue(provider_id: str | None = "provider-1") -> Email:
    email = mail.send("ann@example.com", "me@example.com", subject="s", message="m")
    Email.objects.filter(pk=email.pk).update(provider_id=provider_id)
    return email


def event(status: Status = Status.DELIVERED, **changes: Any) -> ESPEvent:
    given = {"event_id": None, "message_id": "provider-1", "timestamp": AT, **changes}
    return ESPEvent("told", status, given.pop("recipient", "ann@example.com"), **given)


def status_of(email: Email) -> int | None:
    return Email.objects.get(pk=email.pk).recipient_delivery_status


@pytest.fixture
def heard() -> Iterator[list[tuple[Email, ESPEvent]]]:
    facts: list[tuple[Email, ESPEvent]] = []

    def hear(email: Email, event: ESPEvent, **more: Any) -> None:
        facts.append((email, event))

    event_recorded.connect(hear, sender=Email)
    yield facts
    event_recorded.disconnect(hear, sender=Email)


# --- one report -------------------------------------------------------------------------------


def test_a_report_is_a_row_of_the_log_and_a_status_of_the_mail(email: Email) -> None:
    bounced = event(Status.HARD_BOUNCED, diagnostic="550 5.1.1 unknown", event_id="e1")
    assert record([bounced]) == 1
    log = Log.objects.get()
    assert (log.email, log.status, log.recipient) == (email, Status.HARD_BOUNCED, "ann@example.com")
    assert (log.message, log.exception_type, log.backend) == ("550 5.1.1 unknown", "", None)
    assert log.event_id == "e1:ann@example.com"
    assert log.get_status_display() == "Hard Bounced"
    assert status_of(email) == Status.HARD_BOUNCED


def test_nothing_else_of_the_mail_is_touched(email: Email) -> None:
    before: dict[str, Any] = dict(Email.objects.values().get(pk=email.pk))
    record([event()])
    after: dict[str, Any] = dict(Email.objects.values().get(pk=email.pk))
    assert {name for name in before if before[name] != after[name]} == {"recipient_delivery_status"}


def test_it_is_stored_whatever_log_level_says(email: Email, settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LOG_LEVEL": 0}
    assert record([event()]) == 1
    assert Log.objects.count() == 1


def test_no_report_is_no_work(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert record([]) == 0


def test_a_batch_looks_its_mails_up_together(django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        queue(f"provider-{number}")
    reports = [event(message_id=f"provider-{number}") for number in range(20)]
    # To find them, and for each: savepoint, status, log, release.
    with django_assert_max_num_queries(2 + 20 * 4):
        assert record(reports) == 20


# --- whose ------------------------------------------------------------------------------------

KNOWN_BY: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("the provider's id", lambda ours: {"message_id": "provider-1"}),
    ("the transmission", lambda ours: {"message_id": "of the recipient", "transmission_id": "provider-1"}),
    ("our Message-ID beside another's id", lambda ours: {"message_id": "x", "header_message_id": ours}),
    ("our Message-ID in the place of the provider's", lambda ours: {"message_id": ours}),
    ("our Message-ID without its brackets", lambda ours: {"message_id": ours.strip("<>")}),
]


@pytest.mark.parametrize(("what", "told"), KNOWN_BY, ids=[what for what, _ in KNOWN_BY])
def test_a_mail_is_known_by(what: str, told: Callable[[str], dict[str, Any]], email: Email) -> None:
    queue("another")
    assert email.message_id is not None
    assert record([event(**told(email.message_id))]) == 1
    assert Log.objects.get().email == email


@pytest.mark.parametrize(
    "told",
    [
        {"message_id": "unknown"},
        {"message_id": "PROVIDER-1"},  # some databases take it for the same
        {"message_id": None},
        {"message_id": ""},
        {"message_id": "x\0y", "header_message_id": "<\ud800@x>", "transmission_id": "\U0001f600" * 300},
    ],
)
def test_a_mail_that_is_not_here_is_logged_and_left(told: dict[str, Any], email: Email, caplog: Any) -> None:
    caplog.set_level("INFO", "post_office")
    assert record([event(**told), event()]) == 1
    assert [line.getMessage() for line in caplog.records if "not here" in line.getMessage()] != []
    assert Log.objects.get().email == email


def test_of_several_with_one_id_it_is_the_newest(email: Email) -> None:
    newest = queue("provider-1")
    record([event()])
    assert Log.objects.get().email == newest


def test_text_that_no_database_takes_is_mended(email: Email) -> None:
    strange = "a\0b\ud800c\U0001f600"
    assert record([event(recipient=strange * 100, diagnostic=strange, event_id=strange)]) == 1
    log = Log.objects.get()
    assert log.message == "a\ufffdb?c\U0001f600"
    assert log.recipient is not None
    assert len(log.recipient) == 255


# --- once -------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_id", [None, "e1", "E1", "e" * 500, "e \ud800"])
def test_a_report_that_comes_again_stores_nothing(event_id: str | None, email: Email) -> None:
    told = event(event_id=event_id)
    assert [record([told]), record([told, told]), record([replace(told)])] == [1, 0, 0]
    assert Log.objects.count() == 1


DIFFERENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ids", {"event_id": "e1"}, {"event_id": "e2"}),
    ("ids by their capitals", {"event_id": "e1"}, {"event_id": "E1"}),
    ("ids by an accent", {"event_id": "e"}, {"event_id": "\xe9"}),
    ("ids by a space at the end", {"event_id": "e", "recipient": "a"}, {"event_id": "e", "recipient": "a "}),
    ("long ids", {"event_id": "e" * 300}, {"event_id": "e" * 301}),
    ("recipients of one report", {"event_id": "e"}, {"event_id": "e", "recipient": "bob@example.com"}),
    ("recipients", {}, {"recipient": "bob@example.com"}),
    ("moments", {}, {"timestamp": AT + timedelta(milliseconds=1)}),
    ("diagnostics", {"diagnostic": "a"}, {"diagnostic": "b"}),
    ("statuses", {"status": Status.OPENED}, {"status": Status.CLICKED}),
]


@pytest.mark.parametrize(("what", "one", "other"), DIFFERENT, ids=[what for what, _, _ in DIFFERENT])
def test_reports_are_told_apart_by_their(
    what: str, one: dict[str, Any], other: dict[str, Any], email: Email
) -> None:
    assert record([event(**one), event(**other)]) == 2


# --- in any order -----------------------------------------------------------------------------


def test_every_status_has_its_place() -> None:
    assert sorted(STATUS_PRIORITY.values()) == list(range(1, len(Status) + 1))
    assert list(STATUS_PRIORITY) == [
        Status.ACCEPTED, Status.DEFERRED, Status.DELIVERED, Status.OPENED, Status.CLICKED,
        Status.SOFT_BOUNCED, Status.UNDETERMINED_BOUNCED, Status.HARD_BOUNCED,
        Status.UNSUBSCRIBED, Status.SPAM_COMPLAINT,
    ]  # fmt: skip


@pytest.mark.parametrize("pair", list(itertools.combinations(STATUS_PRIORITY, 2)))
def test_a_graver_status_replaces_a_milder_one_and_never_the_other_way(
    pair: tuple[Status, Status], email: Email
) -> None:
    mild, grave = pair
    assert record([event(mild)]) == 1
    assert status_of(email) == mild
    assert record([event(grave), event(mild, event_id="again")]) == 2
    assert status_of(email) == grave


def test_what_became_of_a_mail_does_not_depend_on_the_order(email: Email) -> None:
    story = [
        event(status) for status in (Status.ACCEPTED, Status.DEFERRED, Status.DELIVERED, Status.SOFT_BOUNCED)
    ]
    ends = set()
    for order in itertools.permutations(story):
        Log.objects.all().delete()
        Email.objects.update(recipient_delivery_status=None)
        record(order)
        ends.add((status_of(email), Log.objects.count()))
    assert ends == {(Status.SOFT_BOUNCED, 4)}


# --- said to others ---------------------------------------------------------------------------


def test_applications_hear_of_each_report_once(
    email: Email, heard: list[tuple[Email, ESPEvent]], django_capture_on_commit_callbacks: Any
) -> None:
    delivered, opened = event(Status.DELIVERED), event(Status.OPENED)
    with django_capture_on_commit_callbacks(execute=True):
        record([opened, opened])
        record([delivered])
    assert [told for _, told in heard] == [opened, delivered]
    assert {(told.pk, told.recipient_delivery_status) for told, _ in heard} == {(email.pk, Status.OPENED)}


@pytest.mark.django_db(transaction=True)
def test_applications_hear_nothing_of_what_was_rolled_back(heard: list[tuple[Email, ESPEvent]]) -> None:
    email = queue()
    with transaction.atomic():
        record([event()])
        transaction.set_rollback(True)
    assert (heard, status_of(email)) == ([], None)
    record([event()])
    assert [told.pk for told, _ in heard] == [email.pk]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_raises_stops_nothing(heard: list[tuple[Email, ESPEvent]]) -> None:
    def fail(**more: Any) -> None:
        raise ZeroDivisionError

    queue()
    event_recorded.connect(fail, sender=Email)
    try:
        assert record([event(), event(Status.OPENED)]) == 2
    finally:
        event_recorded.disconnect(fail, sender=Email)
    assert len(heard) == 2


# --- at the same time -------------------------------------------------------------------------


def together(*calls: Callable[[], int]) -> list[int]:
    """Run these at the same time, each on a thread and a connection of its own."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], int]) -> int:
        try:
            connection.ensure_connection()
            start.wait(timeout=30)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


@pytest.mark.django_db(transaction=True)
def test_a_report_that_comes_twice_at_the_same_time_is_stored_once(
    heard: list[tuple[Email, ESPEvent]],
) -> None:
    queue()
    for number in range(15):
        told = event(event_id=str(number))
        assert sorted(together(lambda: record([told]), lambda: record([told]))) == [0, 1]  # noqa: B023
    assert Log.objects.count() == len(heard) == 15


@pytest.mark.django_db(transaction=True)
def test_one_that_waits_for_the_other_to_commit_stores_nothing() -> None:
    queue()
    stored, begun = threading.Event(), threading.Event()

    def first() -> int:
        with transaction.atomic():
            count = record([event()])
            stored.set()
            begun.wait(timeout=30)
        return count

    def second() -> int:
        stored.wait(timeout=30)
        begun.set()
        return record([event()])

    assert together(first, second) == [1, 0]
    assert Log.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_gravest_of_those_that_come_together_stays() -> None:
    for _ in range(10):
        email = queue()
        reports = [
            event(status, message_id=email.message_id)
            for status in (Status.DELIVERED, Status.HARD_BOUNCED, Status.OPENED, Status.SPAM_COMPLAINT)
        ]
        calls = [partial(record, [told]) for told in reports]
        assert together(*calls) == [1, 1, 1, 1]
        assert status_of(email) == Status.SPAM_COMPLAINT


@pytest.mark.django_db(transaction=True)
def test_batches_in_transactions_of_their_own_do_not_lock_each_other_out() -> None:
    """As with ATOMIC_REQUESTS: what a batch has written stays locked until its end."""
    if connection.vendor == "sqlite":
        pytest.skip("a transaction that reads before it writes cannot wait for another there")
    for number in range(6):
        queue(f"provider-{number}")
    reports = [event(message_id=f"provider-{number}") for number in range(6)]

    def at_once(told: list[ESPEvent]) -> int:
        with transaction.atomic():
            return record(told)

    for number in range(10):
        batch = [replace(each, timestamp=AT + timedelta(seconds=number)) for each in reports]
        there, back = batch, batch[::-1]
        assert sorted(together(lambda: at_once(there), lambda: at_once(back))) == [0, 6]  # noqa: B023


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_report_is_stored_whole_or_not_at_all() -> None:
    email = queue()

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT"):
            raise OperationalError("server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        record([event()])
    assert (status_of(email), Log.objects.count()) == (None, 0)
    assert record([event()]) == 1


def test_a_mail_that_is_deleted_meanwhile_is_no_fault(email: Email) -> None:
    def come_between(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE"):
            Email.objects.filter(pk=email.pk).delete()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(come_between):
        assert record([event()]) == 0
    assert Log.objects.count() == 0
