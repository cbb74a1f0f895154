"""Old import paths lead to what the rooms behind them do."""

from typing import Any

import django
import pytest
from django.core import mail as django_mail
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext

from post_office import cache, mail
from post_office import settings as accessors
from post_office.models import PRIORITY, STATUS, Email, EmailTemplate
from post_office.utils import get_email_template, parse_priority


@pytest.fixture
def template() -> EmailTemplate:
    default = EmailTemplate.objects.create(name="welcome", subject="Hello")
    default.translated_templates.create(name="welcome", language="de", subject="Hallo")
    return default


# --- cache ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_template_that_was_used_is_found_in_the_cache(template: EmailTemplate) -> None:
    assert cache.get("welcome") is None
    get_email_template("welcome", "de")
    assert cache.get("welcome") is None
    assert cache.get("welcome", "de").subject == "Hallo"
    assert caches["default"].get(cache.get_cache_key("welcome", "de")).subject == "Hallo"


@pytest.mark.django_db
def test_a_template_changed_behind_the_back_of_save_can_be_forgotten(template: EmailTemplate) -> None:
    get_email_template("welcome")
    EmailTemplate.objects.filter(name="welcome", language="").update(subject="Good day")
    assert get_email_template("welcome").subject == "Hello"
    assert cache.delete("welcome") is True
    assert get_email_template("welcome").subject == "Good day"


@pytest.mark.django_db
def test_what_is_put_into_the_cache_is_used(template: EmailTemplate) -> None:
    cache.set("welcome", EmailTemplate(name="welcome", subject="Kept"))
    assert get_email_template("welcome").subject == "Kept"


# --- settings ---------------------------------------------------------------------------------


def test_accessors_read_the_settings_at_each_call(settings: Any) -> None:
    settings.POST_OFFICE = {
        "BACKENDS": {"default": "locmem", "bulk": {"BACKEND": "my.EmailBackend", "OPTIONS": {"key": "1"}}},
        "DEFAULT_MAILER": "bulk",
        "BATCH_SIZE": 7,
        "MESSAGE_ID_FQDN": "mail.example.com",
        "CELERY_ENABLED": True,
        "WEBHOOKS": {"SES": {"VERIFY_SIGNATURE": False}},
    }
    assert accessors.get_config() is settings.POST_OFFICE
    assert list(accessors.get_backend_aliases()) == ["default", "bulk"]
    assert accessors.get_backend() == "django.core.mail.backends.locmem.EmailBackend"
    assert accessors.get_backend("bulk") == "my.EmailBackend"
    assert accessors.get_default_mailer() == "bulk"
    assert accessors.get_batch_size() == 7
    assert accessors.get_message_id_fqdn() == "mail.example.com"
    assert accessors.get_celery_enabled() is True
    assert accessors.get_webhook_config("SES") == {"VERIFY_SIGNATURE": False}
    assert accessors.get_webhook_config("SPARKPOST") == {}
    with pytest.raises(KeyError):
        accessors.get_backend("nope")


def test_engine_and_storage_are_those_that_the_settings_name(settings: Any) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "mail": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    }
    settings.POST_OFFICE = {"TEMPLATE_ENGINE": "post_office", "FILE_STORAGE": "mail"}
    assert accessors.get_template_engine().name == "post_office"
    assert type(accessors.get_file_storage()).__name__ == "InMemoryStorage"


@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1.")
def test_the_aliases_of_mailers_can_be_named(settings: Any) -> None:
    del settings.EMAIL_BACKEND
    settings.MAILERS = {
        "default": {"BACKEND": "post_office.EmailBackend"},
        "smtp": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"},
    }
    settings.POST_OFFICE = {"BACKENDS": {"bulk": "locmem"}, "DEFAULT_MAILER": "smtp"}
    assert accessors.DJANGO_HAS_MAILERS
    assert accessors.mailers_are_configured()
    assert set(accessors.get_backend_aliases()) == {"default", "smtp", "bulk"}


def test_no_priority_means_the_default_one(settings: Any) -> None:
    assert parse_priority(None) == PRIORITY.medium
    settings.POST_OFFICE = {"DEFAULT_PRIORITY": "low"}
    assert parse_priority(None) == PRIORITY.low
    assert parse_priority("high") == PRIORITY.high


# --- mail -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_templates_of_many_mails_are_loaded_with_one_query(template: EmailTemplate) -> None:
    for number in range(3):
        mail.send(f"reader{number}@example.com", "me@example.com", template=template)
    emails = list(Email.objects.all())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        mail.attach_templates(emails)
        assert [email.template for email in emails] == [template] * 3
    assert len(queries) == 1


@pytest.mark.django_db
def test_a_bulk_is_delivered_and_counted() -> None:
    emails = [mail.send(f"reader{number}@example.com", "me@example.com") for number in range(3)]
    assert mail._send_bulk(emails[:2], uses_multiprocessing=False, log_level=0) == (2, 0, 0)
    assert [message.to for message in django_mail.outbox] == [
        ["reader0@example.com"],
        ["reader1@example.com"],
    ]
    assert Email.objects.filter(status=STATUS.queued).get() == emails[2]
