"""Mail that was rendered on delivery says for good what it said when it was sent."""

from typing import Any

import pytest
from django.core import mail as django_mail

from post_office import mail
from post_office.models import STATUS, Attachment, Email, EmailTemplate
from post_office.rendering.message import build_message
from post_office.rendering.templates import render_on_delivery
from tests.storages import StorageBreaks, WatchedStorage

pytestmark = pytest.mark.django_db


@pytest.fixture
def template() -> EmailTemplate:
    return EmailTemplate.objects.create(
        name="t", subject="Hi {{ name }}", content="text {{ name }}", html_content="<p>{{ name }}</p>"
    )


def queue(**arguments: Any) -> Email:
    return mail.send(
        "ann@example.com",
        "me@example.com",
        template="t",
        **{"context": {"name": "Ann"}, "render_on_delivery": True, **arguments},
    )


def said(email: Email) -> tuple[str, str, str]:
    rendered = render_on_delivery(Email.objects.get(pk=email.pk))
    return rendered.subject, rendered.message, rendered.html_message


AS_SENT = ("Hi Ann", "text Ann", "<p>Ann</p>")


@pytest.mark.parametrize("priority", ["medium", "now"])
@pytest.mark.parametrize("change", ["edit", "delete"])
def test_a_sent_mail_says_what_it_said(template: EmailTemplate, priority: str, change: str) -> None:
    email = queue(priority=priority)
    if priority != "now":
        assert (email.subject, email.rendered_at) == ("", None)
        mail.send_queued()
    if change == "edit":
        template.content = "new text"
        template.save()
    else:
        template.delete()
    assert said(email) == AS_SENT
    email.refresh_from_db()
    assert email.status == STATUS.sent
    assert (email.subject, email.message, email.html_message) == AS_SENT
    assert email.context == {"name": "Ann"}
    assert email.rendered_at is not None


@pytest.mark.usefixtures("template")
def test_it_is_sent_again_as_it_was() -> None:
    email = queue()
    mail.send_queued()
    EmailTemplate.objects.update(subject="new")
    mail.requeue(Email.objects.all())
    assert mail.send_queued() == (1, 0, 0)
    assert [message.subject for message in django_mail.outbox] == ["Hi Ann", "Hi Ann"]
    assert said(email) == AS_SENT


@pytest.mark.usefixtures("template")
def test_mail_that_failed_is_rendered_anew_when_it_is_sent_again(settings: Any) -> None:
    email = queue()
    EmailTemplate.objects.update(subject="{% nope %}")
    assert mail.send_queued() == (0, 1, 0)
    EmailTemplate.objects.update(subject="mended")
    mail.requeue(Email.objects.all())
    assert mail.send_queued() == (1, 0, 0)
    assert said(email)[0] == "mended"


@pytest.mark.usefixtures("template")
def test_without_the_setting_nothing_is_kept(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "KEEP_RENDERED": False}
    email = queue()
    mail.send_queued()
    email.refresh_from_db()
    assert (email.subject, email.rendered_at) == ("", None)
    EmailTemplate.objects.update(subject="new")
    assert said(email)[0] == "new"


def test_images_are_kept_with_it(settings: Any) -> None:
    EmailTemplate.objects.create(
        name="t", html_content="{% load post_office %}<img src='{% inline_image 'admin/img/icon-yes.svg' %}'>"
    )
    emails = [queue(), queue()]
    assert mail.send_queued() == (2, 0, 0)
    EmailTemplate.objects.all().delete()
    assert Attachment.objects.count() == 1
    for email in emails:
        built = build_message(Email.objects.get(pk=email.pk))
        assert [part.get_content_type() for part in built.message().walk()][-1] == "image/svg+xml"


def test_a_mail_whose_texts_cannot_be_kept_is_sent_all_the_same(
    template: EmailTemplate, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "tests.storages.WatchedStorage"}}
    WatchedStorage.forget()
    WatchedStorage.faults = {"save": StorageBreaks()}
    template.html_content = "{% load post_office %}<img src='{% inline_image 'admin/img/icon-yes.svg' %}'>"
    template.save()
    email = queue()
    assert mail.send_queued() == (1, 0, 0)
    email.refresh_from_db()
    assert (email.status, email.rendered_at) == (STATUS.sent, None)
    assert "they were sent" in caplog.text
    WatchedStorage.forget()


@pytest.mark.usefixtures("template")
def test_mail_that_was_rendered_when_it_was_queued_is_left_alone(django_assert_num_queries: Any) -> None:
    email = queue(render_on_delivery=False)
    mail.send_queued()
    email.refresh_from_db()
    assert email.rendered_at is None
    assert said(email) == AS_SENT
