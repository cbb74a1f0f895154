"""The message of a mail in the admin: its headers, its source as text and as a file, and its attachments."""

from email import message_from_bytes, policy
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import Client

from post_office.backends import EmailBackend
from post_office.models import Attachment, Email, EmailTemplate
from tests.integration.staff import LIST, address, page, queued, send, staff

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


class OwnBytes(EmailMessage):
    def message(self, **kwargs: Any) -> Any:
        return message_from_bytes(b"Message-ID: <own@example.com>\nSubject: Own\nX-Made-By: hand\n\nBytes\n")


def of(message: EmailMessage) -> Email:
    EmailBackend().send_messages([message])
    return Email.objects.latest("pk")


def file(email: Email, name: str, content: bytes = b"x", **columns: Any) -> str:
    attachment = Attachment(name=name, **columns)
    attachment.file.save("stored.bin", ContentFile(content))
    email.attachments.add(attachment)
    return f"{LIST}{email.pk}/attachment/{attachment.pk}/"


def test_the_headers_are_those_of_the_message(admin_client: Client) -> None:
    email = send(
        subject="Grüße",
        message="x",
        bcc="hidden@example.com",
        headers={"Reply-To": "us@example.com", "X-Campaign": "spring"},
    )
    text = page(admin_client, address(email))
    for shown in (
        "Grüße",
        "Reply-To",
        "us@example.com",
        "X-Campaign",
        "hidden@example.com (not in the mail)",
    ):
        assert shown in text, shown
    assert email.message_id.strip("<>") in text  # type: ignore[union-attr]
    assert "X-Made-By" in page(
        admin_client, address(of(OwnBytes("a", "b", "me@example.com", ["a@example.com"])))
    )


def test_the_source_is_shown_and_downloaded(admin_client: Client) -> None:
    email = queued(html_message="<script>alert(1)</script>")
    shown = admin_client.get(address(email, "source"))
    assert "<script>" not in shown.content.decode()
    assert "Subject: Hello" in shown.content.decode()
    assert shown.headers["Content-Security-Policy"].startswith("sandbox;")
    taken = admin_client.get(address(email, "download"))
    message = message_from_bytes(taken.content, policy=policy.default)
    assert (message["Subject"], message["Message-ID"]) == ("Hello", email.message_id)
    assert message.get_body(("html",)).get_content().strip() == "<script>alert(1)</script>"  # type: ignore[union-attr]
    assert taken.headers["Content-Disposition"] == f'attachment; filename="email-{email.pk}.eml"'
    assert taken.headers["Content-Type"] == "message/rfc822"
    assert taken.headers["X-Content-Type-Options"] == "nosniff"
    assert taken.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_of_a_large_source_the_beginning_is_shown(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("post_office.admin.source.MOST_SHOWN", 100)
    email = queued(message="x" * 60 + "\n")
    text = admin_client.get(address(email, "source")).content.decode()
    assert "more bytes" in text
    assert len(text) < 700


def test_what_cannot_be_built_says_why(admin_client: Client) -> None:
    EmailTemplate.objects.create(name="welcome", subject="s", content="t")
    email = send(template="welcome", render_on_delivery=True)
    EmailTemplate.objects.update(content="{% nonsense %}")
    assert "nonsense" in page(admin_client, address(email))
    assert "nonsense" in admin_client.get(address(email, "source")).content.decode()
    response = admin_client.get(address(email, "download"), follow=True)
    assert response.status_code == 200
    assert "nonsense" in " ".join(map(str, response.context["messages"]))


NAMES = [
    ("notes.txt", 'attachment; filename="notes.txt"'),
    ('a"b.txt', 'attachment; filename="a_b.txt"'),
    ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
    ("a\r\nSet-Cookie: x", 'attachment; filename="a_Set-Cookie_ x"'),
    ("Rechnung März.pdf", "attachment; filename*=utf-8''Rechnung%20M%C3%A4rz.pdf"),
    ("evil\u202etxt.exe", 'attachment; filename="evil_txt.exe"'),
    ("", "attachment; filename="),
]


@pytest.mark.parametrize(("name", "disposition"), NAMES)
def test_an_attachment_is_handed_over_as_a_file(name: str, disposition: str, admin_client: Client) -> None:
    response = admin_client.get(file(queued(), name, b"<script>alert(1)</script>", mimetype="text/html"))
    assert response.content == b"<script>alert(1)</script>"
    assert response.headers["Content-Disposition"].startswith(disposition)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


TYPES = [
    ("application/pdf", "application/pdf"),
    ("", "application/octet-stream"),
    ("x\r\ny", "application/octet-stream"),
]


@pytest.mark.parametrize(("stored", "served"), TYPES)
def test_a_type_is_served_only_where_it_is_one(stored: str, served: str, admin_client: Client) -> None:
    assert admin_client.get(file(queued(), "a", mimetype=stored)).headers["Content-Type"] == served


def test_attachments_of_each_form_come_out_as_they_are(admin_client: Client) -> None:
    message = EmailMultiAlternatives("a", "b", "me@example.com", ["ann@example.com"])
    message.attach("a.txt", "grüße", "text/plain")
    message.attach("a.png", PNG, "image/png")
    message.attach("a.eml", EmailMessage("Inner", "x", "me@example.com", ["a@example.com"]), "message/rfc822")
    email = of(message)
    contents = {
        each.name: admin_client.get(f"{LIST}{email.pk}/attachment/{each.pk}/").content
        for each in email.attachments.all()
    }
    assert contents["a.txt"] == "grüße".encode()
    assert contents["a.png"] == PNG
    assert b"Subject: Inner" in contents["a.eml"]
    headers = {"Content-Transfer-Encoding": "base64"}  # as earlier versions stored them
    old = file(email, "old.txt", b"Z3LDvMOfZQ==\n", mimetype="text/plain", headers=headers)
    assert admin_client.get(old).content == "grüße".encode()


def test_the_list_of_attachments_names_inline_images(admin_client: Client) -> None:
    email = queued()
    inline = {"Content-ID": "<logo>", "Content-Disposition": "inline"}
    url = file(email, "logo.png", PNG, mimetype="image/png", headers=inline)
    notes = file(email, "notes.txt", mimetype="text/plain")
    text = page(admin_client, address(email))
    assert f'href="{url}"' in text
    assert "Inline image (cid:logo)" in text
    assert f'href="{notes}"' in text
    of_bytes = of(OwnBytes("a", "b", "me@example.com", ["a@example.com"]))
    assert "The message itself" in page(admin_client, address(of_bytes))


def test_a_file_is_had_only_by_its_own_mail_and_by_who_may_see_files(admin_client: Client) -> None:
    email, other = queued(), queued()
    url = file(email, "notes.txt")
    assert admin_client.get(url.replace(f"/{email.pk}/att", f"/{other.pk}/att")).status_code == 404
    assert staff("view_email", "view_attachment").get(url).status_code == 200
    reader = staff("view_email")
    assert reader.get(url).status_code == 403
    assert "notes.txt" not in page(reader, address(email))
    assert staff("view_attachment").get(url).status_code == 403


def test_a_file_that_is_gone_says_so(admin_client: Client) -> None:
    email = queued()
    url = file(email, "notes.txt")
    stored = email.attachments.get().file
    stored.storage.delete(stored.name)
    response = admin_client.get(url, follow=True)
    assert "is gone" in " ".join(map(str, response.context["messages"]))
