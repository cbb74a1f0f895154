"""Mail goes by the backend that it names, and each sending thread keeps one connection to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from post_office import mail
from post_office.compat import HAS_MAILERS
from post_office.models import Email
from tests.acceptance.project import THREADS, WARNINGS, Project, queue, smtp_backend
from tests.acceptance.smtp_server import HOST, SMTPServer

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def other_server() -> Iterator[SMTPServer]:
    with SMTPServer() as other:
        yield other


def test_each_mail_goes_to_the_server_of_its_backend(
    project: Project, server: SMTPServer, other_server: SMTPServer, settings: Any
) -> None:
    configure(project, settings, {"default": smtp_backend(server), "bulk": smtp_backend(other_server)})
    ours = [*queue(20), *queue(20, backend="default")]
    theirs = queue(40, backend="bulk")

    assert project.run("send_queued_mail", "--processes", "2").summary == (80, 80, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in ours}
    assert other_server.message_ids() == {email.message_id: 1 for email in theirs}
    logged = Email.objects.values_list("message_id", "logs__backend")
    assert sorted(logged) == sorted(
        [
            *((email.message_id, "default") for email in ours),
            *((email.message_id, "bulk") for email in theirs),
        ]
    )


def test_a_backend_that_is_down_does_not_stop_the_mail_of_another(
    project: Project, server: SMTPServer, settings: Any
) -> None:
    configure(project, settings, {"default": smtp_backend(server), "bulk": smtp_backend(server)})
    down = {"BACKEND": "smtp", "OPTIONS": {"host": "host.invalid", "port": 25}}
    project.post_office["BACKENDS"]["bulk"] = down
    waiting = queue(30, backend="bulk", priority="high")
    emails = queue(30)

    finished = project.run("send_queued_mail")

    assert finished.code == 0
    assert finished.summary == (30, 30, 0, 0)
    assert "Backend bulk is out of order, its mail waits until " in finished.output
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert {email.pk for email in Email.objects.unfinished().unheld()} == {email.pk for email in waiting}


def test_backends_of_django_may_be_named_in_short(
    project: Project, server: SMTPServer, settings: Any, tmp_path: Path
) -> None:
    options = smtp_backend(server)["OPTIONS"]
    configure(
        project,
        settings,
        {
            "default": {"BACKEND": "smtp", "OPTIONS": options},
            "dotted": {"BACKEND": "smtp.EmailBackend", "OPTIONS": options},
            "implied": {"OPTIONS": options},
            "screen": "console",
            "files": {"BACKEND": "filebased", "OPTIONS": {"file_path": str(tmp_path / "outbox")}},
            "nowhere": "dummy.EmailBackend",
        },
    )
    for alias in project.post_office["BACKENDS"]:
        mail.send(f"{alias}@example.com", "shop@example.com", subject="Hi", message="Hello.", backend=alias)

    finished = project.run("send_queued_mail")

    assert finished.complaints == []
    assert finished.summary == (6, 6, 0, 0)
    assert set(server.recipients()) == {f"{alias}@example.com" for alias in ("default", "dotted", "implied")}
    assert "To: screen@example.com" in finished.output
    (file,) = (tmp_path / "outbox").iterdir()
    assert "To: files@example.com" in file.read_text()


@pytest.mark.parametrize(
    "backends", [{}, {"default": "smtp"}, {"default": "smtp.EmailBackend"}, {"default": SMTP}]
)
def test_a_backend_without_options_is_set_up_by_the_settings_of_django(
    project: Project, server: SMTPServer, backends: dict[str, str]
) -> None:
    project.post_office["BACKENDS"] = backends
    project.settings = {"EMAIL_HOST": HOST, "EMAIL_PORT": server.port}
    deprecated = "The {} setting is deprecated:PendingDeprecationWarning"  # by Django 6.1
    project.warnings = ",ignore:".join([WARNINGS, *(deprecated.format(name) for name in project.settings)])
    emails = queue(10)

    finished = project.run("send_queued_mail")

    assert finished.complaints == []
    assert finished.summary == (10, 10, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in emails}


@pytest.mark.skipif(not HAS_MAILERS, reason="MAILERS came with Django 6.1.")
@pytest.mark.parametrize("processes", [1, 2])
def test_mail_goes_by_the_mailers_of_django(
    project: Project, server: SMTPServer, other_server: SMTPServer, settings: Any, processes: int
) -> None:
    mailers = {
        "default": {"BACKEND": "post_office.EmailBackend"},
        "smtp": smtp_backend(server),
        "bulk": smtp_backend(other_server),
    }
    project.settings = {"MAILERS": mailers}
    project.post_office = {"DEFAULT_MAILER": "smtp"}
    project.warnings = "error"
    configure(project, settings, {"bulk": smtp_backend(other_server)})
    del project.post_office["BACKENDS"]
    ours, theirs = queue(20), queue(20, backend="bulk")

    finished = project.run("send_queued_mail", "--processes", str(processes))

    assert finished.complaints == []
    assert finished.summary == (40, 40, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in ours}
    assert other_server.message_ids() == {email.message_id: 1 for email in theirs}


@pytest.mark.parametrize("processes", [1, 2])
def test_each_thread_keeps_one_connection(project: Project, server: SMTPServer, processes: int) -> None:
    queue(200)
    server.refusals = {f"reader{number}@example.com": "550 5.1.1 Who?" for number in range(0, 200, 20)}
    server.hold_after(0)
    run = project.start("send_queued_mail", "--processes", str(processes))
    server.wait_until_accepted(processes * THREADS)
    server.let_go()

    assert run.finish().summary == (200, 190, 10, 0)
    # A mail that is refused costs no connection either.
    assert server.connections == processes * THREADS
    assert server.most_connections_at_once == processes * THREADS


def configure(project: Project, settings: Any, backends: dict[str, object]) -> None:
    """Give these BACKENDS to the project and to the test itself, which queues the mail."""
    project.post_office["BACKENDS"] = backends
    settings.POST_OFFICE = {"BACKENDS": dict(backends)}
