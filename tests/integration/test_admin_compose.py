"""Writing a mail in the admin: every check of `mail.send`, said at its field; and the preview before it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.core import mail as outgoing
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import resolve
from django.utils import timezone, translation

from post_office.models import PRIORITY, STATUS, Email, EmailTemplate
from tests.integration.staff import LIST, address, page, staff, told

pytestmark = pytest.mark.django_db

ADD = f"{LIST}add/"
PREVIEW = f"{ADD}preview/"
FORM: dict[str, Any] = {
    "from_email": "Me <me@example.com>", "to": "Ann <ann@example.com>", "cc": "", "bcc": "", "template": "",
    "language": "", "context": "", "subject": "Hello", "message": "Text", "html_message": "", "priority": "1",
    "backend_alias": "", "scheduled_time": "", "expires_at": "", "mark": "",
}  # fmt: skip
FROM_TEMPLATE = {"subject": "", "message": "", "template": "welcome", "context": '{"name": "Ann & Co"}'}


@pytest.fixture
def writer() -> Client:
    return staff("add_email", "view_email")


@pytest.fixture
def template() -> EmailTemplate:
    made = EmailTemplate.objects.create(
        name="welcome", subject="Hi {{ name }}", content="Dear {{ name }}", html_content="<p>{{ name }}</p>"
    )
    EmailTemplate.objects.create(name="welcome", language="de", subject="Hallo", default_template=made)
    return made


def errors(response: Any) -> dict[str, str]:
    assert response.status_code == 200
    found = response.context["form"].errors
    return {name: " ".join(said) for name, said in found.items()}


# --- who may ----------------------------------------------------------------------------------


def test_writing_is_for_those_with_the_permission_to_add_mail() -> None:
    reader = staff("view_email", "change_email", "send_email")
    for url in (ADD, PREVIEW):
        assert reader.get(url).status_code == 403
        assert reader.post(url, FORM).status_code == 403
        assert "/login/" in Client().post(url, FORM).headers["Location"]
    assert ADD not in page(reader, LIST)
    assert not Email.objects.exists()
    writer = staff("add_email")
    assert page(writer, ADD)
    assert writer.get(PREVIEW).status_code == 405
    assert writer.post(ADD, FORM).headers["Location"] == "/admin/"
    assert Email.objects.count() == 1


@pytest.mark.parametrize("url", [ADD, PREVIEW])
def test_a_csrf_token_is_asked_for(url: str, admin_user: User) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin_user)
    assert careful.post(url, FORM).status_code == 403


def test_mail_that_is_sent_at_once_is_sent_in_no_transaction_of_the_request() -> None:
    assert "default" in resolve(ADD).func._non_atomic_requests  # type: ignore[attr-defined]


# --- what is queued ---------------------------------------------------------------------------


def test_a_mail_of_free_text_is_queued_as_it_stands(writer: Client) -> None:
    later = (timezone.now() + timedelta(hours=1)).replace(second=0, microsecond=0)
    response = writer.post(
        ADD,
        {
            **FORM,
            "cc": '"Doe, John" <john@example.com>, cy@example.com',
            "bcc": "bo@example.com",
            "subject": "50 % off {{ x }}",
            "message": "a < b & {% include 'admin/base.html' %}\r\nBye\r\n",
            "html_message": "<p>{{ settings.SECRET_KEY }} &amp; {% debug %}</p>",
            "priority": "2",
            "backend_alias": "default",
            "scheduled_time": later.strftime("%Y-%m-%dT%H:%M"),
            "expires_at": (later + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M"),
        },
        follow=True,
    )
    assert "The email is in the queue." in told(response)
    email = Email.objects.get()
    assert response.request["PATH_INFO"] == address(email)
    assert email.subject == "50 % off {{ x }}"
    assert email.message == "a < b & {% include 'admin/base.html' %}\nBye\n"
    assert email.html_message == "<p>{{ settings.SECRET_KEY }} &amp; {% debug %}</p>"
    assert email.from_email == "Me <me@example.com>"
    assert email.to == ["Ann <ann@example.com>"]
    assert email.cc == ['"Doe, John" <john@example.com>', "cy@example.com"]
    assert email.bcc == ["bo@example.com"]
    assert (email.status, email.priority, email.backend_alias) == (STATUS.queued, PRIORITY.high, "default")
    assert (email.scheduled_time, email.expires_at) == (later, later + timedelta(days=1))
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag) == (str(email.pk), ADDITION)


def test_a_mail_of_a_template_is_queued(writer: Client, template: EmailTemplate) -> None:
    assert '<option value="welcome">' in page(writer, ADD)
    writer.post(ADD, {**FORM, **FROM_TEMPLATE})
    email = Email.objects.get()
    assert (email.subject, email.message) == ("Hi Ann & Co", "Dear Ann & Co")
    assert email.html_message == "<p>Ann &amp; Co</p>"
    assert email.template == template
    writer.post(ADD, {**FORM, **FROM_TEMPLATE, "language": "de"})
    assert Email.objects.latest("pk").subject == "Hallo"


def test_a_template_is_rendered_as_by_the_application_not_as_for_its_writer(
    writer: Client, template: EmailTemplate
) -> None:
    template.subject = "{% load i18n %}{% translate 'Yes' %}"
    template.save()
    writer.post(ADD, {**FORM, **FROM_TEMPLATE}, headers={"accept-language": "de"})
    assert Email.objects.get().subject == "Yes"


def test_files_are_attached_each_under_its_own_name(writer: Client) -> None:
    files = [
        SimpleUploadedFile("a.pdf", b"%PDF", "application/pdf"),
        SimpleUploadedFile("a.pdf", b"%PDF-2", "application/pdf"),
        SimpleUploadedFile("notes.txt", b"x", "text/plain"),
    ]
    writer.post(ADD, {**FORM, "attachments": files})
    kept = Email.objects.get().attachments.order_by("pk")
    contents = []
    for each in kept:
        with each.file.open() as file:
            contents.append((each.name, each.mimetype, file.read()))
    assert contents == [
        ("a.pdf", "application/pdf", b"%PDF"),
        ("a (2).pdf", "application/pdf", b"%PDF-2"),
        ("notes.txt", "text/plain", b"x"),
    ]


def test_mail_for_now_is_sent_and_says_so(writer: Client) -> None:
    response = writer.post(ADD, {**FORM, "priority": "3"}, follow=True)
    assert "The email has been sent to" in told(response)
    assert len(outgoing.outbox) == 1


def test_the_same_page_sent_twice_is_one_mail(writer: Client) -> None:
    marks = {re.search(r'name="mark" value="(\w{32})"', page(writer, ADD))[1] for _ in "ab"}  # type: ignore[index]
    assert len(marks) == 2
    for mark in [*marks, *marks]:
        writer.post(ADD, {**FORM, "mark": mark})
    assert Email.objects.count() == 2
    assert LogEntry.objects.count() == 2


def test_the_form_may_be_filled_in_by_its_address(writer: Client) -> None:
    text = page(writer, ADD, template="welcome", to="ann@example.com", nonsense="x")
    assert 'name="template" value="welcome"' in text
    assert 'value="ann@example.com"' in text


# --- what is refused --------------------------------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("nobody", {"to": ""}, "to", "Give at least one recipient."),
    ("no address", {"to": "ann"}, "to", "ann is not a valid email address"),
    ("one bad address", {"cc": "a@example.com, b"}, "cc", "b is not a valid"),
    ("a bad blind copy", {"bcc": "a@@example.com"}, "bcc", "is not a valid"),
    ("no sender", {"from_email": ""}, "from_email", "required"),
    ("a bad sender", {"from_email": "me"}, "from_email", "valid"),
    ("nothing", {"subject": "", "message": ""}, "subject", "Write something, or choose a template."),
    ("text and template", {"template": "welcome"}, "subject", "Leave this empty"),
    ("no such template", {**FROM_TEMPLATE, "template": "gone"}, "template", "There is no such template."),
    ("a broken template", {**FROM_TEMPLATE, "template": "broken"}, "template", "not a valid template"),
    ("a context that is no JSON", {**FROM_TEMPLATE, "context": "{'a': 1}"}, "context", "This is no JSON"),
    ("a context that is a list", {**FROM_TEMPLATE, "context": "[1]"}, "context", "no JSON object"),
    ("an unknown backend", {"backend_alias": "gone"}, "backend_alias", "not one of the available choices"),
    ("an unknown priority", {"priority": "9"}, "priority", "not one of the available choices"),
    ("an unknown language", {"language": "xx"}, "language", "not one of the available choices"),
    ("no time", {"scheduled_time": "soon"}, "scheduled_time", "valid date/time"),
    ("an end before the beginning", {"scheduled_time": "2099-01-02T10:00", "expires_at": "2099-01-01T10:00"},
     "__all__", "may not be later than the expires time"),
    ("too long a subject", {"subject": "x" * 990}, "subject", "at most 989 characters"),
    ("a null character", {"message": "a\x00"}, "message", "Null characters are not allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "given", "field", "said"), REFUSED, ids=[what for what, *_ in REFUSED])
def test_refused_is(
    what: str, given: dict[str, Any], field: str, said: str, writer: Client, template: EmailTemplate
) -> None:
    broken = EmailTemplate.objects.create(name="broken", subject="x")
    EmailTemplate.objects.filter(pk=broken.pk).update(subject="{% nonsense %}")
    data = {**FORM, **given}
    assert said in errors(writer.post(ADD, data))[field]
    assert writer.post(PREVIEW, data).status_code == 200
    assert not Email.objects.exists()


def test_what_was_written_stays_when_it_is_refused(writer: Client) -> None:
    text = writer.post(ADD, {**FORM, "to": "", "message": "a long <letter>"}).content.decode()
    assert "a long &lt;letter&gt;" in text
    assert "Give at least one recipient." in text


def test_a_template_that_raises_is_an_error_of_its_field(writer: Client) -> None:
    EmailTemplate.objects.create(name="raising", subject="x", html_content="{% include 'no such file' %}")
    with translation.override("en"):
        found = errors(writer.post(ADD, {**FORM, **FROM_TEMPLATE, "template": "raising"}))
    assert "no such file" in found["template"]


# --- the preview ------------------------------------------------------------------------------


def test_the_preview_shows_what_would_be_sent_in_the_sandbox(writer: Client, template: EmailTemplate) -> None:
    response = writer.post(PREVIEW, {**FORM, **FROM_TEMPLATE})
    assert response.content.decode() == "<p>Ann &amp; Co</p>"
    assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    text = writer.post(f"{PREVIEW}?part=text", {**FORM, **FROM_TEMPLATE}).content.decode()
    for shown in ("To: Ann &lt;ann@example.com&gt;", "Subject: Hi Ann &amp; Co", "Dear Ann &amp; Co"):
        assert shown in text
    assert not Email.objects.exists()
    assert outgoing.outbox == []


def test_the_preview_of_hostile_text_runs_nothing(writer: Client) -> None:
    response = writer.post(PREVIEW, {**FORM, "html_message": "<script>alert(1)</script>"})
    assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    response = writer.post(f"{PREVIEW}?part=text", {**FORM, "subject": "<script>", "message": "<script>"})
    assert "<script" not in response.content.decode()


def test_the_preview_says_what_is_wrong(writer: Client) -> None:
    response = writer.post(PREVIEW, {**FORM, "to": "<script>"})
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "Email To: " in response.content.decode()
    assert "<script" not in response.content.decode()


def test_images_of_the_template_are_in_the_preview(writer: Client) -> None:
    EmailTemplate.objects.create(
        name="pictured", html_content="{% load post_office %}<img src='{% inline_image name %}'>"
    )
    given = {"template": "pictured", "context": '{"name": "admin/img/icon-yes.svg"}'}
    response = writer.post(PREVIEW, {**FORM, **FROM_TEMPLATE, **given})
    assert "src='data:image/svg+xml;base64," in response.content.decode()
