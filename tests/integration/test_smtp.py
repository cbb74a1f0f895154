"""Mail over SMTP to a real server: each recipient's answer is heard, and where a connection broke."""

import smtplib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.utils import timezone

from post_office import mail
from post_office.delivery import smtp
from post_office.delivery.connections import connections, open_connection
from post_office.models import STATUS, Email
from tests.acceptance.project import smtp_backend
from tests.acceptance.smtp_server import SMTPServer

pytestmark = pytest.mark.django_db
ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"


@pytest.fixture
def server(settings: Any) -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        settings.POST_OFFICE = {
            "BACKENDS": {"default": smtp_backend(server)},
            "THREADS_PER_PROCESS": 1,
            "RETRY_INTERVAL": timedelta(minutes=10),
        }
        yield server


def send(*recipients: str, **arguments: Any) -> Email:
    return mail.send(
        list(recipients), "me@example.com", **{"subject": "News", "message": "Nothing new.", **arguments}
    )


def row(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


def states(email: Email) -> dict[str, str]:
    return {mailbox: said["state"] for mailbox, said in (row(email).answers or {}).items()}


def make_due() -> None:
    Email.objects.update(scheduled_time=timezone.now())


def deliveries(server: SMTPServer) -> list[list[str]]:
    return [accepted.recipients for accepted in server.accepted]


def logged(email: Email) -> list[tuple[int, int | None, int | None]]:
    return list(email.logs.order_by("pk").values_list("status", "attempt", "code"))


# --- recipients told apart ----------------------------------------------------------------------


def test_only_those_refused_for_now_are_asked_again(server: SMTPServer) -> None:
    server.refusals = {BOB: "450 4.2.1 busy", EVE: "550 5.1.1 who?"}
    email = send(f"Ann <{ANN}>", cc=[BOB], bcc=[EVE])
    assert mail.send_queued() == (0, 0, 1)
    assert deliveries(server) == [[ANN]]
    assert states(email) == {ANN: "accepted", BOB: "deferred", EVE: "refused"}
    assert (row(email).answers or {})[EVE] == {"state": "refused", "code": 550, "answer": "5.1.1 who?"}

    # refused once more, then taken
    make_due()
    assert mail.send_queued() == (0, 0, 1)
    server.refusals.clear()
    make_due()
    assert mail.send_queued() == (1, 0, 0)
    assert deliveries(server) == [[ANN], [BOB]]
    assert server.refused == [BOB, EVE, BOB]
    # the headers go on saying whom it is for
    assert server.accepted[1].message["To"] == f"Ann <{ANN}>"
    assert server.accepted[1].message["Cc"] == BOB
    assert server.accepted[0].message_id == server.accepted[1].message_id
    assert states(email) == {ANN: "accepted", BOB: "accepted", EVE: "refused"}


def test_the_log_names_those_who_refused(server: SMTPServer) -> None:
    server.refusals = {BOB: "450 4.2.1 busy", EVE: "550 5.1.1 who?"}
    email = send(ANN, BOB, EVE)
    mail.send_queued()
    log = email.logs.get()
    assert log.message == f"Refused for {BOB} (450 4.2.1 busy), {EVE} (550 5.1.1 who?)"
    assert (log.status, log.code, log.answer, log.attempt) == (STATUS.failed, 450, "4.2.1 busy", 1)


def test_mail_that_some_took_and_the_rest_refused_for_good_is_sent_and_says_who_refused(
    server: SMTPServer, caplog: Any
) -> None:
    server.refusals = {BOB: "550 5.1.1 who?"}
    email = send(ANN, BOB)
    assert mail.send_queued() == (1, 0, 0)
    assert row(email).status == STATUS.sent
    assert states(email) == {ANN: "accepted", BOB: "refused"}
    assert logged(email) == [(STATUS.sent, 1, None), (STATUS.failed, 1, 550)]
    assert f"was sent by backend default, but not to all: Refused for {BOB}" in caplog.text


def test_mail_whose_retries_are_over_is_sent_when_some_have_it(server: SMTPServer, settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "MAX_RETRIES": 1}
    server.refusals = {BOB: "450 4.2.1 busy"}
    email = send(ANN, BOB)
    assert mail.send_queued() == (0, 0, 1)
    make_due()
    assert mail.send_queued() == (1, 0, 0)
    assert states(email) == {ANN: "accepted", BOB: "refused"}


def test_mail_that_all_refused_fails_and_its_retry_asks_only_those_that_may_take_it(
    server: SMTPServer,
) -> None:
    server.refusals = {ANN: "451 4.7.1 later", BOB: "550 5.1.1 who?"}
    email = send(ANN, BOB)
    assert mail.send_queued() == (0, 0, 1)
    server.refusals[ANN] = "550 5.7.1 never"
    make_due()
    assert mail.send_queued() == (0, 1, 0)
    assert (row(email).status, server.refused) == (STATUS.failed, [ANN, BOB, ANN])
    assert states(email) == {ANN: "refused", BOB: "refused"}


def test_mail_that_everybody_took_has_no_answers(server: SMTPServer) -> None:
    server.refusals = {BOB: "450 4.2.1 busy"}
    email = send(ANN, BOB)
    mail.send_queued()
    server.refusals.clear()
    make_due()
    assert mail.send_queued() == (1, 0, 0)
    assert row(email).answers is None
    # so it goes to all of them when it is queued again
    assert mail.requeue([email]) == 1
    mail.send_queued()
    assert deliveries(server) == [[ANN], [BOB], [ANN, BOB]]


@pytest.mark.parametrize("status", [STATUS.sent, STATUS.failed, STATUS.expired])
def test_requeueing_asks_all_those_who_do_not_have_it(server: SMTPServer, status: int) -> None:
    server.refusals = {BOB: "550 5.1.1 who?", EVE: "450 4.2.1 busy"}
    email = send(ANN, BOB, EVE)
    mail.send_queued()
    Email.objects.update(status=status)
    server.refusals.clear()
    assert mail.requeue([email]) == 1
    assert mail.send_queued() == (1, 0, 0)
    assert deliveries(server) == [[ANN], [BOB, EVE]]


def test_one_mailbox_in_two_headers_has_the_mail_when_it_took_it_once(server: SMTPServer) -> None:
    email = send(ANN, cc=[f"Ann <{ANN}>"])
    assert mail.send_queued() == (1, 0, 0)
    assert row(email).answers is None


def test_a_saved_instance_from_before_does_not_undo_what_was_heard(server: SMTPServer) -> None:
    server.refusals = {BOB: "450 4.2.1 busy"}
    email = send(ANN, BOB)
    mail.send_queued()
    email.subject = "Changed"
    email.save()
    assert states(email) == {ANN: "accepted", BOB: "deferred"}
    # a copy is a mail of its own
    copy = row(email)
    copy.pk = None
    copy.save()
    assert row(copy).answers is None


def test_another_backend_gets_the_mail_without_those_who_have_it(server: SMTPServer, settings: Any) -> None:
    from django.core import mail as django_mail

    server.refusals = {BOB: "450 4.2.1 busy"}
    send(ANN, cc=[BOB])
    mail.send_queued()
    settings.POST_OFFICE = {"BACKENDS": {"default": "tests.backends.ThirdPartyBackend"}}
    make_due()
    assert mail.send_queued() == (1, 0, 0)
    (message,) = django_mail.outbox
    assert (message.to, message.cc, message.recipients()) == ([], [BOB], [BOB])
    assert Email.objects.get().answers is None


# --- where a connection broke -------------------------------------------------------------------


def test_a_connection_that_breaks_before_the_data_costs_an_attempt_on_a_new_connection_only(
    server: SMTPServer,
) -> None:
    server.hang_ups_before_data[ANN] = 1
    email = send(ANN)
    assert mail.send_queued() == (0, 0, 1)
    assert email.logs.get().exception_type == "Interrupted"
    assert server.accepted == []


def test_a_server_that_closes_a_connection_in_use_gets_the_mail_at_once_over_another(
    server: SMTPServer,
) -> None:
    server.hang_ups_before_data[BOB] = 1
    emails = [send(ANN), send(BOB), send(EVE)]
    assert mail.send_queued() == (3, 0, 0)
    assert deliveries(server) == [[ANN], [BOB], [EVE]]
    assert server.connections == 2
    assert [row(email).number_of_retries for email in emails] == [None] * 3


def test_a_server_that_takes_so_many_mails_over_one_connection_gets_all_of_them(server: SMTPServer) -> None:
    server.mails_per_connection = 3
    emails = [send(ANN) for _ in range(10)]
    assert mail.send_queued() == (10, 0, 0)
    assert len(server.accepted) == 10
    assert server.connections == 4
    assert {row(email).number_of_retries for email in emails} == {None}


def test_a_server_that_never_wants_a_mail_is_not_asked_without_end(server: SMTPServer) -> None:
    server.mails_per_connection = 0
    email = send(ANN)
    assert mail.send_queued() == (0, 0, 1)
    assert (email.logs.get().code, server.connections) == (421, 1)


def test_a_connection_that_breaks_after_the_data_is_told_apart(server: SMTPServer) -> None:
    server.taken_without_answer[BOB] = 1
    email = send(ANN), send(BOB)
    assert mail.send_queued() == (1, 0, 1)
    log = email[1].logs.get()
    assert log.exception_type == "Unanswered"
    assert "did not say whether it took it" in log.message
    # and nobody tries again at once
    assert deliveries(server) == [[ANN], [BOB]]


def test_a_server_that_does_not_answer_in_time_may_have_taken_the_mail(
    server: SMTPServer, settings: Any
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "BATCH_DELIVERY_TIMEOUT": 0.3}
    server.hold_after(0)
    email = send(ANN)
    assert mail.send_queued() == (0, 0, 1)
    assert email.logs.get().exception_type == "Unanswered"
    assert "timed out" in email.logs.get().message
    server.let_go()


# --- refusals keep the connection ---------------------------------------------------------------


def test_a_refusal_leaves_the_connection_ready_for_the_next_mail(server: SMTPServer) -> None:
    server.refusals = {ANN: "550 5.1.1 who?"}
    server.refusals_of_content = {BOB: "554 5.7.1 spam"}
    server.refusals_of_senders = {"no@example.com": "553 5.7.1 not yours"}
    no = mail.send([EVE], "no@example.com", subject="s", priority="high")
    emails = [no, send(ANN), send(BOB), send(EVE)]
    assert mail.send_queued() == (1, 3, 0)
    assert [row(email).status for email in emails] == [STATUS.failed] * 3 + [STATUS.sent]
    assert [email.logs.get().code for email in emails] == [553, 550, 554, None]
    assert [email.logs.get().exception_type for email in emails] == [
        "SMTPSenderRefused",
        "SMTPRecipientsRefused",
        "SMTPDataError",
        "",
    ]
    # None behind the refused content: the next mail was begun with that.
    assert (server.connections, server.resets) == (1, 2)


def test_the_server_is_obeyed_that_says_when_to_come_back(server: SMTPServer) -> None:
    server.refusals = {ANN: "451 4.7.1 Greylisted, please try again in 30 minutes"}
    email = send(ANN)
    before = timezone.now()
    assert mail.send_queued() == (0, 0, 1)
    scheduled = row(email).scheduled_time
    assert scheduled is not None
    assert timedelta(minutes=30) <= scheduled - before < timedelta(minutes=32)


def test_an_address_that_cannot_be_written_fails_before_anything_is_said(server: SMTPServer) -> None:
    email = send(ANN)
    Email.objects.filter(pk=email.pk).update(from_email="two@example.com, at@example.com")
    other = send(BOB)
    assert mail.send_queued() == (1, 1, 0)
    assert (row(email).status, row(other).status) == (STATUS.failed, STATUS.sent)
    assert (server.connections, server.resets) == (1, 0)


# --- as Django does -----------------------------------------------------------------------------

MESSAGES = [
    EmailMessage("Plain", "body", "Me <me@example.com>", ["Ann <ann@example.com>"], cc=[BOB], bcc=[EVE]),
    EmailMessage("Dots", ".\n..\n.dot\nno dot\n.", "me@example.com", [ANN]),
    EmailMessage("Grüße", "Žluťoučký kůň 🐎\n", "Jürgen <me@münchen.example>", ["ä <a@bücher.example>"]),
    EmailMessage("Line ends", "one\r\ntwo\nthree\rfour", "me@example.com", [ANN]),
    EmailMultiAlternatives(
        "HTML", "text", "me@example.com", [ANN], alternatives=[("<p>x</p>", "text/html")],
        attachments=[("a.txt", "ä" * 2000, "text/plain"), ("b.bin", b"\0\xff" * 99, "application/x-b")],
        headers={"Message-ID": "<one@example.com>", "Date": "Thu, 01 Jan 2026 00:00:00 -0000"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.subject)
def test_the_same_goes_over_the_wire_as_by_djangos_own_way(
    message: EmailMessage, server: SMTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what is made anew in each serialisation
    message.extra_headers = {"Message-ID": "<one@example.com>", "Date": "Thu, 01 Jan 2026 00:00:00 -0000"}
    monkeypatch.setattr("email.generator._make_boundary", lambda *args, **kwargs: "=====")
    monkeypatch.setattr(
        "email.generator.Generator._make_boundary", classmethod(lambda cls, text=None: "=====")
    )
    backend = open_connection("default")
    assert isinstance(backend, SMTPBackend)
    backend.send_messages([message])
    smtp.transmit(smtp.letter(message, backend), backend)
    backend.close()
    theirs, ours = server.accepted
    assert ours == theirs


class Subclass(SMTPBackend):
    """A project's own, which may have changed what sending means."""


def test_anything_but_djangos_own_backend_sends_in_its_own_way(server: SMTPServer, settings: Any) -> None:
    entry = smtp_backend(server)
    settings.POST_OFFICE = {
        **settings.POST_OFFICE,
        "BACKENDS": {
            "default": {**entry, "BACKEND": f"{__name__}.Subclass"},
            "silent": {**entry, "OPTIONS": {**entry["OPTIONS"], "fail_silently": True}},
        },
    }
    assert not smtp.hears_each_answer(open_connection_once("default"))
    assert not smtp.hears_each_answer(open_connection_once("silent"))
    server.refusals = {ANN: "451 4.7.1 later", BOB: "550 5.1.1 who?"}
    email = send(ANN, BOB)
    assert mail.send_queued() == (0, 0, 1)
    assert email.logs.get().exception_type == "SMTPRecipientsRefused"


def open_connection_once(alias: str) -> Any:
    backend = open_connection(alias)
    backend.close()
    return backend


def test_a_connection_of_the_callers_is_used_and_left_as_it_was(server: SMTPServer) -> None:
    backend = open_connection("default")
    assert isinstance(backend, SMTPBackend)
    assert send(ANN).dispatch(connection=backend) == STATUS.sent
    assert isinstance(backend.connection, smtplib.SMTP)
    backend.close()
    assert send(BOB).dispatch(connection=backend) == STATUS.sent
    assert backend.connection is None
    assert server.connections == 2
    assert connections.all() == []
