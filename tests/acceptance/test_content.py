"""What arrives is what was queued."""

from email.header import decode_header, make_header

from django.core.files.base import ContentFile

from post_office import mail
from tests.acceptance.project import Project
from tests.acceptance.smtp_server import SMTPServer

# Lines that a careless client or server would change: the end of a mail, a line of dots, a mailbox's
# separator; characters outside of ASCII and of the basic plane; and a line longer than SMTP allows.
TEXT = "Grüße 💌\n.\n..two\nFrom here on\n" + "long " * 500 + "\nThe end.\n"
HTML = f"<p>{TEXT}</p>\n"
FILES = {
    "every-byte.bin": bytes(range(256)) * 100,
    "empty.bin": b"",
    "page.pdf": b"%PDF-1.4\r\n%\xe2\xe3\xcf\xd3\n.\n\r..\n",
    "Grüße 💌.zip": b"PK\x05\x06" + bytes(18),
}


def test_a_mail_arrives_with_both_bodies_and_its_files_byte_for_byte(
    project: Project, server: SMTPServer
) -> None:
    email = mail.send(
        ["Änne <ann@example.com>", "bob@example.com"],
        "Der Laden <shop@example.com>",
        cc="carl@example.com",
        bcc="hidden@example.com",
        subject="Grüße 💌",
        message=TEXT,
        html_message=HTML,
        headers={"X-Campaign": "spring"},
        attachments={name: ContentFile(content) for name, content in FILES.items()},
    )

    assert project.run("send_queued_mail").complaints == []
    (accepted,) = server.accepted
    assert accepted.sender == "shop@example.com"
    assert set(accepted.recipients) == {f"{name}@example.com" for name in ("ann", "bob", "carl", "hidden")}
    assert b"hidden" not in accepted.content
    message = accepted.message
    assert str(make_header(decode_header(message["Subject"]))) == "Grüße 💌"
    assert str(make_header(decode_header(message["To"]))) == "Änne <ann@example.com>, bob@example.com"
    assert message["Message-ID"] == email.message_id
    assert message["X-Campaign"] == "spring"
    bodies, *attachments = message.get_payload()
    received = {
        part.get_content_type(): part.get_payload(decode=True).decode() for part in bodies.get_payload()
    }
    assert {kind: text.replace("\r\n", "\n") for kind, text in received.items()} == {
        "text/plain": TEXT,
        "text/html": HTML,
    }
    assert {part.get_filename(): part.get_payload(decode=True) for part in attachments} == FILES
