"""Templates: which one serves, what it renders to, and what follows when it changes."""

from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.files.images import ImageFile
from django.core.mail import EmailMultiAlternatives
from django.template.loader import get_template
from django.test import override_settings

from post_office import mail
from post_office.models import STATUS, Attachment, Email, EmailTemplate, Log
from post_office.rendering.inline import NotAnImage, NotRenderingMail
from post_office.rendering.templates import get_email_template

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
pytestmark = pytest.mark.django_db


@pytest.fixture
def welcome() -> EmailTemplate:
    template = EmailTemplate.objects.create(
        name="welcome",
        subject="Welcome, {{ name }}",
        content="Hello {{ name }}",
        html_content="<p>Hello {{ name }}</p>",
    )
    template.translated_templates.create(
        language="de",
        subject="Willkommen, {{ name }}",
        content="Hallo {{ name }}",
        html_content="<p>Hallo {{ name }}</p>",
    )
    return template


def send(**arguments: Any) -> Email:
    return mail.send("ann@example.com", "me@example.com", **{"context": {"name": "Ann & Co"}, **arguments})


@pytest.mark.parametrize(
    ("language", "subject", "html"),
    [
        ("", "Welcome, Ann & Co", "<p>Hello Ann &amp; Co</p>"),
        ("de", "Willkommen, Ann & Co", "<p>Hallo Ann &amp; Co</p>"),
    ],
)
@pytest.mark.parametrize("by", ["name", "instance"])
@pytest.mark.parametrize("render_on_delivery", [False, True])
@pytest.mark.usefixtures("welcome")
def test_a_template_serves_in_its_language(
    language: str, subject: str, html: str, by: str, render_on_delivery: bool
) -> None:
    template = "welcome" if by == "name" else EmailTemplate.objects.get(name="welcome", language="")
    sent = send(template=template, language=language, render_on_delivery=render_on_delivery)
    assert bool(sent.context) is render_on_delivery
    assert sent.template_name == "welcome"
    assert mail.send_queued() == (1, 0, 0)
    (message,) = django_mail.outbox
    assert message.subject == subject
    assert message.alternatives[0][0] == html  # type: ignore[attr-defined]


@pytest.mark.usefixtures("welcome")
def test_a_missing_translation_is_said() -> None:
    with pytest.raises(EmailTemplate.DoesNotExist, match="named 'welcome' in language 'id'"):
        send(template="welcome", language="id")


def test_the_language_of_the_template_is_active_while_it_renders() -> None:
    base = EmailTemplate.objects.create(name="t", content="{% load i18n %}{% translate 'Yes' %}")
    base.translated_templates.create(language="de", content="{% load i18n %}{% translate 'Yes' %}")
    assert send(template="t").message == "Yes"
    assert send(template="t", language="de").message == "Ja"


def test_rendering_on_delivery_without_a_context_renders_with_an_empty_one() -> None:
    EmailTemplate.objects.create(name="plain", subject="Hi {{ name }}.")
    send(template="plain", render_on_delivery=True, context=None)
    assert mail.send_queued() == (1, 0, 0)
    assert django_mail.outbox[0].subject == "Hi ."


# --- the cache --------------------------------------------------------------------------------


def test_a_saved_translation_is_used_at_once(welcome: EmailTemplate) -> None:
    assert send(template="welcome", language="de").message == "Hallo Ann & Co"
    translated = welcome.translated_templates.get()
    translated.content = "Servus {{ name }}"
    translated.save()
    assert send(template="welcome", language="de").message == "Servus Ann & Co"


def test_a_template_is_not_found_under_its_old_name(welcome: EmailTemplate) -> None:
    get_email_template("welcome")
    loaded = EmailTemplate.objects.get(pk=welcome.pk)
    loaded.name = "greeting"
    loaded.save()
    with pytest.raises(EmailTemplate.DoesNotExist):
        get_email_template("welcome")
    assert get_email_template("greeting").pk == welcome.pk


def test_a_deleted_template_is_not_found(welcome: EmailTemplate) -> None:
    get_email_template("welcome", "de")
    welcome.delete()
    with pytest.raises(EmailTemplate.DoesNotExist):
        get_email_template("welcome", "de")


@pytest.mark.parametrize(
    ("one", "other"),
    [("order shipped", "order-shipped"), ("пароль", "привет"), ("t1id", "t1"), ("a:b", "a")],
)
def test_names_that_look_alike_are_told_apart(one: str, other: str) -> None:
    for name in (one, other):
        EmailTemplate.objects.create(name=name, subject=name)
    for name in (one, other, one):
        assert get_email_template(name).subject == name


def test_a_translation_and_a_longer_name_are_told_apart() -> None:
    base = EmailTemplate.objects.create(name="t1", subject="base")
    base.translated_templates.create(language="id", subject="translation")
    EmailTemplate.objects.create(name="t1id", subject="another")
    assert get_email_template("t1", "id").subject == "translation"
    assert get_email_template("t1id").subject == "another"


def test_a_template_is_looked_up_once(welcome: EmailTemplate, django_assert_num_queries: Any) -> None:
    get_email_template("welcome")
    with django_assert_num_queries(0):
        get_email_template("welcome")
    with override_settings(POST_OFFICE_CACHE=False), django_assert_num_queries(1):
        get_email_template("welcome")


# --- deleting ---------------------------------------------------------------------------------


def test_deleting_a_template_keeps_its_mail_and_log(welcome: EmailTemplate) -> None:
    sent = send(template="welcome")
    mail.send_queued()
    welcome.delete()
    sent.refresh_from_db()
    assert (sent.template, sent.template_name, sent.status) == (None, "welcome", STATUS.sent)
    assert Log.objects.count() == 1


def test_mail_that_waits_for_a_deleted_template_is_rendered_first(welcome: EmailTemplate) -> None:
    send(template="welcome", language="de", render_on_delivery=True)
    welcome.delete()
    assert mail.send_queued() == (1, 0, 0)
    assert django_mail.outbox[0].subject == "Willkommen, Ann & Co"
    assert django_mail.outbox[0].body == "Hallo Ann & Co"


def test_mail_in_delivery_is_rendered_before_its_template_goes(welcome: EmailTemplate) -> None:
    """It may come back to the queue."""
    from django.utils import timezone

    from post_office.queue import claims, liveness

    email = send(template="welcome", render_on_delivery=True)
    worker = liveness.register(timezone.now())
    claims.claim_one(email, worker, timezone.now())
    welcome.delete()
    liveness.retire(worker)
    assert mail.send_queued() == (1, 0, 0)
    assert django_mail.outbox[0].body == "Hello Ann & Co"


def test_a_context_without_a_template_changes_nothing() -> None:
    Email.objects.create(
        from_email="me@example.com",
        to=["ann@example.com"],
        subject="s",
        message="m",
        status=2,
        context={"a": 1},
    )
    assert mail.send_queued() == (1, 0, 0)
    assert django_mail.outbox[0].body == "m"


def test_mail_whose_deleted_template_did_not_render_fails_with_that_reason(welcome: EmailTemplate) -> None:
    sent = send(template="welcome", render_on_delivery=True)
    EmailTemplate.objects.filter(pk=welcome.pk).update(content="{% endif %}")
    EmailTemplate.objects.get(pk=welcome.pk).delete()
    assert mail.send_queued() == (0, 1, 0)
    assert "template 'welcome' was deleted" in Log.objects.get(email=sent).message


def test_a_template_that_breaks_stops_its_own_mail_only(welcome: EmailTemplate) -> None:
    sent = send(template="welcome", render_on_delivery=True)
    EmailTemplate.objects.filter(pk=welcome.pk).update(content="{% nope %}")
    mail.send_many([{"recipients": "bob@example.com", "sender": "me@example.com"}] * 3)
    assert mail.send_queued() == (3, 1, 0)
    log = Log.objects.get(email=sent)
    assert log.exception_type == "InvalidTemplate"
    assert "nope" in log.message


# --- inline images ----------------------------------------------------------------------------

INLINE = "{% load post_office %}<img src='{% inline_image image %}'>"


def related_parts(message: Any) -> dict[str, bytes]:
    """Return the images of a message by Content-ID, as they stand in its multipart/related."""
    (related,) = [part for part in message.walk() if part.get_content_type() == "multipart/related"]
    html, *images = related.get_payload()
    assert html.get_content_type() == "text/html"
    return {image["Content-ID"].strip("<>"): image.get_payload(decode=True) for image in images}


@pytest.mark.parametrize("render_on_delivery", [False, True])
def test_an_inline_image_stands_beside_its_html(
    render_on_delivery: bool, tmp_path: Path, settings: Any
) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "TEMPLATE_ENGINE": "post_office"}
    path = tmp_path / "logo.png"
    path.write_bytes(PNG)
    EmailTemplate.objects.create(name="logo", content="text", html_content=INLINE)
    mail.send(
        "ann@example.com",
        "me@example.com",
        template="logo",
        context={"image": str(path)},
        render_on_delivery=render_on_delivery,
        attachments={"a.pdf": b"%PDF"},
    )
    assert mail.send_queued() == (1, 0, 0)
    message = django_mail.outbox[0].message()
    images = related_parts(message)
    assert list(images.values()) == [PNG]
    (cid,) = images
    html = next(part for part in message.walk() if part.get_content_type() == "text/html")
    assert f"cid:{cid}" in html.get_payload(decode=True).decode()
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    assert message.as_bytes() != b""


def test_an_image_may_be_a_static_file_or_an_image_file(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        by_file = mail.send(
            "ann@example.com",
            "me@example.com",
            html_message=INLINE,
            context={"image": ImageFile(file, "photo")},
        )
    by_name = mail.send(
        "ann@example.com",
        "me@example.com",
        html_message=INLINE,
        context={"image": "admin/img/icon-yes.svg"},
    )
    assert by_file.attachments.get().mimetype == "image/png"
    assert by_file.attachments.get().file.name.endswith(".png")
    assert by_name.attachments.get().mimetype == "image/svg+xml"


@pytest.mark.parametrize("message", ["text", ""])
def test_images_stand_beside_html_in_any_script(message: str) -> None:
    mail.send(
        "ann@example.com",
        "me@example.com",
        message=message,
        html_message="<p>Grüße, привет</p>" + INLINE,
        context={"image": "admin/img/icon-yes.svg"},
    )
    assert mail.send_queued() == (1, 0, 0)
    built = django_mail.outbox[0].message()
    parsed = message_from_bytes(built.as_bytes(), policy=default)
    assert built.as_bytes() == built.as_bytes()
    html = next(part for part in parsed.walk() if part.get_content_type() == "text/html")
    assert html.get_content().startswith("<p>Grüße, привет</p>")
    assert len(related_parts(parsed)) == 1


def test_an_html_only_mail_has_its_images_too() -> None:
    mail.send(
        "ann@example.com",
        "me@example.com",
        html_message=INLINE,
        context={"image": "admin/img/icon-yes.svg"},
    )
    mail.send_queued()
    message = django_mail.outbox[0].message()
    assert message.get_content_type() == "multipart/related"
    assert len(related_parts(message)) == 1
    assert message["Subject"] == ""
    assert message["To"] == "ann@example.com"


def test_a_missing_image_is_left_out_or_raised_with_debug(settings: Any) -> None:
    sent = mail.send("ann@example.com", "me@example.com", html_message=INLINE, context={"image": "no.png"})
    assert sent.html_message == "<img src=''>"
    settings.DEBUG = True
    with pytest.raises(FileNotFoundError):
        mail.send("ann@example.com", "me@example.com", html_message=INLINE, context={"image": "no.png"})


def test_a_file_that_is_no_image_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    with pytest.raises(NotAnImage):
        mail.send(
            "ann@example.com",
            "me@example.com",
            html_message=INLINE,
            context={"image": str(tmp_path / "secret")},
        )


def test_the_tag_needs_somebody_to_collect_its_images() -> None:
    from django.template import Context, Template

    with pytest.raises(NotRenderingMail):
        Template(INLINE).render(Context({"image": "admin/img/icon-yes.svg"}))


def test_forty_threads_on_one_template_get_no_foreign_image(tmp_path: Path) -> None:
    """Each renders with an image of its own, all from one compiled template and one wrapper."""
    shared = get_template("inline.html", using="post_office")

    def message(number: int) -> EmailMultiAlternatives:
        path = tmp_path / f"{number}.png"
        path.write_bytes(PNG + str(number).encode())
        built = EmailMultiAlternatives("s", "b", "me@example.com", ["ann@example.com"])
        template = shared if number % 2 else get_template("inline.html", using="post_office")
        built.attach_alternative(template.render({"image": str(path)}), "text/html")
        template.attach_related(built)
        return built

    with ThreadPoolExecutor(40) as threads:
        built = list(threads.map(message, range(200)))
    for number, one in enumerate(built):
        (image,) = one.attachments
        assert image.get_payload(decode=True) == PNG + str(number).encode()  # type: ignore[union-attr]


def test_images_of_earlier_renders_stay_out_of_a_message(tmp_path: Path) -> None:
    template = get_template("inline.html", using="post_office")
    html = []
    for number in range(2):
        path = tmp_path / f"{number}.png"
        path.write_bytes(PNG + bytes([number]))
        html.append(template.render({"image": str(path)}))
    message = EmailMultiAlternatives("s", "b", "me@example.com", ["ann@example.com"])
    message.attach_alternative(html[0], "text/html")
    template.attach_related(message)
    (image,) = message.attachments
    assert image.get_payload(decode=True) == PNG + b"\0"  # type: ignore[union-attr]


@pytest.mark.usefixtures("welcome")
def test_freezing_keeps_the_images(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "TEMPLATE_ENGINE": "post_office"}
    template = EmailTemplate.objects.create(name="logo", html_content=INLINE)
    send(template="logo", context={"image": "admin/img/icon-yes.svg"}, render_on_delivery=True)
    template.delete()
    assert Attachment.objects.count() == 1
    mail.send_queued()
    assert len(related_parts(django_mail.outbox[0].message())) == 1
