"""Backends by alias: BACKENDS as people write them, on every Django."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, send_mail
from django.core.mail.backends import console, dummy, filebased, locmem, smtp
from django.core.mail.backends.base import BaseEmailBackend

from post_office import aliases, mail
from post_office.backends import EmailBackend
from post_office.checks import check_backends, check_delivery_for_deployment, check_mailers
from post_office.compat import HAS_MAILERS
from post_office.delivery import connections as conn
from post_office.exceptions import SelfReferringBackend, UnknownBackend
from post_office.models import PRIORITY, STATUS, Email


@pytest.fixture
def backends(settings: Any) -> Any:
    def configure(**entries: Any) -> None:
        settings.POST_OFFICE = {"BACKENDS": entries}

    return configure


NAMES = [
    ("console", console.EmailBackend),
    ("console.EmailBackend", console.EmailBackend),
    ("locmem.EmailBackend", locmem.EmailBackend),
    ("dummy", dummy.EmailBackend),
    ("django.core.mail.backends.dummy.EmailBackend", dummy.EmailBackend),
    ({"BACKEND": "locmem"}, locmem.EmailBackend),
]


@pytest.mark.parametrize(("entry", "backend_class"), NAMES, ids=str)
def test_a_backend_may_be_named_in_short_or_in_full(entry: Any, backend_class: type, backends: Any) -> None:
    backends(default=entry)
    assert type(conn.open_connection("default")) is backend_class


def test_options_are_given_to_the_backend(backends: Any, tmp_path: Any) -> None:
    backends(default={"BACKEND": "filebased", "OPTIONS": {"file_path": str(tmp_path)}})
    backend = conn.open_connection("default")
    assert isinstance(backend, filebased.EmailBackend)
    assert backend.file_path == str(tmp_path)
    backend.close()


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an SMTP backend be made where there is no server."""
    monkeypatch.setattr(smtp.EmailBackend, "open", lambda self: None)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("entry", ["smtp", "smtp.EmailBackend", {"BACKEND": "smtp"}], ids=str)
def test_smtp_without_options_reads_djangos_settings(entry: Any, backends: Any) -> None:
    backends(default=entry)
    backend = conn.open_connection("default")
    assert isinstance(backend, smtp.EmailBackend)
    assert (backend.host, backend.port) == ("localhost", 25)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(("options", "timeout"), [({}, 180), ({"timeout": 7}, 7)])
def test_a_server_that_stops_answering_holds_no_thread_for_ever(
    options: dict[str, Any], timeout: int, backends: Any
) -> None:
    backends(default={"BACKEND": "smtp", "OPTIONS": {"host": "127.0.0.1", **options}})
    assert conn.open_connection("default").timeout == timeout  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path",
    ["post_office.EmailBackend", "post_office.backends.EmailBackend", "tests.backends.QueueingBackend"],
)
def test_a_queue_that_delivers_into_itself_is_refused_by_whatever_path(path: str, backends: Any) -> None:
    backends(default=path)
    with pytest.raises(SelfReferringBackend, match="'default' queues mail in post_office itself"):
        conn.open_connection("default")
    assert [message.id for message in check_backends()] == ["post_office.E002"]


@pytest.mark.parametrize(
    "path",
    ["post_office.EmailBackend", "post_office.backends.EmailBackend", "tests.backends.QueueingBackend"],
)
@pytest.mark.filterwarnings("ignore:The EMAIL_BACKEND setting")
def test_without_backends_smtp_delivers_for_the_queue(path: str, settings: Any) -> None:
    settings.POST_OFFICE = {}
    settings.EMAIL_BACKEND = path
    assert aliases.backends() == {"default": {"BACKEND": aliases.SMTP, "OPTIONS": {}}}
    assert aliases.aliases() == ["default"]


@pytest.mark.filterwarnings("ignore:The EMAIL_BACKEND setting")
def test_without_backends_another_email_backend_delivers(settings: Any) -> None:
    settings.POST_OFFICE = {}
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert type(conn.open_connection("default")) is dummy.EmailBackend


@pytest.fixture
def mailers(settings: Any) -> Any:
    """MAILERS with two ways into the queue and one out of it."""
    if not HAS_MAILERS:
        pytest.skip("MAILERS came with Django 6.1.")
    del settings.EMAIL_BACKEND
    settings.MAILERS = {
        "default": {"BACKEND": "post_office.EmailBackend"},
        "later": {"BACKEND": "tests.backends.QueueingBackend"},
        "out": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"},
    }

    def configure(default: str | None) -> None:
        settings.POST_OFFICE = {"DEFAULT_MAILER": default}

    return configure


@pytest.mark.parametrize("alias", ["default", "later", "out"])
def test_mail_that_names_a_way_into_the_queue_is_delivered_by_the_default_mailer(
    alias: str, mailers: Any
) -> None:
    mailers("out")
    assert type(conn.open_connection(alias)) is locmem.EmailBackend
    assert check_backends() == []


@pytest.mark.parametrize("default", [None, "later"])
@pytest.mark.parametrize("alias", ["default", "later"])
def test_mailers_without_a_way_out_of_the_queue_are_refused(
    alias: str, default: str | None, mailers: Any
) -> None:
    mailers(default)
    for error in (SelfReferringBackend, ImproperlyConfigured):
        with pytest.raises(error, match=f"'{default or 'default'}' queues mail in post_office itself"):
            conn.open_connection(alias)
    assert {message.id for message in check_mailers()} == {"post_office.E002"}


def test_a_default_mailer_that_is_not_configured_is_named(mailers: Any) -> None:
    mailers("nope")
    with pytest.raises(UnknownBackend, match="nope is not a valid backend alias"):
        conn.open_connection("default")
    assert [message.id for message in check_backends()] == ["post_office.E003"]


@pytest.fixture
def two_queues(settings: Any) -> Any:
    """MAILERS with two ways into the queue, each with a way out of its own."""
    if not HAS_MAILERS:
        pytest.skip("MAILERS came with Django 6.1.")
    del settings.EMAIL_BACKEND
    settings.POST_OFFICE = {}
    settings.MAILERS = {
        "default": {"BACKEND": "post_office.EmailBackend", "OPTIONS": {"using": "smtp"}},
        "newsletter": {
            "BACKEND": "tests.backends.QueueingBackend",
            "OPTIONS": {"using": "bulk", "priority": "low"},
        },
        "smtp": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": {"host": "localhost"}},
        "bulk": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"},
    }
    return settings


@pytest.mark.django_db
def test_each_way_into_the_queue_has_its_way_out(two_queues: Any) -> None:
    send_mail("s", "b", "me@example.com", ["ann@example.com"])
    send_mail("s", "b", "me@example.com", ["ann@example.com"], using="newsletter")  # type: ignore[call-arg, unused-ignore]
    mail.send("ann@example.com", "me@example.com", backend="newsletter")
    mail.send("ann@example.com", "me@example.com", backend="bulk")
    mail.send("ann@example.com", "me@example.com")
    assert [(conn.alias_of(email), email.priority) for email in Email.objects.order_by("id")] == [
        ("smtp", PRIORITY.medium),
        ("bulk", PRIORITY.low),
        ("bulk", PRIORITY.medium),
        ("bulk", PRIORITY.medium),
        ("smtp", PRIORITY.medium),
    ]
    assert check_backends() == check_mailers() == []


def test_a_backend_of_ours_may_deliver_what_a_mailer_of_its_name_queues(two_queues: Any) -> None:
    two_queues.MAILERS = {"default": {"BACKEND": "post_office.EmailBackend"}}
    two_queues.POST_OFFICE = {"BACKENDS": {"default": "locmem"}}
    assert check_backends() == check_mailers() == []
    assert type(conn.open_connection("default")) is locmem.EmailBackend


def test_a_mailer_behind_the_queue_that_is_missing_or_for_development_is_named(two_queues: Any) -> None:
    assert [warning.id for warning in check_delivery_for_deployment()] == ["post_office.W002"]
    assert "MAILERS['newsletter'] queues mail for 'bulk'" in check_delivery_for_deployment()[0].msg
    two_queues.MAILERS = {
        **two_queues.MAILERS,
        "later": {"BACKEND": "post_office.EmailBackend", "OPTIONS": {"using": "x"}},
    }
    (error,) = check_mailers()
    assert (error.id, "MAILERS['later']" in error.msg, "'x'" in error.msg) == ("post_office.E007", True, True)


@pytest.mark.django_db
def test_queues_that_name_each_other_are_refused(two_queues: Any) -> None:
    queue = "post_office.EmailBackend"
    two_queues.MAILERS = {
        "default": {"BACKEND": queue, "OPTIONS": {"using": "other"}},
        "other": {"BACKEND": queue, "OPTIONS": {"using": "default"}},
    }
    assert [message.id for message in check_mailers()] == ["post_office.E002"] * 2
    with pytest.raises(SelfReferringBackend):
        mail.send("ann@example.com", "me@example.com", backend="other")
    with pytest.raises(SelfReferringBackend):
        send_mail("s", "b", "me@example.com", ["ann@example.com"])
    assert not Email.objects.exists()


class Wrapper(BaseEmailBackend):
    """Gives its messages to the queue's own backend, as a backend that logs or counts may do."""

    def send_messages(self, messages: Any) -> int:
        return EmailBackend().send_messages(messages)


@pytest.mark.django_db
def test_a_backend_that_wraps_the_queue_is_found_out_at_delivery(backends: Any) -> None:
    backends(default=f"{__name__}.Wrapper")
    email = mail.send("ann@example.com", "me@example.com")
    mail.send_queued()
    email.refresh_from_db()
    assert Email.objects.count() == 1
    assert (email.status, email.number_of_retries) == (STATUS.queued, None)


OLD = {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}


@pytest.mark.parametrize(
    ("post_office", "backend_class"),
    [(OLD, dummy.EmailBackend), ({**OLD, "BACKENDS": {"default": "locmem"}}, locmem.EmailBackend)],
)
def test_the_one_backend_of_old_projects_delivers_where_there_is_no_other_and_is_warned_about(
    post_office: Any, backend_class: type, settings: Any
) -> None:
    settings.POST_OFFICE = post_office
    assert type(conn.open_connection("default")) is backend_class
    assert [message.id for message in check_backends()] == ["post_office.W004"]


class Copying(BaseEmailBackend):
    """Sends a copy of each message to the queue, as a backend with a footer or a counter may do."""

    changes = ""

    def send_messages(self, messages: Any) -> int:
        for message in messages:
            copied = EmailMessage(f"{message.subject}{self.changes}", "b", message.from_email, message.to)
            EmailBackend().send_messages([copied])
        return len(messages)


class CopyingAnew(Copying):
    changes = " (copy)"


class CopyingByMail(BaseEmailBackend):
    """The same, by `mail.send()`."""

    def send_messages(self, messages: Any) -> int:
        for message in messages:
            mail.send(message.to, message.from_email, subject=message.subject, message=message.body)
        return len(messages)


@pytest.mark.django_db
@pytest.mark.parametrize(("backend", "rows"), [(Copying, 1), (CopyingAnew, 3), (CopyingByMail, 1)])
def test_a_backend_that_queues_copies_of_what_it_delivers_comes_to_an_end(
    backend: type, rows: int, backends: Any
) -> None:
    backends(default=f"{__name__}.{backend.__name__}")
    mail.send("ann@example.com", "me@example.com", subject="s")
    for _ in range(10):
        for email in Email.objects.unfinished():
            email.dispatch()
    assert Email.objects.count() == rows
    last = Email.objects.latest("id")
    assert last.status == STATUS.queued
    assert "queues mail in post_office itself" in last.logs.latest("id").message


def test_a_mailer_that_cannot_be_used_is_named_and_stops_no_other(two_queues: Any) -> None:
    two_queues.MAILERS = {
        **two_queues.MAILERS,
        "broken": {"BACKEND": "no.such.Backend"},
        "urgent": {"BACKEND": "post_office.EmailBackend", "OPTIONS": {"using": "smtp", "priority": "urgent"}},
        "odd": {"BACKEND": "post_office.EmailBackend", "OPTIONS": {"using": "smtp", "host": "x"}},
    }
    named = {error.msg.partition(" cannot")[0]: error for error in check_mailers()}
    assert {error.id for error in named.values()} == {"post_office.E009"}
    assert sorted(named) == ["MAILERS['broken']", "MAILERS['odd']", "MAILERS['urgent']"]
    assert "must be one of: low" in named["MAILERS['urgent']"].msg
    assert aliases.validate_alias("newsletter") == "bulk"


def test_an_unknown_alias_is_a_key_error_and_a_value_error(backends: Any) -> None:
    backends(default="dummy")
    for error in (KeyError, ValueError, UnknownBackend):
        with pytest.raises(error) as refusal:
            conn.open_connection("nope")
        assert str(refusal.value) == "nope is not a valid backend alias"


def test_checks_find_what_will_not_work(backends: Any) -> None:
    backends(bulk="no.such.Backend")
    assert [message.id for message in check_backends()] == ["post_office.E001", "post_office.E003"]


def test_a_thread_keeps_what_it_opened_until_it_closes_it(backends: Any) -> None:
    backends(default="dummy", other="dummy")
    one = conn.connections["default"]
    assert conn.connections["default"] is one
    assert conn.connections.all() == [one]
    conn.connections.close()
    assert conn.connections.all() == []
    assert conn.connections["default"] is not one
    conn.connections.close()


def test_an_email_backend_that_cannot_be_imported_is_named_by_a_check(settings: Any) -> None:
    settings.POST_OFFICE = {}
    settings.EMAIL_BACKEND = "no.such.Backend"
    (error,) = check_backends()
    assert (error.id, "'no.such.Backend' cannot be imported" in error.msg) == ("post_office.E001", True)
