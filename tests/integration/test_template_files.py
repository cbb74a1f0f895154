"""Templates made of files, and layouts: from files, from the database, from both."""

from datetime import date
from typing import Any

import pytest
from django.core import mail as django_mail
from django.template import TemplateDoesNotExist

from post_office import mail
from post_office.exceptions import EndlessTemplate, InvalidTemplate, TemplateGone
from post_office.models import Email, EmailTemplate
from post_office.rendering import template_files
from tests.integration.files import Folder

pytestmark = pytest.mark.django_db


def send(template: Any, **arguments: Any) -> Email:
    return mail.send(
        "ann@example.com", "me@example.com", template=template, **{"context": {"name": "A & B"}, **arguments}
    )


@pytest.fixture
def shipped(folder: Folder) -> None:
    folder.write("post_office/orders/shipped/subject.txt", "Shipped,\n{{ name }}\n")
    folder.write("post_office/orders/shipped/body.txt", "Dear {{ name }}\n")
    folder.write("post_office/orders/shipped/body.html", "<p>Dear {{ name }}</p>")
    folder.write("post_office/orders/shipped/subject.de.txt", "Versandt, {{ name }}")
    folder.write("post_office/orders/shipped/body.de.txt", "Hallo {{ name }}")


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("render_on_delivery", [False, True])
def test_a_template_is_made_of_files(render_on_delivery: bool) -> None:
    sent = send("orders/shipped", render_on_delivery=render_on_delivery)
    assert (sent.template, sent.template_name, sent.language) == (None, "orders/shipped", None)
    assert mail.send_queued() == (1, 0, 0)
    (message,) = django_mail.outbox
    assert (message.subject, message.body) == ("Shipped, A & B", "Dear A & B\n")
    assert message.alternatives[0][0] == "<p>Dear A &amp; B</p>"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("render_on_delivery", [False, True])
def test_each_text_has_the_language_of_the_mail_or_is_for_all(render_on_delivery: bool) -> None:
    sent = send("orders/shipped", language="de", render_on_delivery=render_on_delivery)
    assert sent.language == "de"
    assert mail.send_queued() == (1, 0, 0)
    (message,) = django_mail.outbox
    assert (message.subject, message.body) == ("Versandt, A & B", "Hallo A & B")
    assert message.alternatives[0][0] == "<p>Dear A &amp; B</p>"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("shipped")
def test_a_template_of_the_database_comes_before_one_of_files() -> None:
    assert send("orders/shipped").subject == "Shipped, A & B"
    template = EmailTemplate.objects.create(name="orders/shipped", subject="By staff")
    assert send("orders/shipped").subject == "By staff"
    template.delete()
    assert send("orders/shipped").subject == "Shipped, A & B"


@pytest.mark.usefixtures("shipped")
def test_a_language_without_files_is_refused_where_others_have_them(settings: Any) -> None:
    with pytest.raises(
        EmailTemplate.DoesNotExist, match=r"no file post_office/orders/shipped/subject\.id\.txt"
    ):
        send("orders/shipped", language="id")
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LANGUAGE_FALLBACK": True}
    assert send("orders/shipped", language="id").subject == "Shipped, A & B"


def test_files_for_all_languages_may_translate_what_they_say(folder: Folder) -> None:
    folder.write("post_office/hello/body.txt", "{% load i18n %}{% translate 'Yes' %}")
    assert send("hello").message == "Yes"
    assert send("hello", language="de").message == "Ja"


@pytest.mark.parametrize("name", ["../secret", "a/../secret", "/secret", "", "a//b", "a\\b", "secret#block"])
def test_a_name_is_no_way_out_of_the_folder(folder: Folder, name: str) -> None:
    folder.write("secret/body.txt", "secret")
    folder.write("post_office/secret/body.txt", "{% partialdef block %}{% endpartialdef %}")
    assert template_files.read(name) is None
    with pytest.raises(EmailTemplate.DoesNotExist):
        send(name)


def test_a_file_that_does_not_compile_is_named(folder: Folder) -> None:
    folder.write("post_office/broken/body.txt", "{% nope %}")
    with pytest.raises(InvalidTemplate, match=r"'post_office/broken/body\.txt' is not a valid .*nope"):
        send("broken")


@pytest.mark.usefixtures("shipped")
def test_mail_whose_files_are_gone_says_so(settings: Any) -> None:
    sent = send("orders/shipped", render_on_delivery=True)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    with pytest.raises(TemplateGone, match="orders/shipped"):
        Email.objects.get(pk=sent.pk).email_message()


@pytest.mark.usefixtures("shipped")
def test_that_files_serve_is_known_without_asking_the_database_again(django_assert_num_queries: Any) -> None:
    send("orders/shipped", language="de", commit=False)
    with django_assert_num_queries(0):
        send("orders/shipped", language="de", commit=False)


@pytest.mark.usefixtures("shipped")
def test_templates_on_disk_are_listed_with_their_languages(folder: Folder) -> None:
    folder.write("post_office/orders/shipped/notes.txt", "no text of a mail")
    folder.write("post_office/layout.html", "no template of mail")
    assert template_files.on_disk().keys() == {"orders/shipped"}
    assert template_files.languages_of("orders/shipped") == {"", "de"}
    assert set(template_files.on_disk()["orders/shipped"]["de"]) == {"subject", "content"}


# --- layouts ------------------------------------------------------------------------------------


def test_a_template_extends_a_file_and_includes_templates_of_both_kinds(folder: Folder) -> None:
    folder.write("mails/layout.html", "<b>{% block body %}{% endblock %}</b>{% include 'footer' %}")
    folder.write("post_office/signs/logo/body.html", "[logo]")
    signed = "<i>{{ name }} {% include 'signs/logo' %}</i>"
    footer = EmailTemplate.objects.create(name="footer", html_content=signed)
    footer.translated_templates.create(language="de", html_content="<i>Gruß</i>")
    EmailTemplate.objects.create(
        name="offer", html_content="{% extends 'mails/layout.html' %}{% block body %}{{ name }}{% endblock %}"
    ).translated_templates.create(
        language="de", html_content="{% extends 'mails/layout.html' %}{% block body %}Hallo{% endblock %}"
    )
    assert send("offer").html_message == "<b>A &amp; B</b><i>A &amp; B [logo]</i>"
    assert send("offer", language="de").html_message == "<b>Hallo</b><i>Gruß</i>"


def test_a_template_extends_another_by_its_text_of_the_same_kind() -> None:
    EmailTemplate.objects.create(
        name="layout",
        content="== {% block body %}{% endblock %} ==",
        html_content="<b>{% block body %}{% endblock %}</b>",
    )
    child = "{% extends 'layout' %}{% block body %}{{ name }}{% endblock %}"
    EmailTemplate.objects.create(name="child", content=child, html_content=child)
    for _ in range(2):
        sent = send("child")
        assert (sent.message, sent.html_message) == ("== A & B ==", "<b>A &amp; B</b>")


def test_a_layout_without_a_translation_will_do() -> None:
    EmailTemplate.objects.create(name="layout", content="[{% block body %}{% endblock %}]")
    base = EmailTemplate.objects.create(name="t")
    base.translated_templates.create(
        language="de", content="{% extends 'layout' %}{% block body %}Hallo{% endblock %}"
    )
    assert send("t", language="de").message == "[Hallo]"


def test_a_changed_layout_is_used_at_once() -> None:
    layout = EmailTemplate.objects.create(name="layout", content="one")
    EmailTemplate.objects.create(name="t", content="{% include 'layout' %}")
    assert send("t").message == "one"
    layout.content = "two"
    layout.save()
    assert send("t").message == "two"


def test_a_template_may_extend_the_files_of_its_own_name(folder: Folder) -> None:
    folder.write("post_office/hello/body.txt", "Hello{% block more %}{% endblock %}")
    EmailTemplate.objects.create(
        name="hello", content="{% extends 'post_office/hello/body.txt' %}{% block more %}!{% endblock %}"
    )
    assert send("hello").message == "Hello!"


@pytest.mark.parametrize("tag", ["extends", "include"])
@pytest.mark.parametrize("render_on_delivery", [False, True])
def test_templates_that_go_round_are_named(tag: str, render_on_delivery: bool) -> None:
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        EmailTemplate.objects.create(name=one, html_content=f"{{% {tag} '{other}' %}}")
    with pytest.raises(EndlessTemplate, match=r"html_message: .* without end, among .*'b', 'c'"):
        send("a", render_on_delivery=render_on_delivery).email_message()


def test_a_template_may_include_itself_as_long_as_that_ends() -> None:
    EmailTemplate.objects.create(
        name="tree", content="{{ node.0 }}{% for node in node.1 %}({% include 'tree' %}){% endfor %}"
    )
    assert send("tree", context={"node": ["a", [["b", []], ["c", [["d", []]]]]]}).message == "a(b)(c(d))"


def test_a_mistake_in_an_included_template_names_it() -> None:
    EmailTemplate.objects.create(name="footer", content="{% nope %}")
    EmailTemplate.objects.create(name="t", content="{% include 'footer' %}")
    with pytest.raises(InvalidTemplate, match=r"^footer \(content\): .*nope"):
        send("t")
    EmailTemplate.objects.create(name="u", content="{% include 'nothing' %}")
    with pytest.raises(TemplateDoesNotExist, match="nothing"):
        send("u")


def test_the_templates_of_mail_are_for_mail_alone() -> None:
    from django.template import Context, Template

    EmailTemplate.objects.create(name="footer", html_content="x")
    with pytest.raises(TemplateDoesNotExist):
        Template("{% include 'footer' %}").render(Context())


# --- languages and time zones ---------------------------------------------------------------------


@pytest.mark.parametrize("render_on_delivery", [False, True])
def test_a_mail_is_rendered_in_its_language_and_time_zone(render_on_delivery: bool) -> None:
    content = "{% now 'e' %} {{ day|date:'F' }}"
    EmailTemplate.objects.create(name="t").translated_templates.create(language="de", content=content)
    sent = send(
        "t",
        context={"day": date(2026, 7, 1)} if not render_on_delivery else {},
        language="de",
        time_zone="Asia/Tokyo",
        render_on_delivery=render_on_delivery,
    )
    assert (sent.language, sent.time_zone) == ("de", "Asia/Tokyo")
    said = Email.objects.get(pk=sent.pk).email_message().body
    assert said == ("JST " if render_on_delivery else "JST Juli")


@pytest.mark.parametrize("time_zone", ["Nowhere/Land", "../etc/passwd", 5])
def test_a_time_zone_that_there_is_not_is_refused(time_zone: Any) -> None:
    with pytest.raises(ValueError, match=r"time_zone: .* is not a time zone such as 'Europe/Berlin'\."):
        mail.send("ann@example.com", "me@example.com", time_zone=time_zone)


def test_the_default_text_is_rendered_in_the_language_that_was_asked_for(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LANGUAGE_FALLBACK": True}
    EmailTemplate.objects.create(name="t", content="{% load i18n %}{% translate 'Yes' %}")
    sent = send("t", language="de", render_on_delivery=True)
    assert send("t", language="de").message == "Ja"
    assert Email.objects.get(pk=sent.pk).email_message().body == "Ja"
