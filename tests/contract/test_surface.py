"""Names and signatures that callers rely on, as data: those of django-post_office 3.12, and our own signals.

What a project imports, calls, configures, reverses and reads must be where it was. An argument may be added
at the end, with a default; nothing may go, move or get another default, but for the differences noted here.
"""

import importlib
import inspect
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.management import load_command_class
from django.db import models
from django.urls import reverse

# Module, name, parameters with their defaults.
SIGNATURES = [
    ("mail", "create",
     "sender, recipients=None, cc=None, bcc=None, subject='', message='', html_message='', context=None, "
     "scheduled_time=None, expires_at=None, headers=None, template=None, priority=None, "
     "render_on_delivery=False, commit=True, backend=''"),
    ("mail", "send",
     "recipients=None, sender=None, template=None, context=None, subject='', message='', html_message='', "
     "scheduled_time=None, expires_at=None, headers=None, priority=None, attachments=None, "
     "render_on_delivery=False, log_level=None, commit=True, cc=None, bcc=None, language='', backend=''"),
    ("mail", "send_many", "kwargs_list"),
    ("mail", "get_queued", ""),
    ("mail", "attach_templates", "emails"),
    ("mail", "send_queued", "processes=1, log_level=None"),
    ("mail", "_send_bulk", "emails, uses_multiprocessing=True, log_level=None"),
    # The lock file's default was a path made at import; it depends on the database now.
    ("mail", "send_queued_mail_until_done", "lockfile=None, processes=1, log_level=None"),
    ("models", "Email.email_message", "self"),
    ("models", "Email.prepare_email_message", "self"),
    ("models", "Email.dispatch",
     "self, log_level=None, disconnect_after_delivery=True, commit=True, connection=None"),
    ("models", "EmailTemplate.natural_key", "self"),
    ("models", "EmailTemplateManager.get_by_natural_key", "self, name, language, default_template"),
    ("models", "get_upload_path", "instance, filename"),
    ("models", "get_file_storage", ""),
    ("utils", "send_mail",
     "subject, message, from_email, recipient_list, html_message='', scheduled_time=None, headers=None, "
     "priority=1"),
    ("utils", "get_email_template", "name, language=''"),
    ("utils", "split_emails", "emails, split_count=1"),
    ("utils", "create_attachments", "attachment_files"),
    ("utils", "parse_priority", "priority"),
    ("utils", "parse_emails", "emails"),
    ("utils", "cleanup_expired_mails", "cutoff_date, delete_attachments=True, batch_size=1000"),
    ("settings", "get_config", ""),
    ("settings", "get_available_backends", ""),
    ("settings", "get_backend", "alias='default'"),
    ("settings", "get_backend_aliases", ""),
    ("settings", "get_default_mailer", ""),
    ("settings", "get_batch_size", ""),
    ("settings", "get_batch_delivery_timeout", ""),
    ("settings", "get_threads_per_process", ""),
    ("settings", "get_default_priority", ""),
    ("settings", "get_log_level", ""),
    ("settings", "get_sending_order", ""),
    ("settings", "get_template_engine", ""),
    ("settings", "get_override_recipients", ""),
    ("settings", "get_max_retries", ""),
    ("settings", "get_retry_timedelta", ""),
    ("settings", "get_message_id_enabled", ""),
    ("settings", "get_message_id_fqdn", ""),
    ("settings", "get_celery_enabled", ""),
    ("settings", "get_lock_file_name", ""),
    ("settings", "get_file_storage", ""),
    ("settings", "get_cache_backend", ""),
    ("settings", "get_webhook_config", "provider"),
    ("settings", "mailers_are_configured", ""),
    ("webhooks", "ESPEvent",
     "raw_event, delivery_status, recipient, message_id=None, timestamp=None, subject=None, "
     "to_addresses=None"),
    ("webhooks", "BaseWebhookHandler.verify_signature", "self, request"),
    ("webhooks", "BaseWebhookHandler.parse_events", "self, request"),
    ("webhooks", "BaseWebhookHandler.handle_events", "self, events, payload"),
    ("webhooks", "BaseWebhookHandler.post", "self, request"),
    ("webhooks", "SESWebhookHandler.verify_signature", "self, request"),
    ("webhooks", "SESWebhookHandler.parse_events", "self, request"),
    ("webhooks", "SparkPostWebhookHandler.verify_signature", "self, request"),
    ("webhooks", "SparkPostWebhookHandler.parse_events", "self, request"),
    ("webhooks.ses", "verify_ses_signature", "payload"),
    ("cache", "get_cache_key", "name"),
    ("cache", "set", "name, content"),
    ("cache", "get", "name"),
    ("cache", "delete", "name"),
    ("connections", "ConnectionHandler", ""),
    ("connections", "ConnectionHandler.__getitem__", "self, alias"),
    ("connections", "ConnectionHandler.all", "self"),
    ("connections", "ConnectionHandler.close", "self"),
    ("backends", "EmailBackend.open", "self"),
    ("backends", "EmailBackend.close", "self"),
    ("backends", "EmailBackend.send_messages", "self, email_messages"),
    ("validators", "validate_email_with_name", "value"),
    ("validators", "validate_comma_separated_emails", "value"),
    ("validators", "validate_template_syntax", "source"),
    ("lockfile", "FileLock", "lock_filename, timeout=None, force=False"),
    ("lockfile", "FileLock.is_locked", "self, force=False"),
    ("lockfile", "FileLock.acquire", "self"),
    ("lockfile", "FileLock.release", "self"),
    ("lockfile", "FileLock.__enter__", "self"),
    ("sanitizer", "clean_html", "body"),
    ("logutils", "setup_loghandlers", "level=None"),
    # With CELERY_ENABLED there are tasks besides; tests/acceptance/test_celery.py looks for them.
    ("tasks", "queued_mail_handler", "sender"),
    ("template.backends.post_office", "PostOfficeTemplates", "params"),
    ("template.backends.post_office", "PostOfficeTemplates.from_string", "self, template_code"),
    ("template.backends.post_office", "PostOfficeTemplates.get_template", "self, template_name"),
    ("template.backends.post_office", "PostOfficeTemplates.get_templatetag_libraries",
     "self, custom_libraries"),
    ("template.backends.post_office", "Template", "template, backend"),
    ("template.backends.post_office", "Template.render", "self, context=None, request=None"),
    ("template.backends.post_office", "Template.attach_related", "self, email_message"),
    ("admin", "requeue", "modeladmin, request, queryset"),
]  # fmt: skip

# What is imported by its name alone.
NAMES = {
    "": "EmailBackend VERSION VERSION_STRING",
    "admin": (
        "AttachmentAdmin AttachmentInline CommaSeparatedEmailWidget EmailAdmin EmailTemplateAdmin "
        "EmailTemplateAdminForm EmailTemplateAdminFormSet EmailTemplateInline LogAdmin LogInline "
        "SubjectField get_message_preview"
    ),
    "apps": "PostOfficeConfig",
    "backends": "EmailBackend",
    "cache": "cache_backend",
    "connections": "connections",
    "fields": "CommaSeparatedEmailField",
    "lockfile": "FileLock FileLocked default_lockfile",
    "logutils": "setup_loghandlers",
    "mail": (
        "PRIORITY STATUS Email EmailTemplate Log email_queued FileLock FileLocked connections logger "
        "default_lockfile"
    ),
    "models": (
        "PRIORITY STATUS RecipientDeliveryStatus Email Log EmailTemplate EmailTemplateManager Attachment "
        "CommaSeparatedEmailField"
    ),
    "sanitizer": "tags attributes",
    "settings": "CONTEXT_FIELD_CLASS context_field_class",
    "signals": (
        "email_queued email_sent email_failed email_requeued email_expired email_canceled event_recorded"
    ),
    "template.backends.post_office": "PostOfficeTemplates Template",
    "templatetags.post_office": "inline_image register",
    "views": "__doc__",
    "webhooks": "BaseWebhookHandler ESPEvent SESWebhookHandler SparkPostWebhookHandler",
    "webhooks.base": "BaseWebhookHandler ESPEvent STATUS_PRIORITY RecipientDeliveryStatus",
    "webhooks.ses": "SESWebhookHandler",
    "webhooks.sparkpost": "SparkPostWebhookHandler",
}

# Model, field, class, and the options that a column or a form shows. What is new here is not listed.
FIELDS = [
    ("Email", "id", models.AutoField, {"primary_key": True}),
    ("Email", "from_email", models.CharField, {"max_length": 254}),
    ("Email", "to", models.TextField, {"blank": True}),
    ("Email", "cc", models.TextField, {"blank": True}),
    ("Email", "bcc", models.TextField, {"blank": True}),
    ("Email", "subject", models.CharField, {"max_length": 989, "blank": True}),
    ("Email", "message", models.TextField, {"blank": True}),
    ("Email", "html_message", models.TextField, {"blank": True}),
    ("Email", "status", models.PositiveSmallIntegerField, {"null": True, "db_index": True}),
    ("Email", "recipient_delivery_status", models.PositiveSmallIntegerField, {"null": True}),
    ("Email", "priority", models.PositiveSmallIntegerField, {"null": True}),
    ("Email", "created", models.DateTimeField, {"auto_now_add": True, "db_index": True}),
    ("Email", "last_updated", models.DateTimeField, {"auto_now": True, "db_index": True}),
    ("Email", "scheduled_time", models.DateTimeField, {"null": True, "blank": True, "db_index": True}),
    ("Email", "expires_at", models.DateTimeField, {"null": True, "blank": True}),
    ("Email", "message_id", models.CharField, {"null": True, "max_length": 255, "editable": False}),
    ("Email", "number_of_retries", models.PositiveIntegerField, {"null": True, "blank": True}),
    ("Email", "headers", models.JSONField, {"null": True, "blank": True}),
    ("Email", "template", models.ForeignKey, {"null": True, "blank": True}),
    ("Email", "context", models.Field, {"null": True, "blank": True}),
    ("Email", "backend_alias", models.CharField, {"max_length": 64, "default": "", "blank": True}),
    ("Log", "id", models.AutoField, {"primary_key": True}),
    ("Log", "email", models.ForeignKey, {"editable": False}),
    ("Log", "date", models.DateTimeField, {"auto_now_add": True}),
    ("Log", "status", models.PositiveSmallIntegerField, {"null": False}),
    ("Log", "exception_type", models.CharField, {"max_length": 255, "blank": True}),
    ("Log", "message", models.TextField, {}),
    ("EmailTemplate", "id", models.AutoField, {"primary_key": True}),
    ("EmailTemplate", "name", models.CharField, {"max_length": 255}),
    ("EmailTemplate", "description", models.TextField, {"blank": True}),
    ("EmailTemplate", "created", models.DateTimeField, {"auto_now_add": True}),
    ("EmailTemplate", "last_updated", models.DateTimeField, {"auto_now": True}),
    ("EmailTemplate", "subject", models.CharField, {"max_length": 255, "blank": True}),
    ("EmailTemplate", "content", models.TextField, {"blank": True}),
    ("EmailTemplate", "html_content", models.TextField, {"blank": True}),
    ("EmailTemplate", "language", models.CharField, {"max_length": 12, "default": "", "blank": True}),
    ("EmailTemplate", "default_template", models.ForeignKey, {"null": True}),
    ("Attachment", "id", models.AutoField, {"primary_key": True}),
    ("Attachment", "file", models.FileField, {"max_length": 100}),
    ("Attachment", "name", models.CharField, {"max_length": 255}),
    ("Attachment", "emails", models.ManyToManyField, {}),
    ("Attachment", "mimetype", models.CharField, {"max_length": 255, "default": "", "blank": True}),
    ("Attachment", "headers", models.JSONField, {"null": True, "blank": True}),
]
RELATIONS = [
    ("Email", "logs", "Log"),
    ("Email", "attachments", "Attachment"),
    ("EmailTemplate", "translated_templates", "EmailTemplate"),
    ("EmailTemplate", "email_set", "Email"),
]
TABLES = {
    "Email": "post_office_email",
    "Log": "post_office_log",
    "EmailTemplate": "post_office_emailtemplate",
    "Attachment": "post_office_attachment",
    "Attachment.emails.through": "post_office_attachment_emails",
}

# What holds when POST_OFFICE is empty.
DEFAULTS = {
    "get_config": {},
    "get_available_backends": {"default": "django.core.mail.backends.smtp.EmailBackend"},
    "get_backend": "django.core.mail.backends.smtp.EmailBackend",
    "get_default_mailer": "default",
    "get_batch_size": 100,
    "get_batch_delivery_timeout": 180,
    "get_threads_per_process": 5,
    "get_default_priority": "medium",
    "get_log_level": 2,
    "get_sending_order": ["-priority"],
    "get_override_recipients": None,
    # Was 0: faults that pass cost a mail its delivery.
    "get_max_retries": None,
    "get_retry_timedelta": timedelta(minutes=15),
    "get_message_id_enabled": False,
    "get_celery_enabled": False,
    "get_lock_file_name": "post_office",
}

URLS = [
    ("resend", [1], "/admin/post_office/email/1/resend/"),
    ("post_office_email_preview", [1], "/admin/post_office/email/1/preview/"),
    ("post_office_email_image", [1, "0" * 32], f"/admin/post_office/email/1/image/{'0' * 32}"),
    ("post_office_email_changelist", [], "/admin/post_office/email/"),
    ("post_office_email_change", [1], "/admin/post_office/email/1/change/"),
    ("post_office_emailtemplate_changelist", [], "/admin/post_office/emailtemplate/"),
    ("post_office_attachment_changelist", [], "/admin/post_office/attachment/"),
    ("post_office_log_changelist", [], "/admin/post_office/log/"),
]

COMMANDS = {
    "send_queued_mail": {
        "-p": 1, "--processes": 1, "-L": None, "--lockfile": None, "-l": None, "--log-level": None,
    },
    "cleanup_mail": {
        "-d": 90, "--days": 90, "-da": False, "--delete-attachments": False,
        "-b": 1000, "--batch-size": 1000,
    },
}  # fmt: skip


def find(module: str, name: str) -> Any:
    found: Any = importlib.import_module(f"post_office.{module}".rstrip("."))
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in NAMES.items() for name in names.split()]
)
@pytest.mark.django_db
def test_a_name_can_be_imported(module: str, name: str) -> None:
    assert find(module, name) is not None


@pytest.mark.parametrize(("module", "name", "expected"), SIGNATURES)
def test_a_signature_goes_on_accepting_what_it_did(module: str, name: str, expected: str) -> None:
    parameters = list(inspect.signature(find(module, name)).parameters.values())
    old = [word for word in expected.split(", ") if word]
    spelled = [
        each.name if each.default is each.empty else f"{each.name}={each.default!r}" for each in parameters
    ]
    assert spelled[: len(old)] == old
    for added in parameters[len(old) :]:
        assert added.default is not added.empty or added.kind in (added.VAR_KEYWORD, added.VAR_POSITIONAL)


@pytest.mark.parametrize(("model", "name", "field_class", "options"), FIELDS)
def test_a_field_is_what_it_was(
    model: str, name: str, field_class: type[Any], options: dict[str, Any]
) -> None:
    field = apps.get_model("post_office", model)._meta.get_field(name)
    assert isinstance(field, field_class)
    assert {option: getattr(field, option) for option in options} == options


@pytest.mark.parametrize(("model", "name", "related"), RELATIONS)
def test_a_relation_can_be_followed_by_its_name(model: str, name: str, related: str) -> None:
    relation = getattr(apps.get_model("post_office", model), name)
    assert related in (relation.rel.model.__name__, relation.rel.related_model.__name__)


@pytest.mark.parametrize(("model", "table"), TABLES.items())
def test_a_table_keeps_its_name(model: str, table: str) -> None:
    assert find("models", model)._meta.db_table == table


def test_numbers_in_databases_keep_their_meaning() -> None:
    from post_office.models import PRIORITY, STATUS, RecipientDeliveryStatus

    assert PRIORITY._asdict() == {"low": 0, "medium": 1, "high": 2, "now": 3}
    assert STATUS._asdict() == {
        "sent": 0, "failed": 1, "queued": 2, "requeued": 3, "expired": 4, "canceled": 5,
    }  # fmt: skip
    assert {each.name: each.value for each in RecipientDeliveryStatus} == {
        "ACCEPTED": 10, "DELIVERED": 20, "OPENED": 30, "CLICKED": 40, "DEFERRED": 50, "SOFT_BOUNCED": 60,
        "UNDETERMINED_BOUNCED": 65, "HARD_BOUNCED": 70, "SPAM_COMPLAINT": 80, "UNSUBSCRIBED": 90,
    }  # fmt: skip


@pytest.mark.parametrize(("accessor", "expected"), DEFAULTS.items())
def test_a_setting_has_its_default(accessor: str, expected: object, settings: Any) -> None:
    settings.POST_OFFICE = {}
    assert find("settings", accessor)() == expected


@pytest.mark.parametrize(("name", "arguments", "path"), URLS)
def test_an_address_of_the_admin_has_its_name(name: str, arguments: list[Any], path: str) -> None:
    assert reverse(f"admin:{name}", args=arguments) == path


@pytest.mark.parametrize(("name", "options"), COMMANDS.items())
def test_a_command_takes_its_options(name: str, options: dict[str, Any]) -> None:
    parser = load_command_class("post_office", name).create_parser("manage.py", name)
    known = {flag: action for action in parser._actions for flag in action.option_strings}
    assert {flag: known[flag].default for flag in options} == options


def test_the_app_is_named_as_before() -> None:
    config = apps.get_app_config("post_office")
    assert (config.name, str(config.verbose_name)) == ("post_office", "Post Office")
    assert config.default_auto_field == "django.db.models.AutoField"


def test_the_package_imports_without_django_configured() -> None:
    code = "import post_office; print(post_office.VERSION_STRING)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    ["addresses", "conf", "connections", "enums", "exceptions", "lockfile", "logutils", "queue.retry",
     "sanitizer", "settings", "signals", "validators", "views"],
)  # fmt: skip
def test_importing_reads_no_settings(module: str) -> None:
    """Whatever needs no models can be imported before Django is set up."""
    code = f"import sys, django.conf\nimport post_office.{module}\nsys.exit(django.conf.settings.configured)"
    env = {"PATH": "", "DJANGO_SETTINGS_MODULE": "no.such.module"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr


def test_a_changed_setting_is_seen_by_what_was_bound_at_import_before(settings: Any) -> None:
    from django.core.cache import caches

    from post_office import cache, lockfile
    from post_office import settings as accessors

    settings.CACHES = {
        name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": name}
        for name in ("default", "post_office")
    }
    settings.POST_OFFICE = {
        "CONTEXT_FIELD_CLASS": "django.db.models.JSONField",
        "LOCK_FILE_NAME": "mine",
    }
    assert cache.cache_backend is caches["post_office"]
    assert accessors.context_field_class is models.JSONField
    assert os.path.basename(lockfile.default_lockfile).startswith("mine-")


def test_the_tests_know_every_accessor_of_settings() -> None:
    from post_office import settings as accessors

    known = {name for module, name, _ in SIGNATURES if module == "settings"}
    assert known == {name for name in vars(accessors) if name.startswith("get_")} | {"mailers_are_configured"}
