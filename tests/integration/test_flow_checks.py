"""What the system checks say of that which lets mail stand still."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.utils import timezone

from post_office import mail
from post_office.flow_checks import check_dispatchers, check_locks
from post_office.models import STATUS, Dispatcher, Email
from post_office.queue import brakes, environment, liveness

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**more: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, **more}

    return change


def ids(messages: list[CheckMessage]) -> list[str]:
    return sorted(str(message.id) for message in messages if str(message.id).startswith("post_office."))


def said_of_settings() -> list[str]:
    return ids(run_checks())


def said_of_the_queue() -> list[str]:
    return ids(run_checks(tags=["database"], databases=["default"]))


def queue(due: timedelta = 3 * HOUR, **columns: Any) -> Email:
    email = mail.send("ann@example.com", "me@example.com")
    Email.objects.filter(pk=email.pk).update(scheduled_time=timezone.now() - due, **columns)
    return email


# --- the settings -----------------------------------------------------------------------------

SMTP = {"BACKEND": "smtp"}
# What is configured, and what is said of it.
SETTINGS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("what is usual", {}, []),
    ("limits that can be", {"HEALTH_LIMITS": {"MAX_AGE": HOUR, "REQUIRE_DISPATCHER": True}}, []),
    ("limits of nothing", {"HEALTH_LIMITS": {"MAX_QUEUE": 3}}, ["post_office.E020"]),
    ("limits of another kind", {"HEALTH_LIMITS": {"MAX_AGE": 3600}}, ["post_office.E020"]),
    ("no retries", {"MAX_RETRIES": 0}, ["post_office.W023"]),
    ("one retry", {"MAX_RETRIES": 1}, []),
    ("a server with the usual time", {"BACKENDS": {"default": SMTP}}, []),
    (
        "a server with any time",
        {"BACKENDS": {"default": SMTP}, "BATCH_DELIVERY_TIMEOUT": None},
        ["post_office.W022"],
    ),
    (
        "a server with a time of its own",
        {"BACKENDS": {"default": {**SMTP, "OPTIONS": {"timeout": 5}}}, "BATCH_DELIVERY_TIMEOUT": None},
        [],
    ),
    ("no server at all", {"BACKENDS": {"default": "locmem"}, "BATCH_DELIVERY_TIMEOUT": None}, []),
    (
        "a backend that is not there",
        {"BACKENDS": {"default": "no.such.Backend"}, "BATCH_DELIVERY_TIMEOUT": None},
        ["post_office.E001"],
    ),
]


@pytest.mark.parametrize(
    ("given", "said"), [case[1:] for case in SETTINGS], ids=[case[0] for case in SETTINGS]
)
def test_settings_that_let_mail_stand_are_named(configure: Any, given: Any, said: list[str]) -> None:
    configure(**given)
    assert said_of_settings() == said


@pytest.mark.filterwarnings("ignore:The EMAIL_TIMEOUT setting is deprecated")  # by Django 6.1
def test_djangos_own_time_is_one(configure: Any, settings: Any) -> None:
    configure(BACKENDS={"default": SMTP}, BATCH_DELIVERY_TIMEOUT=None)
    settings.EMAIL_TIMEOUT = 5
    assert said_of_settings() == []


# --- the queue --------------------------------------------------------------------------------


def test_mail_that_is_forgotten_is_named() -> None:
    queue()
    (message,) = check_dispatchers(databases=["default"])
    assert message.id == "post_office.W020"
    assert message.msg == "Mail has been due for 3h, and no dispatcher was ever seen."
    seen = timezone.now() - 2 * HOUR
    Dispatcher.objects.create(
        command="run_dispatcher", host="elsewhere", boot="other", pid=1, started_at=seen, beat_at=seen
    )
    (message,) = check_dispatchers(databases=["default"])
    assert message.msg == "Mail has been due for 3h, and no dispatcher was seen for 2h."


def test_an_empty_queue_needs_nobody() -> None:
    assert said_of_the_queue() == []


def test_mail_that_waits_for_good_reasons_is_not_forgotten(configure: Any) -> None:
    queue(due=timedelta(minutes=50))
    queue(due=-HOUR)
    queue(status=STATUS.sent)
    assert said_of_the_queue() == []
    queue()
    assert said_of_the_queue() == ["post_office.W020"]
    brakes.pause("default", by="eve", now=timezone.now())
    assert said_of_the_queue() == []
    brakes.resume("default", by="eve", now=timezone.now())
    environment.adopt("production")
    assert said_of_the_queue() == ["post_office.W020"]
    configure(ENVIRONMENT="staging")
    assert said_of_the_queue() == []


def test_mail_that_somebody_delivers_is_not_forgotten() -> None:
    queue()
    worker = liveness.register(timezone.now())
    assert said_of_the_queue() == []
    liveness.retire(worker)
    assert said_of_the_queue() == ["post_office.W020"]
    call_command("send_queued_mail", "--max-mails", "1", stdout=StringIO(), verbosity=0)
    queue()
    assert said_of_the_queue() == []


def test_another_database_is_not_looked_at() -> None:
    queue()
    assert check_dispatchers() == check_dispatchers(databases=["other"]) == check_locks() == []


@pytest.mark.django_db(transaction=True)
def test_tables_of_an_earlier_version_are_not_looked_at() -> None:
    queue()
    call_command("migrate", "post_office", "0001", verbosity=0)
    try:
        assert said_of_the_queue() == []
    finally:
        call_command("migrate", "post_office", verbosity=0)


def test_a_database_whose_workers_wait_for_each_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_locks(databases=["default"]) == []
    # As MariaDB 10.5 is.
    monkeypatch.setattr(connection.features, "has_select_for_update_skip_locked", False)
    said = [message.id for message in check_locks(databases=["default"])]
    assert said == ([] if connection.vendor == "sqlite" else ["post_office.W021"])


def test_a_limit_that_cannot_be_stops_a_command(configure: Any) -> None:
    configure(HEALTH_LIMITS={"MAX_AGE": 3600})
    with pytest.raises(SystemCheckError, match="MAX_AGE: 3600 is not a timedelta above 0"):
        call_command("check")
