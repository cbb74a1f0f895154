"""The old import path of settings: a function for each, over the room that knows it.

They read; nothing in the package calls them, so a test that wants another value overrides
POST_OFFICE instead of replacing one of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import BaseCache
from django.core.files.storage import Storage
from django.core.mail.utils import DNS_NAME
from django.template import engines
from django.utils.module_loading import import_string

from . import aliases
from .compat import HAS_MAILERS as DJANGO_HAS_MAILERS
from .compat import HAS_MODERN_EMAIL
from .compat import mailers_are_configured as mailers_are_configured
from .conf import conf

PRE_DJANGO_6 = not HAS_MODERN_EMAIL

__all__ = ["DJANGO_HAS_MAILERS", "PRE_DJANGO_6", "mailers_are_configured"]


def __getattr__(name: str) -> Any:
    # Read from the settings, so not known when this module is imported.
    if name == "CONTEXT_FIELD_CLASS":
        return conf.CONTEXT_FIELD_CLASS
    if name == "context_field_class":
        return import_string(conf.CONTEXT_FIELD_CLASS)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_config() -> Mapping[str, Any]:
    """Return the dict POST_OFFICE as the project has it."""
    config: Mapping[str, Any] = getattr(settings, "POST_OFFICE", {})
    return config


# --- backends ---------------------------------------------------------------------------------


def get_available_backends() -> dict[str, str]:
    """Return {alias: dotted path} of BACKENDS; without it, of Django's EMAIL_BACKEND as "default"."""
    return {alias: entry["BACKEND"] for alias, entry in aliases.backends().items()}


def get_backend(alias: str = "default") -> str:
    """Return the dotted path of a backend in BACKENDS. Raises KeyError where there is none."""
    return get_available_backends()[alias]


def get_backend_aliases() -> Collection[str]:
    """Return the aliases that mail may name: those of BACKENDS, and of MAILERS where there is that."""
    return aliases.aliases()


def get_default_mailer() -> str:
    """Return the alias that delivers mail which names none."""
    return aliases.default_alias()


# --- delivery ---------------------------------------------------------------------------------


def get_batch_size() -> int:
    return conf.BATCH_SIZE


def get_batch_delivery_timeout() -> int:
    """Return the seconds that an SMTP server may take for one answer."""
    return conf.BATCH_DELIVERY_TIMEOUT


def get_threads_per_process() -> int:
    return conf.THREADS_PER_PROCESS


def get_default_priority() -> str:
    return conf.DEFAULT_PRIORITY


def get_log_level() -> int:
    return conf.LOG_LEVEL


def get_sending_order() -> list[str]:
    return conf.SENDING_ORDER


def get_override_recipients() -> list[str] | None:
    return conf.OVERRIDE_RECIPIENTS


def get_max_retries() -> int | None:
    """Return how often mail is tried again; None means as often as four days allow."""
    return conf.MAX_RETRIES


def get_retry_timedelta() -> timedelta:
    """Return the time until the first retry."""
    return conf.RETRY_INTERVAL


def get_message_id_enabled() -> bool:
    return conf.MESSAGE_ID_ENABLED


def get_message_id_fqdn() -> str:
    return conf.MESSAGE_ID_FQDN or str(DNS_NAME)


def get_lock_file_name() -> str:
    return conf.LOCK_FILE_NAME


def get_celery_enabled() -> bool:
    return bool(get_config().get("CELERY_ENABLED", False))


def get_webhook_config(provider: str) -> Mapping[str, Any]:
    """Return what WEBHOOKS says about a provider, such as "SES"; {} where it says nothing."""
    config: Mapping[str, Any] = conf.WEBHOOKS.get(provider, {})
    return config


# --- templates and files ----------------------------------------------------------------------


def get_template_engine() -> Any:
    """Return the engine that renders templates on delivery."""
    return engines[conf.TEMPLATE_ENGINE]


def get_cache_backend() -> BaseCache:
    """Return the cache that keeps templates."""
    from .rendering import templates  # which needs the models, and the rest of this module does not

    return templates.cache()


def get_file_storage() -> Storage:
    """Return the storage of attachments."""
    from . import models  # as above

    return models.get_file_storage()
