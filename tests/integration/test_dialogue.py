"""Commands in groups: each answer belongs to its command, whatever a server does between them."""

import datetime
import ipaddress
import logging
import smtplib
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

from post_office import compat
from post_office.delivery import dialogue, smtp
from post_office.delivery.smtp import Interrupted, Letter, Unanswered
from tests.acceptance.scripted_server import HOST, Client, ScriptedServer, take_one_and_part_badly

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"
ME = "me@example.com"
CONTENT = b"Subject: News\r\n\r\nNothing new.\r\n"


def letter(*recipients: str, content: bytes = CONTENT) -> Letter:
    return Letter(sender=ME, recipients=[(mailbox, mailbox) for mailbox in recipients], content=content)


@contextmanager
def served(script: Callable[[Client], Any], **options: Any) -> Iterator[SMTPBackend]:
    """An open backend whose server follows a script."""
    with ScriptedServer(script, options.pop("context", None)) as server:
        address = {"host": HOST, "port": server.port, "username": "", "password": "", "timeout": 10}
        backend = compat.construct_backend(SMTPBackend, "scripted", address)
        assert isinstance(backend, SMTPBackend)
        for name, value in options.items():
            setattr(backend, name, value)
        backend.open()
        try:
            yield backend
        finally:
            backend.close()


def end(client: Client) -> None:
    """Take leave of a client that says QUIT."""
    assert client.hear() == ["quit"]
    client.say("221 bye")


def take(client: Client) -> None:
    """Take one mail to Ann, as servers do."""
    assert client.hear(3)[1] == f"RCPT TO:<{ANN}>"
    client.say("250 ok", "250 ok", "354 go on")
    client.hear_content()
    client.say("250 taken")


# --- together -----------------------------------------------------------------------------------


def test_a_server_with_pipelining_hears_all_before_the_content_at_once() -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING", "SIZE 1000")
        assert client.hear_at_once() == [
            f"MAIL FROM:<{ME}> SIZE={len(CONTENT)}",
            f"RCPT TO:<{ANN}>",
            f"RCPT TO:<{BOB}>",
            "DATA",
        ]
        client.say("250 ok", "250-first line", "250 and second", "550 5.1.1 who?", "354 go on")
        assert client.hear_content() == CONTENT
        client.say("250 taken")
        take(client)
        end(client)

    with served(script) as backend:
        assert smtp.transmit(letter(ANN, BOB), backend) == {BOB: (550, b"5.1.1 who?")}
        assert smtp.transmit(letter(ANN), backend) == {}


def test_a_server_without_pipelining_hears_the_next_command_when_it_has_answered_the_last() -> None:
    def script(client: Client) -> None:
        client.greet()
        for command, answer in (
            (f"MAIL FROM:<{ME}>", "250 ok"),
            (f"RCPT TO:<{ANN}>", "250 ok"),
            (f"RCPT TO:<{BOB}>", "450 later"),
            ("DATA", "354 go on"),
        ):
            assert client.hear_at_once() == [command]
            client.say(answer)
        assert client.hear_content() == CONTENT
        client.say("250 taken")
        end(client)

    with served(script) as backend:
        assert smtp.transmit(letter(ANN, BOB), backend) == {BOB: (450, b"later")}


def test_a_long_list_of_recipients_is_said_in_groups_that_any_server_can_take() -> None:
    recipients = [f"recipient-number-{number}@long-name-of-a-host.example.com" for number in range(1000)]

    def script(client: Client) -> None:
        client.greet("PIPELINING")
        heard: list[str] = []
        while "DATA" not in heard:
            # A server that reads no more before it has written its answers.
            group = client.hear_at_once()
            assert sum(len(command) + 2 for command in group) <= dialogue.AT_ONCE
            heard += group
            client.say(*("354 go on" if command == "DATA" else "250 ok" for command in group))
        assert heard == [f"MAIL FROM:<{ME}>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        client.hear_content()
        client.say("250 taken")
        end(client)

    with served(script) as backend:
        assert smtp.transmit(letter(*recipients), backend) == {}


def test_answers_that_come_in_pieces_are_put_together() -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        for piece in ("25", "0 ok\r", "\n250-", "x" * 3000 + "\r\n250 ", "ok\r\n354", " go on\r\n"):
            client._connection.sendall(piece.encode())
        client.hear_content()
        client.say("250 taken")
        end(client)

    with served(script) as backend:
        assert smtp.transmit(letter(ANN), backend) == {}


def test_lines_that_begin_with_a_dot_are_marked() -> None:
    contents = [b".\r\n", b"a\r\n..b\r\n.\r\n", b"no end of line\r\n."]

    def script(client: Client) -> None:
        client.greet("PIPELINING")
        for content in contents:
            client.hear(3)
            client.say("250 ok", "250 ok", "354 go on")
            lines = client.hear_content().split(b"\r\n")
            assert b"\r\n".join(line.removeprefix(b".") for line in lines).rstrip(b"\r\n") == content.rstrip(
                b"\r\n"
            )
            client.say("250 taken")
        end(client)

    with served(script) as backend:
        for content in contents:
            smtp.transmit(letter(ANN, content=content), backend)


# --- refusals -----------------------------------------------------------------------------------


def test_what_was_said_after_a_refused_sender_is_answered_too_and_the_next_mail_goes() -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(4)
        client.say("553 not yours", "503 no sender", "503 no sender", "503 no recipients")
        assert client.hear() == ["rset"]
        client.say("250 ok")
        take(client)
        end(client)

    with served(script) as backend:
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            smtp.transmit(letter(ANN, BOB), backend)
        assert (refusal.value.smtp_code, refusal.value.smtp_error) == (553, b"not yours")
        assert smtp.transmit(letter(ANN), backend) == {}


def test_a_server_that_refuses_all_recipients_and_the_content_goes_on_with_the_next_mail() -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(4)
        client.say("250 ok", "550 who?", "450 later", "503 no recipients")
        assert client.hear() == ["rset"]
        client.say("250 ok")
        take(client)
        end(client)

    with served(script) as backend:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
            smtp.transmit(letter(ANN, BOB), backend)
        assert refusal.value.recipients == {ANN: (550, b"who?"), BOB: (450, b"later")}
        assert smtp.transmit(letter(ANN), backend) == {}


def test_a_server_that_refuses_all_recipients_and_wants_the_content_gets_a_lone_dot() -> None:
    """RFC 2920, section 3.1."""

    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say("250 ok", "550 who?", "354 go on")
        assert client.hear_content() == b""
        client.say("554 no recipients")
        take(client)
        end(client)

    with served(script) as backend:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.transmit(letter(ANN), backend)
        assert smtp.transmit(letter(ANN), backend) == {}


def test_a_server_that_refuses_the_sender_and_takes_the_rest_is_left_before_it_delivers_nothing() -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say("553 not yours", "250 ok", "354 go on")
        assert client.hear() == [""]

    with served(script) as backend, pytest.raises(smtplib.SMTPSenderRefused):
        smtp.transmit(letter(ANN), backend)


def test_a_server_that_refuses_the_content_is_ready_for_the_next_mail() -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say("250 ok", "250 ok", "451 not now")
        assert client.hear() == ["rset"]
        client.say("250 ok")
        client.hear(3)
        client.say("250 ok", "250 ok", "354 go on")
        client.hear_content()
        client.say("554 spam")
        assert client.hear() == ["rset"]
        client.say("250 ok")
        take(client)
        end(client)

    with served(script) as backend:
        for code in (451, 554):
            with pytest.raises(smtplib.SMTPDataError) as refusal:
                smtp.transmit(letter(ANN), backend)
            assert refusal.value.smtp_code == code
        assert smtp.transmit(letter(ANN), backend) == {}


def test_a_list_that_is_refused_in_its_first_group_is_not_said_to_its_end() -> None:
    recipients = [f"{'a' * 60}{number}@example.com" for number in range(100)]

    def script(client: Client) -> None:
        client.greet("PIPELINING")
        group = client.hear_at_once()
        assert 1 < len(group) < 100
        client.say("553 not yours", *["503 no sender"] * (len(group) - 1))
        assert client.hear() == ["rset"]
        client.say("250 ok")
        end(client)

    with served(script) as backend, pytest.raises(smtplib.SMTPSenderRefused):
        smtp.transmit(letter(*recipients), backend)


# --- where it broke -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "raised"),
    [
        (["421 enough"], smtplib.SMTPSenderRefused),
        (["250 ok", "421 enough"], smtplib.SMTPRecipientsRefused),
        (["250 ok", "250 ok", "421 enough"], smtplib.SMTPRecipientsRefused),
        (["250 ok", "250 ok", "250 ok", "421 enough"], smtplib.SMTPDataError),
        # first a refusal of its own, then the leave
        (["250 ok", "550 who?", "550 who?", "421 enough"], smtplib.SMTPRecipientsRefused),
    ],
)
def test_a_server_that_takes_its_leave_is_believed_wherever_it_does(
    answers: list[str], raised: type[Exception]
) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(4)
        client.say(*answers)
        assert client.hear() == [""]

    with served(script) as backend:
        with pytest.raises(raised):
            smtp.transmit(letter(ANN, BOB), backend)
        assert backend.connection is not None
        assert backend.connection.sock is None


@pytest.mark.parametrize(
    "answers",
    [
        [],
        ["250 ok"],
        ["250 ok", "250 ok"],
        # in the middle of one
        ["250 ok", "250-and"],
        # nobody can say what the next answer would belong to
        ["250 ok", "nonsense"],
        ["250 ok", "99 little"],
        ["250 ok", "250 " + "x" * 10_000],
    ],
    ids=lambda answers: str([answer[:10] for answer in answers]),
)
def test_a_connection_that_breaks_before_the_content_has_certainly_not_taken_the_mail(
    answers: list[str],
) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say(*answers)

    with served(script) as backend, pytest.raises(Interrupted):
        smtp.transmit(letter(ANN), backend)


@pytest.mark.parametrize(
    "answers", [["553 not yours"], ["250 ok", "550 who?"], ["250 ok", "550 who?", "354 go"]]
)
def test_a_refusal_is_told_even_if_the_connection_breaks_after_it(answers: list[str]) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say(*answers)

    with (
        served(script) as backend,
        pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)),
    ):
        smtp.transmit(letter(ANN), backend)


@pytest.mark.parametrize("answer", [[], ["250-half"], ["nonsense"], ["354 more?"]], ids=str)
def test_after_the_content_any_break_leaves_it_unknown(answer: list[str]) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say("250 ok", "250 ok", "354 go on")
        client.hear_content()
        client.say(*answer)

    with served(script) as backend, pytest.raises(Unanswered):
        smtp.transmit(letter(ANN), backend)


@pytest.mark.parametrize(("answers", "raised"), [(2, Interrupted), (3, Unanswered)])
def test_a_server_that_falls_silent_is_not_waited_for_without_end(
    answers: int, raised: type[Exception]
) -> None:
    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say(*["250 ok", "250 ok", "354 go on"][:answers])
        # until the client gives up
        while client.hear_content():
            pass

    with served(script) as backend:
        assert backend.connection is not None
        assert backend.connection.sock is not None
        backend.connection.sock.settimeout(0.2)
        with pytest.raises(raised, match="timed out"):
            smtp.transmit(letter(ANN), backend)


# --- over TLS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, 10, 2.5])
def test_a_connection_that_ends_is_told_from_one_that_takes_too_long(timeout: float | None) -> None:
    def script(client: Client) -> None:
        client.greet()
        client.hear()

    with ScriptedServer(script) as server:
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        address = {"host": HOST, "port": server.port, "username": "", "password": "", **options}
        backend = compat.construct_backend(SMTPBackend, "scripted", address)
        assert isinstance(backend, SMTPBackend)
        backend.open()
        dialogue.let_the_system_wait(backend.connection)  # type: ignore[arg-type]
        with pytest.raises(Interrupted, match="Connection unexpectedly closed"):
            smtp.transmit(letter(ANN), backend)
        backend.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Python keeps the time there.")
def test_the_system_keeps_the_time_of_a_plain_connection() -> None:
    def script(client: Client) -> None:
        client.greet()
        client.hear()
        assert client.hear() == [""]

    with served(script, timeout=10) as backend:
        assert backend.connection is not None
        backend.connection.timeout = 0.25
        dialogue.let_the_system_wait(backend.connection)
        assert backend.connection.sock.gettimeout() is None
        begun = time.monotonic()
        with pytest.raises(Interrupted, match=r"timed out after 0\.25 seconds"):
            smtp.transmit(letter(ANN), backend)
        assert 0.2 < time.monotonic() - begun < 5


def test_a_large_mail_goes_over_tls_as_it_is(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    content = b"Subject: Large\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 50_000

    def script(client: Client) -> None:
        client.greet("PIPELINING")
        client.hear(3)
        client.say("250 ok", "250 ok", "354 go on")
        assert client.hear_content() == content
        client.say("250 taken")
        end(client)

    trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    with served(script, context=context, use_ssl=True, ssl_context=trusting) as backend:
        assert smtp.transmit(letter(ANN, content=content), backend) == {}


def certificate(folder: Path) -> Path:
    """Make a key and a certificate for this host, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        ANN,
        "a.b-c+d_e@mail.example.com",
        "root",
        # odd, and smtplib's to decide
        '"a b"@example.com',
        "a..b@example.com",
        "Ann <ann@example.com>",
        "<ann@example.com>",
        "user@[127.0.0.1]",
        "o'neil@example.com",
        "",
    ],
)
def test_an_address_is_written_as_smtplib_writes_it(address: str) -> None:
    assert dialogue.rcpt_to(address) == f"RCPT TO:{smtplib.quoteaddr(address)}\r\n".encode()


@pytest.mark.parametrize("address", [f"{ANN}\r\nDATA", f"<{ANN}>\nDATA", f"ü{ANN}"])
def test_what_is_no_single_command_is_never_said(address: str) -> None:
    try:
        said = dialogue.rcpt_to(address)
    except ValueError:
        return
    # Some Pythons leave out what follows.
    assert said == f"RCPT TO:<{ANN}>\r\n".encode()


def test_a_server_that_names_no_size_is_told_none() -> None:
    assert dialogue.mail_from(smtplib.SMTP(), ME, 7) == f"MAIL FROM:<{ME}>\r\n".encode()


def test_a_backend_that_was_not_open_is_closed_again_and_a_fault_in_that_costs_no_mail(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "post_office")
    with ScriptedServer(take_one_and_part_badly) as server:
        address = {"host": HOST, "port": server.port, "username": "", "password": "", "timeout": 10}
        backend = compat.construct_backend(SMTPBackend, "scripted", address)
        assert isinstance(backend, SMTPBackend)
        assert smtp.transmit(letter(ANN), backend) == {}
        assert backend.connection is None
    assert "Closing a connection failed" in caplog.text
