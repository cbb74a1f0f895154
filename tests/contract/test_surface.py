"""Names and signatures that callers rely on, as data."""

import importlib
import inspect
import subprocess
import sys

import pytest

SIGNATURES = {
    "post_office.mail:send": (
        "recipients sender template context subject message html_message scheduled_time expires_at headers "
        "priority attachments render_on_delivery log_level commit cc bcc language backend"
    ),
    "post_office.mail:create": (
        "sender recipients cc bcc subject message html_message context scheduled_time expires_at headers "
        "template priority render_on_delivery commit backend"
    ),
    "post_office.mail:send_many": "kwargs_list",
    "post_office.mail:get_queued": "",
    "post_office.mail:send_queued": "processes log_level",
    "post_office.mail:send_queued_mail_until_done": "lockfile processes log_level",
    "post_office.utils:send_mail": (
        "subject message from_email recipient_list html_message scheduled_time headers priority"
    ),
    "post_office.utils:get_email_template": "name language",
    "post_office.utils:split_emails": "emails split_count",
    "post_office.utils:create_attachments": "attachment_files",
    "post_office.utils:parse_priority": "priority",
    "post_office.utils:parse_emails": "emails",
    "post_office.utils:cleanup_expired_mails": "cutoff_date delete_attachments batch_size",
    "post_office.models:Email.dispatch": "self log_level disconnect_after_delivery commit connection",
    "post_office.models:get_upload_path": "instance filename",
    "post_office.sanitizer:clean_html": "body",
    "post_office.lockfile:FileLock": "lock_filename timeout force",
}

NAMES = {
    "post_office": "EmailBackend VERSION VERSION_STRING",
    "post_office.apps": "PostOfficeConfig",
    "post_office.backends": "EmailBackend",
    "post_office.connections": "connections",
    "post_office.fields": "CommaSeparatedEmailField",
    "post_office.lockfile": "FileLock FileLocked default_lockfile",
    "post_office.logutils": "setup_loghandlers",
    "post_office.mail": (
        "PRIORITY STATUS Email EmailTemplate Log email_queued FileLock FileLocked connections logger "
        "default_lockfile"
    ),
    "post_office.models": (
        "PRIORITY STATUS RecipientDeliveryStatus Email Log EmailTemplate Attachment get_file_storage "
        "get_upload_path"
    ),
    "post_office.signals": (
        "email_queued email_sent email_failed email_requeued email_expired email_canceled"
    ),
    "post_office.template.backends.post_office": "PostOfficeTemplates",
    "post_office.templatetags.post_office": "inline_image",
    "post_office.validators": (
        "validate_email_with_name validate_comma_separated_emails validate_template_syntax"
    ),
}


def find(path: str) -> object:
    module, _, name = path.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(
    "path", [f"{module}:{name}" for module, names in NAMES.items() for name in names.split()]
)
@pytest.mark.django_db
def test_a_name_can_be_imported(path: str) -> None:
    assert find(path) is not None


@pytest.mark.parametrize(("path", "parameters"), SIGNATURES.items())
def test_a_signature_keeps_its_order(path: str, parameters: str) -> None:
    function = find(path)
    assert callable(function)
    assert list(inspect.signature(function).parameters) == parameters.split()


def test_numbers_in_databases_keep_their_meaning() -> None:
    from post_office.models import PRIORITY, STATUS

    assert PRIORITY._asdict() == {"low": 0, "medium": 1, "high": 2, "now": 3}
    assert STATUS._asdict() == {
        "sent": 0, "failed": 1, "queued": 2, "requeued": 3, "expired": 4, "canceled": 5,
    }  # fmt: skip


def test_the_package_imports_without_django_configured() -> None:
    code = "import post_office; print(post_office.VERSION_STRING)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.parametrize("module", ["conf", "signals", "exceptions", "enums", "addresses", "queue.retry"])
def test_importing_reads_no_settings(module: str) -> None:
    """Whatever needs no models can be imported before Django is set up."""
    code = f"import sys, django.conf\nimport post_office.{module}\nsys.exit(django.conf.settings.configured)"
    env = {"PATH": "", "DJANGO_SETTINGS_MODULE": "no.such.module"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
