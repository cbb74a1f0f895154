"""The page on which templates are written: preview, mistakes, variables, tests, and what it keeps."""

import json
from smtplib import SMTPDataError
from typing import Any

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.core import mail as outgoing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path, resolve

from post_office import mail
from post_office.admin import usage
from post_office.models import STATUS, Email, EmailTemplate
from tests.backends import FaultyBackend
from tests.integration.staff import page, staff

pytestmark = pytest.mark.django_db

TEMPLATES = "/admin/post_office/emailtemplate/"
CHECK, PREVIEW, TRIAL = (f"{TEMPLATES}unsaved/{verb}/" for verb in ("check", "preview", "trial"))
JSON = {"accept": "application/json"}
FORMS = {"translated_templates-TOTAL_FORMS": "0", "translated_templates-INITIAL_FORMS": "0"}
TEXTS = {"name": "welcome", "subject": "Hi {{ name }}", "content": "Dear {{ name }}", "html_content": ""}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)><form action=//evil.example></form>"


@pytest.fixture
def writer() -> Client:
    client = staff("change_emailtemplate", "view_emailtemplate", "add_email")
    User.objects.update(email="ann@example.com")
    return client


@pytest.fixture
def template() -> EmailTemplate:
    made = EmailTemplate.objects.create(name="welcome", subject="Hi {{ name }}", content="Dear {{ name }}")
    made.translated_templates.create(language="de", subject="Hallo {{ name }}", content="Liebe {{ name }}")
    return made


def change(template: EmailTemplate) -> str:
    return f"{TEMPLATES}{template.pk}/change/"


def checked(client: Client, **data: Any) -> dict[str, Any]:
    response = client.post(CHECK, {**TEXTS, **data})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def tried(client: Client, **data: Any) -> dict[str, Any]:
    response = client.post(TRIAL, {**TEXTS, **data}, headers=JSON)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


# --- who may ----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [CHECK, PREVIEW, TRIAL])
def test_unsaved_texts_are_for_those_who_may_write_templates(url: str) -> None:
    reader = staff("view_emailtemplate", "view_email", "add_email")
    assert reader.get(url).status_code == 403
    assert reader.post(url, TEXTS).status_code == 403
    assert "/login/" in Client().post(url, TEXTS).headers["Location"]
    for permission in ("add_emailtemplate", "change_emailtemplate"):
        writer = staff(permission, "add_email")
        assert writer.get(url).status_code == 405
        assert writer.post(url, TEXTS).status_code == 200


def test_a_test_takes_the_permission_to_add_mail_too(template: EmailTemplate) -> None:
    writer = staff("change_emailtemplate", "view_emailtemplate")
    assert writer.post(TRIAL, TEXTS).status_code == 403
    assert TRIAL not in page(writer, change(template))
    assert not Email.objects.exists()


@pytest.mark.parametrize("url", [CHECK, PREVIEW, TRIAL])
def test_a_csrf_token_is_asked_for(url: str, admin_user: User) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin_user)
    assert careful.post(url, TEXTS).status_code == 403


def test_a_viewer_gets_the_texts_and_no_editor(template: EmailTemplate) -> None:
    text = page(staff("view_emailtemplate"), change(template))
    assert "Dear {{ name }}" in text
    assert "unsaved/" not in text
    assert "editor.js" not in text


# --- the page ---------------------------------------------------------------------------------


def test_the_page_knows_its_languages_and_those_that_are_missing(
    writer: Client, template: EmailTemplate
) -> None:
    response = writer.get(change(template))
    given = json.loads(response.context["editor_json"])
    assert [(each["code"], each["missing"]) for each in given["languages"]] == [
        ("en", False),
        ("de", False),
        ("id", True),
    ]
    assert (given["check"], given["preview"], given["trial"]) == (CHECK, PREVIEW, TRIAL)
    # Without a script, each text has its own buttons.
    text = response.content.decode()
    assert 'name="_part" value="translated_templates-0" formaction="' + PREVIEW in text
    assert 'aria-label="Preview: German"' in text
    assert "A test goes to ann@example.com at once" in text
    # The Enter key presses the first button of a form.
    assert text.index('name="_save"') < text.index("formaction=")


def test_the_page_to_add_a_template_has_the_editor_too() -> None:
    assert CHECK in page(staff("add_emailtemplate"), f"{TEMPLATES}add/")


def test_more_mail_and_more_versions_ask_the_database_no_more_often(
    writer: Client, template: EmailTemplate, django_assert_num_queries: Any
) -> None:
    page(writer, change(template))
    with CaptureQueriesContext(connection) as few:
        page(writer, change(template))
    for number in range(5):
        template.subject = f"Hi {number}"
        template.save()
        mail.send("ann@example.com", "me@example.com", template=template)
    with django_assert_num_queries(len(few)):
        page(writer, change(template))


plain = AdminSite()
plain.register(EmailTemplate, ModelAdmin)
urlpatterns = [path("admin/", plain.urls)]


@pytest.mark.urls(__name__)
def test_an_admin_of_the_projects_own_gets_the_page_without_the_editor(
    admin_client: Client, template: EmailTemplate
) -> None:
    assert "welcome" in page(admin_client, TEMPLATES)
    text = page(admin_client, change(template))
    assert "Dear {{ name }}" in text
    assert "editor.js" not in text


# --- the preview ------------------------------------------------------------------------------


def test_unsaved_texts_are_seen_and_not_saved(writer: Client, template: EmailTemplate) -> None:
    answer = checked(writer, subject="Hi\n{{ name }}!", sample_context='{"name": "Ann & Co"}')
    assert (answer["subject"], answer["text"]) == ("Hi Ann & Co!", "Dear Ann & Co")
    assert answer["problems"] == []
    template.refresh_from_db()
    assert template.subject == "Hi {{ name }}"


def test_a_translation_is_seen_in_its_language_with_the_context_of_the_default(writer: Client) -> None:
    prefix = "translated_templates-0"
    german = {f"{prefix}-language": "de", f"{prefix}-content": "{% load i18n %}{% trans 'Monday' %}, {{ a }}"}
    answer = checked(writer, _part=prefix, sample_context='{"a": 1}', **german)
    assert answer["text"] == "Montag, 1"
    own = {f"{prefix}-sample_context": '{"a": 2}'}
    assert checked(writer, _part=prefix, sample_context='{"a": 1}', **german, **own)["text"] == "Montag, 2"


def test_a_saved_translation_is_known_by_its_row_as_its_language_is_not_posted(
    writer: Client, template: EmailTemplate
) -> None:
    german = template.translated_templates.get()
    prefix = "translated_templates-0"
    texts = {f"{prefix}-id": german.pk, f"{prefix}-content": "{% load i18n %}{% trans 'Monday' %}"}
    assert checked(writer, _part=prefix, **texts)["text"] == "Montag"
    texts[f"{prefix}-id"] = template.pk  # is no translation
    assert checked(writer, _part=prefix, **texts)["text"] == "Monday"
    for nonsense in ("x", "9" * 40, "²"):
        assert checked(writer, _part=prefix, **{**texts, f"{prefix}-id": nonsense})["text"] == "Monday"


def test_the_html_is_a_document_in_a_sandbox(writer: Client) -> None:
    response = writer.post(PREVIEW, {**TEXTS, "html_content": HOSTILE})
    assert response.content.decode() == HOSTILE
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'; img-src data:;")
    assert "form-action 'none'" in policy
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_hostile_values_do_not_leave_the_sandbox(writer: Client, template: EmailTemplate) -> None:
    hostile = json.dumps({"name": HOSTILE})
    shown = writer.post(PREVIEW, {**TEXTS, "sample_context": hostile}).content.decode()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    EmailTemplate.objects.update(
        subject=HOSTILE, content=HOSTILE, sample_context=hostile, description=HOSTILE
    )
    assert "<script>alert" not in page(writer, change(template))
    answer = writer.post(CHECK, {**TEXTS, "sample_context": hostile})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_text_with_a_mistake_does_not_hide_the_html(writer: Client) -> None:
    data = {**TEXTS, "content": "{% nope %}", "html_content": "<p>fine</p>"}
    assert writer.post(PREVIEW, data).content.decode() == "<p>fine</p>"
    data["html_content"] = ""
    assert "Content: Line 1, column 1: " in writer.post(PREVIEW, data).content.decode()


# --- mistakes ---------------------------------------------------------------------------------


def test_a_mistake_is_told_with_its_place_and_its_field(writer: Client) -> None:
    (problem,) = checked(writer, content="Dear\r\n  {{ name|nope }}")["problems"]
    assert (problem["control"], problem["line"], problem["column"]) == ("id_content", 2, 3)
    assert problem["said"].startswith("Content: Line 2, column 3: Invalid filter: 'nope'")
    prefix = "translated_templates-0"
    (problem,) = checked(writer, _part=prefix, **{f"{prefix}-html_content": "{% if a %}"})["problems"]
    assert problem["control"] == "id_translated_templates-0-html_content"


def test_a_mistake_in_the_sample_context_is_told_where_it_is_written(writer: Client) -> None:
    prefix = "translated_templates-0"
    for part in ("", prefix):
        (problem,) = checked(writer, _part=part, sample_context='{"a": 1,\n b}')["problems"]
        assert (problem["control"], problem["line"], problem["column"]) == ("id_sample_context", 2, 2)
    own = {"_part": prefix, f"{prefix}-sample_context": "[1]"}
    (problem,) = checked(writer, **own)["problems"]
    assert (problem["control"], problem["line"]) == (f"id_{prefix}-sample_context", None)


def test_a_mistake_in_another_template_names_that(writer: Client) -> None:
    layout = EmailTemplate.objects.create(name="layout", content="a\n{{ x|nope }}")
    (problem,) = checked(writer, content='Dear\n{% include "layout" %}')["problems"]
    assert (problem["line"], problem["column"]) == (2, 1)
    assert "layout (content)" in problem["said"]
    layout.content = "a\n{% url 'nope' %}"
    layout.save()
    (problem,) = checked(writer, content='Dear\n{% include "layout" %}')["problems"]
    assert problem["said"].startswith("Content: In layout (content), line 2, column 1: NoReverseMatch")
    assert problem["line"] is None  # of the text that is open


def test_saving_tells_the_place_once_and_keeps_what_was_typed(
    writer: Client, template: EmailTemplate
) -> None:
    data = {**FORMS, **TEXTS, "content": "\r\n\r\nDear\r\n  {{ name|nope }}"}
    response = writer.post(change(template), data)
    errors = response.context["adminform"].form.errors["content"]
    assert errors == ["Line 4, column 3: Invalid filter: 'nope'"]
    assert "{{ name|nope }}" in response.content.decode()


def test_a_mistake_in_a_translation_is_told_there(writer: Client, template: EmailTemplate) -> None:
    prefix = "translated_templates"
    german = template.translated_templates.get()
    rows = {f"{prefix}-TOTAL_FORMS": "1", f"{prefix}-INITIAL_FORMS": "1", f"{prefix}-0-id": german.pk}
    data = {**TEXTS, **rows, f"{prefix}-0-default_template": template.pk, f"{prefix}-0-content": "{{ a b }}"}
    text = writer.post(change(template), data).content.decode()
    assert "Line 1, column 1: Could not parse the remainder" in text


# --- variables and the sample context ---------------------------------------------------------


def test_variables_are_told_and_what_is_missing_can_be_filled_in(writer: Client) -> None:
    answer = checked(
        writer, content="{{ order.id }} {{ order.total }}", sample_context='{"order": {"id": 7}}'
    )
    assert answer["variables"] == [
        {"name": "name", "missing": True},
        {"name": "order.id", "missing": False},
        {"name": "order.total", "missing": True},
    ]
    assert answer["context"] == "id_sample_context"
    assert json.loads(answer["filled"]) == {"order": {"id": 7, "total": "total"}, "name": "name"}


def test_there_is_nothing_to_fill_in_where_nothing_is_missing_or_the_context_cannot_be_read(
    writer: Client,
) -> None:
    assert checked(writer, sample_context='{"name": "Ann"}')["filled"] is None
    assert checked(writer, sample_context="{")["filled"] is None


def test_the_sample_context_is_saved_and_stays_where_a_form_has_no_such_field(
    writer: Client, template: EmailTemplate
) -> None:
    writer.post(change(template), {**FORMS, **TEXTS, "sample_context": '{"name": "Ann"}'})
    template.refresh_from_db()
    assert template.sample_context == '{"name": "Ann"}'
    writer.post(change(template), {**FORMS, **TEXTS, "subject": "Changed"})
    template.refresh_from_db()
    assert (template.subject, template.sample_context) == ("Changed", '{"name": "Ann"}')
    response = writer.post(change(template), {**FORMS, **TEXTS, "sample_context": "[]"})
    assert response.context["adminform"].form.errors.keys() == {"sample_context"}
    writer.post(change(template), {**FORMS, **TEXTS, "sample_context": ""})
    template.refresh_from_db()
    assert not template.sample_context


# --- a test -----------------------------------------------------------------------------------


def test_a_test_of_unsaved_texts_goes_to_oneself_at_once(writer: Client, template: EmailTemplate) -> None:
    answer = tried(writer, subject="New {{ name }}", sample_context='{"name": "Ann"}')
    assert answer == {"said": "The email has been sent to ann@example.com.", "sent": True}
    (sent,) = outgoing.outbox
    assert (sent.subject, sent.body, sent.to) == ("New Ann", "Dear Ann", ["ann@example.com"])
    email = Email.objects.get()
    assert (email.status, email.template, email.template_name) == (STATUS.sent, None, "welcome")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag) == (str(email.pk), ADDITION)
    assert "Test of the template welcome." in entry.change_message
    template.refresh_from_db()
    assert template.subject == "Hi {{ name }}"


def test_a_test_in_a_language_is_rendered_in_it(writer: Client) -> None:
    prefix = "translated_templates-3"
    tried(
        writer,
        _part=prefix,
        **{f"{prefix}-language": "de", f"{prefix}-content": "{% load i18n %}{% trans 'Monday' %}"},
    )
    (sent,) = outgoing.outbox
    assert sent.body == "Montag"


def test_without_an_address_of_ones_own_nothing_is_sent(writer: Client, template: EmailTemplate) -> None:
    User.objects.update(email="")
    said = "There is no email address in your account to which a test could be sent."
    assert tried(writer) == {"said": said, "sent": False}
    assert said in page(writer, change(template))
    assert not Email.objects.exists()


def test_a_template_with_a_mistake_is_not_sent(writer: Client) -> None:
    answer = tried(writer, content="{% nope %}")
    assert not answer["sent"]
    assert answer["said"].startswith("Line 1, column 1: ")
    assert not Email.objects.exists()


def test_without_a_script_the_frame_says_what_came_of_a_test(writer: Client) -> None:
    response = writer.post(TRIAL, TEXTS, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert "The email has been sent to ann@example.com." in response.content.decode()
    assert response.headers["Content-Security-Policy"].startswith("sandbox;")


def test_a_test_that_a_server_refuses_says_so(
    writer: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.POST_OFFICE = {"BACKENDS": {"default": "tests.backends.FaultyBackend"}}
    monkeypatch.setitem(FaultyBackend.faults, "ann@example.com", SMTPDataError(554, b"no thanks"))
    answer = tried(writer)
    assert not answer["sent"]
    assert "no thanks" in answer["said"]
    assert "no thanks" in LogEntry.objects.get().change_message


def test_a_test_is_sent_in_no_transaction_of_the_request() -> None:
    assert "default" in resolve(TRIAL).func._non_atomic_requests  # type: ignore[attr-defined]


# --- which mails ------------------------------------------------------------------------------


def test_a_template_leads_to_its_mails_and_counts_them_no_further_than_it_must(
    template: EmailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = staff("view_emailtemplate", "view_email")
    for language in ("", "de"):
        mail.send("ann@example.com", "me@example.com", template="welcome", language=language)
    text = page(reader, change(template))
    assert "Emails (2)" in text
    assert "/admin/post_office/email/?template__name=welcome" in text
    monkeypatch.setattr(usage, "MOST_COUNTED", 1)
    with CaptureQueriesContext(connection) as queries:
        assert "Emails (1+)" in page(reader, change(template))
    (counting,) = [
        query["sql"]
        for query in queries
        if "COUNT" in query["sql"] and "_email`" in query["sql"].replace('"', "`")
    ]
    assert "LIMIT 2" in counting
    assert "?template__name=" not in page(staff("view_emailtemplate"), change(template))
