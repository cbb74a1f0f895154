"""Versions of templates: made by each save that changes a text, kept for good, restored."""

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from post_office.models import EmailTemplate, TemplateVersion
from post_office.rendering import versions

pytestmark = pytest.mark.django_db


def said(template: EmailTemplate | None = None) -> list[tuple[str, str]]:
    """Return the contents of all versions, oldest first, with who saved them."""
    kept = TemplateVersion.objects.order_by("id")
    return list(
        (kept if template is None else kept.filter(template=template)).values_list("content", "saved_by")
    )


def test_each_save_that_changes_a_text_makes_a_version() -> None:
    with versions.saved_by("ann"):
        template = EmailTemplate.objects.create(name="t", content="one")
    template.content = "two"
    template.save()
    template.description = "of no matter"
    template.save()
    with versions.saved_by("bob"):
        template.subject = "s"
        template.save(update_fields=["description"])  # not the subject
        template.content = "three"
        template.save(update_fields=["content"])
    assert said(template) == [("one", "ann"), ("two", ""), ("three", "bob")]


def test_a_text_that_came_past_save_is_kept_before_it_is_overwritten() -> None:
    template = EmailTemplate.objects.bulk_create([EmailTemplate(name="t", content="adopted")])[0]
    template = EmailTemplate.objects.get(name="t")
    template.content = "first edit"
    template.save()
    EmailTemplate.objects.update(content="by an update")
    template.content = "second edit"
    with versions.saved_by("ann"):
        template.save()
    assert said() == [("adopted", ""), ("first edit", ""), ("by an update", ""), ("second edit", "ann")]


def test_versions_stay_when_the_template_goes() -> None:
    template = EmailTemplate.objects.create(name="t", content="default")
    template.translated_templates.create(language="de", content="deutsch")
    EmailTemplate.objects.filter(language="de").update(content="by an update")
    template.delete()
    assert not EmailTemplate.objects.exists()
    kept = TemplateVersion.objects.order_by("id").values_list("name", "language", "content", "template")
    assert list(kept) == [
        ("t", "", "default", None),
        ("t", "de", "deutsch", None),
        ("t", "de", "by an update", None),
    ]


def test_a_save_that_is_rolled_back_leaves_no_version() -> None:
    with transaction.atomic():
        EmailTemplate.objects.create(name="t", content="one")
        transaction.set_rollback(True)
    assert said() == []


def test_differences_are_lines_of_the_texts() -> None:
    template = EmailTemplate.objects.create(name="t", subject="s", content="a\nb\nc")
    template.content = "a\nB\nc"
    template.save()
    new, old = template.versions.all()
    (difference,) = versions.differences(old, new)
    assert (difference.field, difference.lines) == ("content", ("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"))
    assert versions.differences(new, template) == []


def test_restoring_makes_a_new_version_under_the_name_of_now() -> None:
    template = EmailTemplate.objects.create(name="t", content="one")
    template.name, template.content = "renamed", "two"
    template.save()
    restored = versions.restore(TemplateVersion.objects.get(content="one"), author="ann")
    assert (restored.pk, restored.name, restored.content) == (template.pk, "renamed", "one")
    assert said(template) == [("one", ""), ("two", ""), ("one", "ann")]


def test_a_deleted_template_can_be_restored_with_its_translation() -> None:
    template = EmailTemplate.objects.create(name="t", content="default")
    template.translated_templates.create(language="de", content="deutsch")
    template.delete()
    default, german = TemplateVersion.objects.order_by("id")
    with pytest.raises(EmailTemplate.DoesNotExist):
        versions.restore(german)
    restored = versions.restore(default)
    translated = versions.restore(german)
    assert (translated.default_template, translated.language, translated.content) == (
        restored,
        "de",
        "deutsch",
    )


def test_the_admin_says_who_saved_a_template_and_its_translations(admin_client: Client) -> None:
    translation = {
        "translated_templates-TOTAL_FORMS": 1,
        "translated_templates-INITIAL_FORMS": 0,
        "translated_templates-0-language": "de",
        "translated_templates-0-content": "Hallo",
    }
    data = {"name": "t", "subject": "s", "content": "Hello", **translation}
    response = admin_client.post(reverse("admin:post_office_emailtemplate_add"), data)
    assert response.status_code == 302
    assert said() == [("Hello", "admin"), ("Hallo", "admin")]
