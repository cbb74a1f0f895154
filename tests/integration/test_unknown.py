"""Mail that may have been sent, mail that kills its workers, and mail that is too old."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.checks import CheckMessage
from django.core.mail import send_mail
from django.utils import timezone

from post_office import mail, signals
from post_office.checks import check_delivery
from post_office.delivery.faults import Fault, Kind
from post_office.delivery.worker import WorkerLoop
from post_office.models import STATUS, Email, Log, Worker
from post_office.queue import liveness, outcomes
from post_office.queue.claims import Claimer
from tests.acceptance.project import smtp_backend
from tests.acceptance.smtp_server import SMTPServer
from tests.backends import NO_SUCH_USER, TRY_LATER, FaultyBackend

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
ALIASES = ("", "default")


@pytest.fixture
def now() -> datetime:
    return timezone.now() + timedelta(seconds=1)


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**changes: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, **changes}

    return change


@pytest.fixture
def faults(configure: Any) -> Iterator[dict[str, Exception]]:
    """Deliver through a backend that raises these, by the first recipient."""
    configure(BACKENDS={"default": "tests.backends.FaultyBackend"})
    FaultyBackend.faults.clear()
    yield FaultyBackend.faults
    FaultyBackend.faults.clear()


def queue(count: int = 1, **arguments: Any) -> list[Email]:
    return mail.send_many(
        [{"recipients": "ann@example.com", "sender": "me@example.com", **arguments}] * count
    )


def row(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


def die(worker: Worker, now: datetime) -> int:
    return liveness.bury(worker.pk, now)


# --- the policy ---------------------------------------------------------------------------------


def test_the_policy_is_the_mails_own_or_that_of_its_backend_or_of_the_settings(configure: Any) -> None:
    configure(
        BACKENDS={"default": "locmem", "once": {"BACKEND": "locmem", "UNKNOWN": "hold"}, "other": "locmem"},
        POLICIES={"other": {"UNKNOWN": "hold"}},
    )
    said = [
        queue()[0],
        queue(backend="once")[0],
        queue(backend="other")[0],
        queue(backend="once", on_unknown="resend")[0],
        queue(on_unknown="hold")[0],
    ]
    assert [row(email).on_unknown for email in said] == ["resend", "hold", "hold", "resend", "hold"]
    configure(UNKNOWN="hold")
    send_mail("s", "b", "me@example.com", ["ann@example.com"])
    assert Email.objects.latest("pk").on_unknown == "hold"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"on_unknown": "retry"}, "on_unknown: 'retry' is none of resend, hold."),
        ({"max_retries": -1}, "max_retries: -1 is not a number from 0 to 32767."),
        ({"max_retries": True}, "max_retries: True is not a number from 0 to 32767."),
        ({"max_retries": 2**15}, "max_retries: 32768 is not a number from 0 to 32767."),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        queue(**arguments)


@pytest.fixture
def server(configure: Any) -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        configure(BACKENDS={"default": smtp_backend(server)})
        yield server


def test_mail_whose_delivery_is_unknown_is_sent_again(server: SMTPServer) -> None:
    server.taken_without_answer["ann@example.com"] = 1
    (email,) = queue()
    assert mail.send_queued() == (0, 0, 1)
    Email.objects.update(scheduled_time=timezone.now())
    assert mail.send_queued() == (1, 0, 0)
    assert server.message_ids() == {email.message_id: 2}


def test_mail_on_hold_is_failed_when_its_delivery_is_unknown(server: SMTPServer) -> None:
    server.taken_without_answer["ann@example.com"] = 1
    (email,) = queue(on_unknown="hold")
    assert mail.send_queued() == (0, 1, 0)
    assert row(email).status == STATUS.failed
    log = email.logs.get()
    assert log.message.startswith("It is unknown whether this mail was sent, so it is not sent again.")
    assert log.exception_type == "Unanswered"
    # A person may decide.
    mail.requeue([email])
    assert mail.send_queued() == (1, 0, 0)


def test_mail_on_hold_goes_on_when_it_is_certain_that_it_was_not_taken(server: SMTPServer) -> None:
    server.hang_ups_before_data["ann@example.com"] = 1
    queue(on_unknown="hold")
    assert mail.send_queued() == (0, 0, 1)
    Email.objects.update(scheduled_time=timezone.now())
    assert mail.send_queued() == (1, 0, 0)
    assert len(server.accepted) == 1


# --- dead workers -------------------------------------------------------------------------------


def test_mail_on_hold_of_a_dead_worker_is_failed_and_all_other_is_free(now: datetime) -> None:
    heard: list[Email] = []

    def receiver(emails: list[Email], **kwargs: Any) -> None:
        heard.extend(emails)

    (held,) = queue(on_unknown="hold")
    (other,) = queue()
    worker = liveness.register(now)
    assert len(Claimer(worker).claim(5, ALIASES, now)) == 2
    signals.email_failed.connect(receiver)
    try:
        assert die(worker, now) == 1
    finally:
        signals.email_failed.disconnect(receiver)
    assert (row(held).status, row(held).worker_id, row(held).claims) == (STATUS.failed, None, 0)
    assert (row(other).status, row(other).worker_id) == (STATUS.queued, None)
    log = held.logs.get()
    assert (log.exception_type, log.attempt, log.backend) == ("WorkerDied", 1, "default")
    assert "unknown whether this mail was sent" in log.message
    assert heard == [held]
    assert not other.logs.exists()


def test_what_a_worker_that_comes_back_writes_changes_nothing_of_mail_on_hold(now: datetime) -> None:
    (email,) = queue(on_unknown="hold")
    worker = liveness.register(now)
    claimed = Claimer(worker).claim(5, ALIASES, now)
    die(worker, now)
    settled = outcomes.settle([(claimed[0], outcomes.Sent(backend="default"))], worker, 2, now)
    assert settled.lost == 1
    assert row(email).status == STATUS.failed


def test_a_worker_that_leaves_in_order_frees_mail_on_hold(now: datetime) -> None:
    (email,) = queue(on_unknown="hold")
    worker = liveness.register(now)
    Claimer(worker).claim(5, ALIASES, now)
    liveness.retire(worker)
    assert (row(email).status, row(email).worker_id) == (STATUS.queued, None)


def test_mail_that_kills_its_workers_is_found_and_failed_and_no_other_mail_is(now: datetime) -> None:
    """Whoever has the second mail dies. It drags the others along until it is claimed alone."""
    good = queue(2)
    (poison,) = queue()
    good += queue(2)
    sent: list[Email] = []
    deaths = 0
    for _ in range(20):
        worker = liveness.register(now)
        claimer = Claimer(worker)
        claimed = claimer.claim(10, ALIASES, now)
        if poison in claimed:
            deaths += 1
            die(worker, now)
            continue
        outcomes.settle([(email, outcomes.Sent(backend="default")) for email in claimed], worker, 2, now)
        sent += claimed
        liveness.retire(worker)
    assert deaths == 3
    assert row(poison).status == STATUS.failed
    assert "each time that it was to be sent" in poison.logs.get().message
    assert set(sent) == set(good)
    assert {row(email).status for email in good} == {STATUS.sent}


def test_a_suspect_is_claimed_alone_and_nothing_beside_it(now: datetime) -> None:
    first, suspect, last = (queue()[0] for _ in range(3))
    Email.objects.filter(pk=suspect.pk).update(claims=2)
    claimer = Claimer(liveness.register(now))
    # what stands before it goes first
    assert claimer.claim(10, ALIASES, now) == [first]
    assert claimer.is_over
    # the worker holds something still
    claimer.in_company = True
    assert claimer.claim(10, ALIASES, now) == []
    claimer.in_company = False
    assert claimer.claim(10, ALIASES, now) == [suspect]
    claimer.in_company = True
    assert claimer.claim(10, ALIASES, now) == []
    claimer.in_company = False
    assert claimer.claim(10, ALIASES, now) == [last]
    assert not claimer.is_over


def test_no_more_mail_on_hold_is_claimed_than_can_be_sent_at_once(now: datetime) -> None:
    emails = queue(5, on_unknown="hold")
    claimer = Claimer(liveness.register(now), threads=3)
    assert claimer.claim(10, ALIASES, now) == emails[:3]
    claimer.threads, claimer.in_company = 1, True
    assert claimer.claim(10, ALIASES, now) == emails[3:4]
    claimer.threads = 0
    assert claimer.claim(10, ALIASES, now) == []


@pytest.mark.parametrize("columns", [{"claims": 2}, {"on_unknown": "hold"}])
def test_a_worker_delivers_what_is_claimed_with_care_at_its_usual_pace(columns: dict[str, Any]) -> None:
    queue(60)
    Email.objects.update(**columns)
    begun = timezone.now()
    assert WorkerLoop(log_level=2).run().sent == 60
    assert len(django_mail.outbox) == 60
    # and does not wait half a second for each
    assert timezone.now() - begun < timedelta(seconds=30)


# --- retries and age ----------------------------------------------------------------------------


def test_a_mail_and_a_backend_may_say_how_often_to_try_again(faults: Any, configure: Any) -> None:
    faulty = {"BACKEND": "tests.backends.FaultyBackend"}
    configure(BACKENDS={"default": {**faulty, "MAX_RETRIES": 0}, "other": faulty}, MAX_RETRIES=1)
    faults["ann@example.com"] = TRY_LATER
    emails = [
        queue()[0],
        queue(max_retries=1)[0],
        queue(backend="other")[0],
        queue(backend="other", max_retries=0)[0],
    ]
    assert mail.send_queued() == (0, 2, 2)
    failed, requeued = STATUS.failed, STATUS.requeued
    assert [row(email).status for email in emails] == [failed, requeued, requeued, failed]


def test_mail_that_has_been_due_for_too_long_expires(configure: Any) -> None:
    configure(MAX_AGE=DAY)
    old, young, scheduled = (queue()[0] for _ in range(3))
    Email.objects.update(created=timezone.now() - 2 * DAY)
    Email.objects.filter(pk=young.pk).update(created=timezone.now() - DAY / 2)
    Email.objects.filter(pk=scheduled.pk).update(scheduled_time=timezone.now() - DAY / 2)
    assert mail.send_queued() == (2, 0, 0)
    assert row(old).status == STATUS.expired
    # whoever queues it again wants it to go
    mail.requeue([old])
    assert mail.send_queued() == (1, 0, 0)


# What the settings say of age, what the backend says itself, and whether mail that is due for two days goes.
AGES: list[tuple[str, timedelta | None, dict[str, Any], bool]] = [
    ("the settings count where the backend says nothing", DAY, {}, False),
    ("a backend may allow more", DAY, {"MAX_AGE": 3 * DAY}, True),
    ("a backend may allow less", 7 * DAY, {"MAX_AGE": DAY}, False),
    ("a backend may have no limit", DAY, {"MAX_AGE": None}, True),
    ("a backend may have the only limit", None, {"MAX_AGE": DAY}, False),
]


@pytest.mark.parametrize("alias", ["", "default", "bulk"])
@pytest.mark.parametrize(
    ("general", "own", "goes"), [case[1:] for case in AGES], ids=[case[0] for case in AGES]
)
def test_what_a_backend_says_of_age_counts_for_its_mail(
    general: timedelta | None, own: dict[str, Any], goes: bool, alias: str, configure: Any
) -> None:
    two = {"default": {"BACKEND": "locmem"}, "bulk": {"BACKEND": "locmem"}}
    two[alias or "default"].update(own)
    configure(BACKENDS=two, MAX_AGE=general)
    (email,) = queue(backend=alias)
    Email.objects.update(created=timezone.now() - 2 * DAY)
    assert mail.send_queued() == (int(goes), 0, 0)
    assert row(email).status == (STATUS.sent if goes else STATUS.expired)


def test_what_a_backend_says_of_age_does_not_count_for_others(configure: Any) -> None:
    configure(BACKENDS={"default": "locmem", "bulk": {"BACKEND": "locmem", "MAX_AGE": DAY}})
    (news,), (invoice,) = queue(backend="bulk"), queue()
    Email.objects.update(created=timezone.now() - 2 * DAY)
    mail.send_queued()
    assert (row(news).status, row(invoice).status) == (STATUS.expired, STATUS.sent)


def test_no_retry_is_planned_beyond_what_the_backend_says_of_age(faults: Any, configure: Any) -> None:
    faulty = {"BACKEND": "tests.backends.FaultyBackend"}
    configure(BACKENDS={"default": faulty, "bulk": {**faulty, "MAX_AGE": timedelta(minutes=5)}})
    faults["ann@example.com"] = TRY_LATER
    (news,), (invoice,) = queue(backend="bulk"), queue()
    assert mail.send_queued() == (0, 1, 1)
    assert (row(news).status, row(invoice).status) == (STATUS.failed, STATUS.requeued)


@pytest.mark.parametrize(("max_age", "sent"), [(None, 1), (timedelta(days=7), 0)])
def test_mail_of_a_year_ago_is_sent_only_where_age_has_no_limit(
    max_age: timedelta | None, sent: int, configure: Any
) -> None:
    configure(MAX_AGE=max_age)
    queue()
    Email.objects.update(created=timezone.now() - 365 * DAY)
    assert mail.send_queued() == (sent, 0, 0)


def test_mail_that_waited_for_a_weekend_goes() -> None:
    queue()
    Email.objects.update(created=timezone.now() - 4 * DAY)
    assert mail.send_queued() == (1, 0, 0)


def test_no_retry_is_planned_beyond_the_greatest_age_however_often_it_was_tried(
    faults: Any, configure: Any
) -> None:
    configure(MAX_AGE=DAY, RETRY_INTERVAL=timedelta(hours=10), RETRY_BACKOFF=1)
    faults["ann@example.com"] = TRY_LATER
    (email,) = queue()
    queued_at = timezone.now() - timedelta(hours=5)
    Email.objects.update(created=queued_at)
    assert mail.send_queued() == (0, 0, 1)
    assert row(email).first_due_at == queued_at
    # the second one would come at 5 + 10 hours, the third beyond the day
    Email.objects.update(created=queued_at - timedelta(hours=10), first_due_at=queued_at)
    Email.objects.update(scheduled_time=timezone.now())
    assert mail.send_queued() == (0, 0, 1)
    Email.objects.update(first_due_at=queued_at - timedelta(hours=10), scheduled_time=timezone.now())
    assert mail.send_queued() == (0, 1, 0)
    assert Log.objects.count() == 3


# --- the project's own word ---------------------------------------------------------------------


def it_may_pass(exception: Exception, fault: Fault, email: Email) -> Kind | None:
    assert isinstance(email, Email)
    return Kind.TRANSIENT if fault.code == 550 else None


def it_breaks(exception: Exception, fault: Fault, email: Email) -> None:
    raise ZeroDivisionError


def it_says_nonsense(exception: Exception, fault: Fault, email: Email) -> str:
    return "later"


@pytest.mark.parametrize(
    ("hook", "outcome", "words"),
    [
        (it_may_pass, (0, 0, 1), ""),
        (it_breaks, (0, 1, 0), "POST_OFFICE['CLASSIFY'] failed for email"),
        (it_says_nonsense, (0, 1, 0), "returned 'later', which is no Fault, Kind or None"),
    ],
)
def test_the_project_may_say_what_a_fault_means(
    hook: Any, outcome: tuple[int, int, int], words: str, faults: Any, configure: Any, caplog: Any
) -> None:
    configure(CLASSIFY=f"{__name__}.{hook.__name__}")
    faults["ann@example.com"] = NO_SUCH_USER
    queue()
    with caplog.at_level(logging.ERROR, "post_office"):
        assert mail.send_queued() == outcome
    assert words in caplog.text


def test_the_project_may_say_it_of_one_recipient(server: SMTPServer, configure: Any) -> None:
    configure(CLASSIFY=f"{__name__}.it_may_pass")
    server.refusals = {"bob@example.com": "550 5.1.1 who?", "eve@example.com": "551 5.1.6 moved"}
    (email,) = queue(cc=["bob@example.com", "eve@example.com"])
    assert mail.send_queued() == (0, 0, 1)
    states = {mailbox: said["state"] for mailbox, said in (row(email).answers or {}).items()}
    assert states == {
        "ann@example.com": "accepted",
        "bob@example.com": "deferred",
        "eve@example.com": "refused",
    }


LOCMEM = {"BACKEND": "locmem"}
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"BACKENDS": {"default": {**LOCMEM, "RETRIES": 3}}}, "E010", "'RETRIES', which nothing reads"),
    ({"BACKENDS": {"default": {**LOCMEM, "UNKNOWN": "drop"}}}, "E010", "'drop' is none of"),
    ({"POLICIES": {"default": {"MAX_RETRIES": -1}}}, "E010", "-1 is not 0 or more"),
    ({"POLICIES": {"default": {"MAX_AGE": 86400}}}, "E010", "86400 is no timedelta"),
    ({"POLICIES": {"default": LOCMEM}}, "E010", "'BACKEND', which nothing reads"),
    ({"UNKNOWN": "drop"}, "E011", "'drop' is none of"),
    ({"MAX_CLAIMS": 1}, "E011", "1 is not a number of 2 or more"),
    ({"CLASSIFY": "no.such.function"}, "E012", "'no.such.function' cannot be imported"),
]


@pytest.mark.parametrize(("changes", "number", "words"), MISTAKES, ids=[words for *_, words in MISTAKES])
def test_checks_find_what_cannot_be_meant(
    changes: dict[str, Any], number: str, words: str, configure: Any
) -> None:
    assert check_delivery() == []
    configure(**changes)
    found: list[CheckMessage] = list(check_delivery())
    assert [message.id for message in found] == [f"post_office.{number}"]
    assert words in found[0].msg
