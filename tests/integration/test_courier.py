"""Mail behind mail: the envelope of the next with the content of this one, and what a server makes of it."""

import smtplib
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile

from post_office.delivery import smtp
from post_office.delivery.attempts import Job, prepare
from post_office.delivery.connections import connections
from post_office.delivery.courier import Courier
from post_office.delivery.faults import Fault, Kind
from post_office.delivery.receipts import Receipt
from post_office.models import Attachment, Email
from post_office.utils import create_attachments
from tests.acceptance.project import smtp_backend
from tests.acceptance.scripted_server import Client, ScriptedServer
from tests.acceptance.smtp_server import SMTPServer

pytestmark = pytest.mark.django_db

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"
TOOK_IT = {mailbox: Receipt(accepted=(mailbox,)) for mailbox in (ANN, BOB, EVE)}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    connections.close()


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    def configure(server: Any, **policies: Any) -> None:
        settings.POST_OFFICE = {"BACKENDS": {"default": {**smtp_backend(server), **policies}}}

    return configure


@pytest.fixture
def server(configure: Any) -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        configure(server)
        yield server


@pytest.fixture
def attached() -> Attachment:
    (attachment,) = create_attachments({"big.pdf": ContentFile(b"much")})
    return attachment


def job(recipient: str, attachments: Sequence[Attachment] = (), **columns: Any) -> Job:
    email = Email(to=[recipient], from_email="me@example.com", subject="News", message=f"For {recipient}")
    for name, value in columns.items():
        setattr(email, name, value)
    prepared = prepare(email, "default", list(attachments))
    assert isinstance(prepared, Job)
    return prepared


class Thread:
    """Does what a sending thread does, with these jobs."""

    def __init__(self, *jobs: Job) -> None:
        self._waiting, self._ahead = deque(jobs), deque[Job]()
        self.courier = Courier(self._look_ahead)

    def _look_ahead(self) -> Job | None:
        if not self._waiting:
            return None
        self._ahead.append(self._waiting.popleft())
        return self._ahead[-1]

    def attempt_next(self) -> Receipt | Fault:
        return self.courier.attempt((self._ahead or self._waiting).popleft())

    def attempt_all(self) -> list[Receipt | Fault]:
        results = []
        while self._ahead or self._waiting:
            results.append(self.attempt_next())
        return results


def hear_envelope(client: Client, recipient: str) -> None:
    heard = client.hear(3)
    assert [command.partition(":")[0] for command in heard] == ["MAIL FROM", "RCPT TO", "DATA"]
    assert heard[1] == f"RCPT TO:<{recipient}>"


def hear_mail_and_envelope(client: Client, recipient: str, next_recipient: str) -> None:
    """What comes with the content, before it is answered."""
    assert f"For {recipient}".encode() in client.hear_content()
    hear_envelope(client, next_recipient)


GO_ON = ("250 ok", "250 ok", "354 go on")


def test_the_next_mail_begins_with_the_content_of_the_last(configure: Any) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        hear_envelope(client, ANN)
        client.say(*GO_ON)
        hear_mail_and_envelope(client, ANN, BOB)
        client.say("250 taken", *GO_ON)
        hear_mail_and_envelope(client, BOB, EVE)
        # each answer is heard when it comes
        client.say("250 taken")
        client.say(*GO_ON)
        assert f"For {EVE}".encode() in client.hear_content()
        client.say("250 taken")
        assert client.hear() == ["quit"]
        client.say("221 bye")

    with ScriptedServer(script) as server:
        configure(server)
        assert Thread(job(ANN), job(BOB), job(EVE)).attempt_all() == list(TOOK_IT.values())
        connections.close()


def test_a_mail_is_known_to_be_taken_before_the_next_is_answered(configure: Any) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        hear_envelope(client, ANN)
        client.say(*GO_ON)
        hear_mail_and_envelope(client, ANN, BOB)
        client.say("250 taken")
        # until the thread has given up
        assert client.hear() == [""]

    with ScriptedServer(script) as server:
        configure(server)
        thread = Thread(job(ANN), job(BOB))
        assert thread.attempt_next() == TOOK_IT[ANN]
        thread.courier.abandon()
        assert connections.all() == []


def test_a_mail_that_is_not_to_go_after_all_is_hung_up_on_before_its_content(server: SMTPServer) -> None:
    thread = Thread(job(ANN), job(BOB))
    assert thread.attempt_next() == TOOK_IT[ANN]
    thread.courier.abandon()
    # and what comes later goes over another connection
    assert Thread(job(EVE)).attempt_all() == [TOOK_IT[EVE]]
    assert [accepted.recipients for accepted in server.accepted] == [[ANN], [EVE]]
    assert len({accepted.port for accepted in server.accepted}) == 2


def test_a_refused_content_leaves_the_next_mail_where_it_is(configure: Any) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        hear_envelope(client, ANN)
        client.say(*GO_ON)
        hear_mail_and_envelope(client, ANN, BOB)
        client.say("554 spam", *GO_ON)
        # not RSET, which would be the end of it
        assert f"For {BOB}".encode() in client.hear_content()
        client.say("250 taken")
        assert client.hear() == ["quit"]
        client.say("221 bye")

    with ScriptedServer(script) as server:
        configure(server)
        refused, taken = Thread(job(ANN), job(BOB)).attempt_all()
        assert isinstance(refused, Fault)
        assert (refused.kind, refused.code) == (Kind.PERMANENT, 554)
        assert taken == TOOK_IT[BOB]
        connections.close()


def test_a_recipient_who_is_refused_behind_a_mail_is_refused_alone(server: SMTPServer) -> None:
    server.refusals[BOB] = "550 5.1.1 who?"
    first, refused, last = Thread(job(ANN), job(BOB), job(EVE)).attempt_all()
    assert (first, last) == (TOOK_IT[ANN], TOOK_IT[EVE])
    assert isinstance(refused, Fault)
    assert refused.code == 550
    assert server.connections == 1


def test_where_the_connection_breaks_after_a_content_only_that_mail_may_have_been_taken(
    server: SMTPServer,
) -> None:
    server.hang_ups[ANN] = 9
    unknown, second, third = Thread(job(ANN), job(BOB), job(EVE)).attempt_all()
    assert isinstance(unknown, Fault)
    assert unknown.kind is Kind.UNKNOWN
    assert (second, third) == (TOOK_IT[BOB], TOOK_IT[EVE])
    assert [accepted.recipients for accepted in server.accepted] == [[BOB], [EVE]]


def test_where_it_breaks_before_the_content_of_the_next_that_goes_over_another_connection(
    server: SMTPServer,
) -> None:
    server.hang_ups_before_data[BOB] = 1
    assert Thread(job(ANN), job(BOB), job(EVE)).attempt_all() == list(TOOK_IT.values())
    assert [accepted.recipients for accepted in server.accepted] == [[ANN], [BOB], [EVE]]


def test_a_server_that_takes_so_many_mails_gets_all_of_them(server: SMTPServer) -> None:
    server.mails_per_connection = 2
    recipients = [f"customer{number}@example.com" for number in range(7)]
    results = Thread(*map(job, recipients)).attempt_all()
    assert results == [Receipt(accepted=(recipient,)) for recipient in recipients]
    assert [accepted.recipients for accepted in server.accepted] == [[recipient] for recipient in recipients]


@pytest.mark.parametrize(
    "policies",
    [{"MAX_MESSAGES": 1}, {"MAX_CONNECTIONS": 1}, {"MAX_CONNECTION_AGE": timedelta(0)}],
    ids=lambda policies: next(iter(policies)),
)
def test_no_mail_begins_behind_another_over_a_connection_that_others_or_none_are_to_use(
    policies: dict[str, Any], configure: Any
) -> None:
    with SMTPServer() as server:
        configure(server, **policies)
        thread = Thread(job(ANN), job(BOB))
        assert thread.attempt_next() == TOOK_IT[ANN]
        # Nothing is there to be abandoned: the connection stays.
        before = connections.all()
        thread.courier.abandon()
        assert connections.all() == before
        assert thread.attempt_next() == TOOK_IT[BOB]
        connections.close()


def test_files_are_not_read_while_a_server_waits_for_another_mail(
    server: SMTPServer, attached: Attachment
) -> None:
    attached.file.storage.delete(attached.file.name)
    thread = Thread(job(ANN), job(BOB, [attached]), job(EVE))
    assert thread.attempt_next() == TOOK_IT[ANN]
    # over a connection at which nothing else waits
    fault, last = thread.attempt_all()
    assert isinstance(fault, Fault)
    assert fault.exception_type == "AttachmentGone"
    assert last == TOOK_IT[EVE]
    assert (server.connections, server.resets) == (1, 0)


def test_what_is_not_begun_counts_once_for_its_connection(configure: Any, attached: Attachment) -> None:
    with SMTPServer() as server:
        configure(server, MAX_MESSAGES=3)
        recipients = (ANN, BOB, EVE)
        results = Thread(job(ANN), job(BOB, [attached]), job(EVE)).attempt_all()
        assert results == [TOOK_IT[recipient] for recipient in recipients]
        assert server.connections == 1
        connections.close()


def test_a_mail_that_cannot_be_begun_fails_in_its_own_time(server: SMTPServer) -> None:
    broken = job(BOB)
    broken.parts.to[:] = ["a@b.example, c@d.example"]
    first, fault, last = Thread(job(ANN), broken, job(EVE)).attempt_all()
    assert (first, last) == (TOOK_IT[ANN], TOOK_IT[EVE])
    assert isinstance(fault, Fault)
    assert fault.kind is Kind.PERMANENT
    assert server.connections == 1


def test_a_server_without_pipelining_hears_of_the_next_mail_when_it_has_answered(configure: Any) -> None:
    def script(client: Client) -> None:
        client.greet()
        for recipient in (ANN, BOB):
            for answer in GO_ON:
                assert len(client.hear_at_once()) == 1
                client.say(answer)
            assert f"For {recipient}".encode() in client.hear_content()
            client.say("250 taken")
        assert client.hear() == ["quit"]
        client.say("221 bye")

    with ScriptedServer(script) as server:
        configure(server)
        assert Thread(job(ANN), job(BOB)).attempt_all() == [TOOK_IT[ANN], TOOK_IT[BOB]]
        connections.close()


class TakesSoMuch:
    """A socket that breaks after so many bytes."""

    def __init__(self, sock: socket.socket, size: int) -> None:
        self._sock, self._size = sock, size

    def send(self, data: bytes) -> int:
        if not self._size:
            raise BrokenPipeError("Broken pipe")
        sent = self._sock.send(data[: self._size])
        self._size -= sent
        return sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.mark.parametrize("taken", [-1, 0, 5], ids=["without its dot", "up to its dot", "and a little more"])
def test_a_mail_has_reached_the_server_when_its_dot_has(taken: int) -> None:
    """Whatever becomes of what is said behind it."""
    content, next_mail = b"Subject: News\r\n\r\nNothing new.\r\n", b"MAIL FROM:<me@example.com>\r\n"
    here, there = socket.socketpair()
    with here, there:
        server = smtplib.SMTP()
        server.sock = TakesSoMuch(here, len(content) + len(smtp.DOT) + taken)  # type: ignore[assignment]
        there.sendall(b"250 taken\r\n")
        if taken < 0:
            with pytest.raises(smtplib.SMTPServerDisconnected):
                smtp._content(server, content, next_mail)
        else:
            smtp._content(server, content, next_mail)
            smtp._acceptance(server, is_last=False)
