"""The pages of versions: who saved what, what has changed, and the way back."""

from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from post_office.models import EmailTemplate, TemplateVersion
from post_office.rendering import versions
from tests.integration.staff import page, staff, told

pytestmark = pytest.mark.django_db

TEMPLATES = "/admin/post_office/emailtemplate/"
DELETED = f"{TEMPLATES}versions/"


@pytest.fixture
def template() -> EmailTemplate:
    with versions.saved_by("ann"):
        made = EmailTemplate.objects.create(name="welcome", subject="Hi", content="one\ntwo")
        made.translated_templates.create(language="de", subject="Hallo", content="eins")
    made.content = "one\n<b>three</b>"
    with versions.saved_by("bob"):
        made.save()
    return made


def first(template: EmailTemplate) -> TemplateVersion:
    return TemplateVersion.objects.filter(name=template.name, language=template.language).earliest("pk")


def at(version: TemplateVersion, verb: str = "") -> str:
    return f"{TEMPLATES}versions/{version.pk}/{verb}"


# --- who may ----------------------------------------------------------------------------------


def test_versions_are_for_those_who_may_see_templates(template: EmailTemplate) -> None:
    reader, stranger = staff("view_emailtemplate"), staff("view_email", "change_email")
    for url in (f"{TEMPLATES}{template.pk}/versions/", at(first(template)), DELETED):
        assert page(reader, url)
        assert stranger.get(url).status_code == 403
        assert "/login/" in Client().get(url).headers["Location"]
    assert reader.get(f"{TEMPLATES}777/versions/").status_code == 404
    assert reader.get(f"{TEMPLATES}versions/777/").status_code == 404
    assert stranger.get(f"{TEMPLATES}versions/777/").status_code == 403


def test_restoring_takes_the_permission_to_change_templates(template: EmailTemplate) -> None:
    reader = staff("view_emailtemplate", "add_emailtemplate", "delete_emailtemplate")
    url = at(first(template), "restore/")
    assert url not in page(reader, at(first(template)))
    for send in (reader.get, reader.post):
        assert send(url).status_code == 403
    template.refresh_from_db()
    assert template.content == "one\n<b>three</b>"


def test_restoring_a_deleted_template_takes_the_permission_to_add_one(template: EmailTemplate) -> None:
    version = first(template)
    template.delete()
    changer = staff("view_emailtemplate", "change_emailtemplate")
    assert changer.post(at(version, "restore/")).status_code == 403
    assert not EmailTemplate.objects.exists()


def test_restoring_asks_for_a_csrf_token(template: EmailTemplate, admin_user: User) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin_user)
    assert careful.post(at(first(template), "restore/")).status_code == 403


# --- what they show ---------------------------------------------------------------------------


def test_the_versions_of_a_template_and_its_translations_are_listed(template: EmailTemplate) -> None:
    EmailTemplate.objects.create(name="other", content="x")
    response = staff("view_emailtemplate").get(f"{TEMPLATES}{template.pk}/versions/")
    rows = [(row["saved_by"], row["language"]) for row in response.context["rows"]]
    assert rows == [("bob", "Default text"), ("ann", "de"), ("ann", "Default text")]


def test_a_list_of_many_versions_has_pages_and_asks_the_database_equally_often(
    template: EmailTemplate, django_assert_num_queries: Any
) -> None:
    reader, url = staff("view_emailtemplate"), f"{TEMPLATES}{template.pk}/versions/"
    page(reader, url)
    with CaptureQueriesContext(connection) as few:
        page(reader, url)
    for number in range(60):
        template.subject = f"Hi {number}"
        template.save()
    with django_assert_num_queries(len(few)):
        assert "?p=2" in page(reader, url)
    assert len(reader.get(url, {"p": 2}).context["rows"]) == 13


def test_a_version_shows_what_has_changed_since_and_what_it_changed(template: EmailTemplate) -> None:
    reader = staff("view_emailtemplate")
    response = reader.get(at(first(template)))
    (difference,) = response.context["since"]
    assert difference["lines"][1:] == [
        ("same", " one"),
        ("removed", "-two"),
        ("added", "+<b>three</b>"),
    ]
    text = response.content.decode()
    assert '<span class="post-office-added">+&lt;b&gt;three&lt;/b&gt;</span>' in text
    assert "What this version changed" not in text
    last = TemplateVersion.objects.latest("pk")
    response = reader.get(at(last))
    assert response.context["since"] == []
    assert response.context["change"][0]["lines"] == difference["lines"]
    assert "the template says the same now" in response.content.decode()


# --- back -------------------------------------------------------------------------------------


def test_a_version_is_restored_by_post_after_a_question(template: EmailTemplate) -> None:
    changer = staff("view_emailtemplate", "change_emailtemplate")
    url = at(first(template), "restore/")
    assert url in page(changer, at(first(template)))
    assert "Shall welcome say again what it said" in page(changer, url)
    template.refresh_from_db()
    assert template.content == "one\n<b>three</b>"
    response = changer.post(url, follow=True)
    assert "is restored" in told(response)
    template.refresh_from_db()
    assert template.content == "one\ntwo"
    last = TemplateVersion.objects.latest("pk")
    assert (last.content, last.saved_by) == ("one\ntwo", "view_emailtemplate-change_emailtemplate")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag) == (str(template.pk), CHANGE)


def test_a_deleted_template_and_its_translations_are_restored(
    template: EmailTemplate, admin_client: Client
) -> None:
    EmailTemplate.objects.create(name="there", content="x")
    template.delete()
    response = admin_client.get(DELETED)
    rows = [(row["name"], row["language"]) for row in response.context["rows"]]
    assert sorted(rows) == [("welcome", "Default text"), ("welcome", "de")]
    last = {
        language: TemplateVersion.objects.filter(name="welcome", language=language).latest("pk")
        for language in ("", "de")
    }
    response = admin_client.post(at(last["de"], "restore/"), follow=True)
    assert "Restore that one first." in told(response)
    assert "The template is deleted." in page(admin_client, at(last["de"]))
    for version in last.values():
        admin_client.post(at(version, "restore/"))
    restored = EmailTemplate.objects.get(name="welcome", default_template=None)
    assert restored.content == "one\n<b>three</b>"
    assert restored.translated_templates.get().subject == "Hallo"
    assert admin_client.get(DELETED).context["rows"] == []
    # Versions of former times are those of the new one.
    rows = admin_client.get(f"{TEMPLATES}{restored.pk}/versions/").context["rows"]
    assert len(rows) > 4
    assert DELETED in page(admin_client, TEMPLATES)
