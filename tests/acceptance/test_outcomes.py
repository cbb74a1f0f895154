"""What becomes of mail that a server does not take, and of the mail beside it."""

import socket
from datetime import timedelta

import pytest
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Email, Log
from tests.acceptance.project import Project, assert_all_sent, queue, smtp_backend
from tests.acceptance.smtp_server import HOST, SMTPServer

MINUTE = 60


def test_mail_refused_for_now_is_tried_later_and_mail_refused_for_good_fails_at_once(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["RETRY_INTERVAL"] = 10 * MINUTE
    queue(10)
    busy, unknown = queue_for("busy@example.com"), queue_for("unknown@example.com")
    server.refusals = {"busy@example.com": "451 4.3.0 Try later", "unknown@example.com": "550 5.1.1 Who?"}
    begun = timezone.now()

    finished = project.run("send_queued_mail")

    assert finished.code == 0
    assert finished.summary == (12, 10, 1, 1)
    assert len(server.accepted) == 10
    busy.refresh_from_db()
    assert (busy.status, busy.number_of_retries) == (STATUS.requeued, 1)
    assert busy.scheduled_time
    assert busy.scheduled_time > begun + timedelta(minutes=10)
    unknown.refresh_from_db()
    assert (unknown.status, unknown.number_of_retries) == (STATUS.failed, None)
    assert log_of(busy) == [(STATUS.failed, 1, 451, "4.3.0 Try later")]
    assert log_of(unknown) == [(STATUS.failed, 1, 550, "5.1.1 Who?")]
    assert len(finished.complaints) == 2
    assert f"Email {busy.pk} is tried again at " in finished.errors
    assert f"Email {unknown.pk} failed by backend default: SMTPRecipientsRefused" in finished.errors

    # Before its time nothing happens. After it the server takes the mail, with the identity it always had.
    assert project.run("send_queued_mail").summary == (0, 0, 0, 0)
    server.refusals.clear()
    Email.objects.filter(pk=busy.pk).update(scheduled_time=begun)
    assert project.run("send_queued_mail").summary == (1, 1, 0, 0)
    busy.refresh_from_db()
    assert busy.status == STATUS.sent
    assert log_of(busy)[1:] == [(STATUS.sent, 2, None, None)]
    assert server.accepted[-1].message_id == busy.message_id
    assert server.refused.count("busy@example.com") == server.refused.count("unknown@example.com") == 1


def test_mail_fails_when_it_was_tried_as_often_as_is_allowed(project: Project, server: SMTPServer) -> None:
    project.post_office |= {"RETRY_INTERVAL": 0, "MAX_RETRIES": 2}
    email = queue_for("busy@example.com")
    server.refusals = {"busy@example.com": "451 4.3.0 Try later"}

    assert project.run("send_queued_mail").summary == (3, 0, 1, 2)
    email.refresh_from_db()
    assert (email.status, email.number_of_retries) == (STATUS.failed, 2)
    assert [attempt for _, attempt, _, _ in log_of(email)] == [1, 2, 3]
    assert server.refused == ["busy@example.com"] * 3


def test_mail_whose_connection_breaks_is_tried_again_and_no_other_mail_suffers(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["RETRY_INTERVAL"] = 0
    emails = queue(50)
    server.hang_ups.update({"reader7@example.com": 1, "reader8@example.com": 2})

    assert project.run("send_queued_mail").summary == (53, 50, 0, 3)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    retries = Email.objects.exclude(number_of_retries=None).order_by("pk")
    assert list(retries.values_list("pk", "number_of_retries")) == [(emails[7].pk, 1), (emails[8].pk, 2)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_that_cannot_be_reached_costs_no_mail_an_attempt(
    project: Project, server: SMTPServer, processes: int
) -> None:
    emails = queue(50)
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))  # and never listens, so every connection is refused
        options = {"host": HOST, "port": deaf.getsockname()[1]}
        project.post_office["BACKENDS"] = {"default": {"BACKEND": "smtp", "OPTIONS": options}}
        finished = project.run("send_queued_mail", "--processes", str(processes))

    assert finished.code == 0
    assert finished.summary == (0, 0, 0, 0)
    assert "Backend default is out of order, its mail waits until " in finished.output
    assert "Connection refused" in finished.output
    as_before = {"status": STATUS.queued, "worker": None, "claims": 0, "number_of_retries": None}
    assert Email.objects.filter(scheduled_time=None, **as_before).count() == 50

    project.post_office["BACKENDS"] = {"default": smtp_backend(server)}
    assert project.run("mail_resume", "default").code == 0
    assert project.run("send_queued_mail").summary == (50, 50, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    # What went wrong is in the log of the mails that met it; it counts as no attempt.
    Log.objects.filter(status=STATUS.failed, attempt=None, exception_type="ConnectionRefusedError").delete()
    assert_all_sent(emails)


def queue_for(recipient: str) -> Email:
    return mail.send(recipient, "shop@example.com", subject="News", message="Nothing new.")


def log_of(email: Email) -> list[tuple[int, int, int | None, str | None]]:
    return list(email.logs.order_by("pk").values_list("status", "attempt", "code", "answer"))
