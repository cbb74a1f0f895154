"""What is done to texts after rendering: CSS inlined, text made of HTML; with the packages, and without."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from post_office import mail
from post_office.models import Email, EmailTemplate
from post_office.rendering import drafts, finish
from post_office.template_checks import check_rendering

pytestmark = pytest.mark.django_db

STYLED = (
    "<html><head><link rel='stylesheet' href='http://127.0.0.1:1/a.css'>"
    "<style>p { color: red } @media (max-width: 600px) { p { color: blue } }</style></head>"
    "<body><p class='a'>Dear {{ name }}, <b>see</b> "
    "<a href='https://example.com/?a=1&amp;b=2'>the page</a>.</p>"
    "<img src='cid:abc'></body></html>"
)


def shout(html: str) -> str:
    return html.upper()


@pytest.fixture(autouse=True)
def forget_what_was_missed() -> Iterator[None]:
    finish._miss.cache_clear()
    yield
    finish._miss.cache_clear()


def post_office(settings: Any, **changes: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, **changes}


def send(**arguments: Any) -> Email:
    texts = {"html_message": STYLED, "context": {"name": "Ann & Co"}}
    return mail.send("ann@example.com", "me@example.com", **{**texts, **arguments})


def test_by_default_texts_stay_as_they_were_rendered() -> None:
    sent = send()
    assert (sent.message, sent.html_message) == ("", STYLED.replace("{{ name }}", "Ann &amp; Co"))


def test_css_is_inlined_where_that_is_asked_for(settings: Any) -> None:
    pytest.importorskip("css_inline")
    post_office(settings, INLINE_CSS=True)
    html = send().html_message
    assert '<p class="a" style="color: red;">Dear Ann &amp; Co' in html
    assert "@media (max-width: 600px)" in html
    assert '<img src="cid:abc">' in html
    assert send(html_message="<p>a</p>").html_message == "<p>a</p>"


@pytest.mark.parametrize("render_on_delivery", [False, True])
def test_a_text_is_made_of_html_where_there_is_none(settings: Any, render_on_delivery: bool) -> None:
    pytest.importorskip("html2text")
    post_office(settings, TEXT_FROM_HTML=True, INLINE_CSS=True)
    EmailTemplate.objects.create(name="styled", html_content=STYLED, content="\n")
    email = send(template="styled", html_message="", render_on_delivery=render_on_delivery)
    built = Email.objects.get(pk=email.pk).email_message()
    assert built.body == "Dear Ann & Co, see [the page](https://example.com/?a=1&b=2)."
    assert 'style="color: red;"' in built.alternatives[0][0]  # type: ignore[attr-defined]
    assert send(message="my own").message == "my own"


def test_a_text_is_made_by_a_function_of_the_project(settings: Any) -> None:
    post_office(settings, TEXT_FROM_HTML=f"{__name__}.shout")
    assert send(html_message="<p>a</p>").message == "<P>A</P>"
    assert check_rendering() == []
    post_office(settings, TEXT_FROM_HTML="nowhere.convert")
    (error,) = check_rendering()
    assert (error.id, "'nowhere.convert' cannot be imported" in error.msg) == ("post_office.E031", True)


def test_a_preview_shows_it_too(settings: Any) -> None:
    pytest.importorskip("html2text")
    post_office(settings, TEXT_FROM_HTML=True)
    draft = EmailTemplate(name="t", html_content="<p>Hi {{ name }}</p>")
    assert drafts.render_draft(draft, context={"name": "Ann"}).rendered.message == "Hi Ann"


def test_what_django_sends_stays_as_it_is(settings: Any) -> None:
    from django.core.mail import EmailMultiAlternatives

    post_office(settings, TEXT_FROM_HTML=True, INLINE_CSS=True)
    message = EmailMultiAlternatives("s", "", "me@example.com", ["ann@example.com"])
    message.attach_alternative(STYLED, "text/html")
    message.send()
    email = Email.objects.get()
    assert (email.message, email.html_message) == ("", STYLED)


@pytest.mark.parametrize(
    ("setting", "package", "extra"),
    [("INLINE_CSS", "css_inline", "css"), ("TEXT_FROM_HTML", "html2text", "text")],
)
def test_without_the_package_mail_goes_out_as_it_is_and_that_is_said(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    package: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert check_rendering() == []
    post_office(settings, **{setting: True})
    (error,) = check_rendering()
    assert (error.id, error.hint) == ("post_office.E030", f"pip install 'django-post_office[{extra}]'")
    for _ in range(2):
        sent = send()
        assert (sent.message, sent.html_message) == ("", STYLED.replace("{{ name }}", "Ann &amp; Co"))
    assert [setting in record.getMessage() for record in caplog.records] == [True]


# --- engines of other languages -------------------------------------------------------------------


def test_jinja2_escapes_html_and_nothing_else(settings: Any) -> None:
    pytest.importorskip("jinja2")
    settings.TEMPLATES = [*settings.TEMPLATES, {"BACKEND": "django.template.backends.jinja2.Jinja2"}]
    post_office(settings, TEMPLATE_ENGINE="jinja2")
    EmailTemplate.objects.create(
        name="t", subject="{{ name }}", content="{{ name|lower }}", html_content="<p>{{ name }}</p>"
    )
    sent = send(template="t", html_message="", render_on_delivery=True)
    built = Email.objects.get(pk=sent.pk).email_message()
    assert (built.subject, built.body) == ("Ann & Co", "ann & co")
    assert built.alternatives[0][0] == "<p>Ann &amp; Co</p>"  # type: ignore[attr-defined]
