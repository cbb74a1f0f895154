"""System checks of what lets mail stand still, in the settings and in the queue itself.

A project in which mail flows hears nothing. Ids are in one row with those of `checks`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.db import connections as database_connections
from django.db import router
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from . import aliases, health, migrations
from .conf import conf
from .exceptions import InvalidLimit
from .models import Email, Worker
from .queue.figures import Figures

# Mail that is due for longer, with nobody in sight, is forgotten.
FORGOTTEN = timedelta(hours=1)


def check_health_limits(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """HEALTH_LIMITS can be read."""
    try:
        health.configured_limits()
    except InvalidLimit as fault:
        return [checks.Error(f"POST_OFFICE['HEALTH_LIMITS']: {fault}", id="post_office.E020")]
    return []


def check_timeout(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """A server that stops answering cannot hold a thread for ever."""
    timeout: Any = conf.BATCH_DELIVERY_TIMEOUT  # whatever the project has written there
    if timeout is not None or settings.is_overridden("EMAIL_TIMEOUT"):  # type: ignore[misc]  # not in the stubs
        return []
    return [
        checks.Warning(
            f"The backend {alias!r} waits for ever for a server that does not answer.",
            hint="Leave out POST_OFFICE['BATCH_DELIVERY_TIMEOUT'], or give the backend a 'timeout'.",
            id="post_office.W022",
        )
        for alias, entry in aliases.backends().items()
        if _is_smtp(entry["BACKEND"]) and entry["OPTIONS"].get("timeout") is None
    ]


def _is_smtp(path: str) -> bool:
    try:
        return issubclass(import_string(path), SMTPBackend)
    except ImportError:  # another check says so
        return False


def check_retries(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """A fault that passes does not end a mail."""
    if conf.MAX_RETRIES != 0:
        return []
    return [
        checks.Warning(
            "POST_OFFICE['MAX_RETRIES'] is 0: mail fails for good when a server is busy for a moment.",
            hint="Leave it out, or silence post_office.W023 if that is what you want.",
            id="post_office.W023",
        )
    ]


def check_locks(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """Workers that claim at the same time need not wait for each other.

    On SQLite, which has one writer at a time, they would in any case.
    """
    connection = database_connections[router.db_for_write(Email)]
    if connection.alias not in (databases or ()) or connection.vendor == "sqlite":
        return []
    if connection.features.has_select_for_update_skip_locked:
        return []
    return [
        checks.Warning(
            f"The database {connection.alias!r} has no SKIP LOCKED: workers that claim mail at the same time "
            "wait for each other, and some then find nothing. No mail is lost or sent twice.",
            hint="MariaDB has it since 10.6, MySQL since 8.0.1.",
            id="post_office.W021",
        )
    ]


def check_dispatchers(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """Mail that is due has somebody who delivers it."""
    alias = router.db_for_write(Email)
    if alias not in (databases or ()) or not _is_migrated(alias):
        return []
    found = health.look()
    if (waiting := _forgotten_for(found)) is None:
        return []
    seen = "ever seen" if found.silence is None else f"seen for {health.span(found.silence)}"
    return [
        checks.Warning(
            f"Mail has been due for {health.span(waiting)}, and no dispatcher was {seen}.",
            hint="Let 'manage.py run_dispatcher' stay, or run 'manage.py send_queued_mail' every minute.",
            id="post_office.W020",
        )
    ]


def _is_migrated(alias: str) -> bool:
    """Return whether all our tables are as the models say; `migrate` runs checks before it makes them so."""
    recorded = MigrationRecorder(database_connections[alias]).applied_migrations()
    ours = [module.name for module in pkgutil.iter_modules(migrations.__path__) if module.name[0].isdigit()]
    return all(("post_office", name) in recorded for name in ours)


def _forgotten_for(found: Figures) -> timedelta | None:
    """Return for how long mail has been due that nobody holds up or delivers; None where all is well."""
    if found.silence is not None and found.silence <= FORGOTTEN:
        return None
    if conf.ENVIRONMENT and found.environment not in (None, conf.ENVIRONMENT):
        return None  # a copy of a queue, which is not to send
    moments = [
        oldest
        for alias in found.aliases
        if found.brakes.is_open(alias) and (oldest := found.of_backend(alias).oldest_due_at) is not None
    ]
    waiting = found.at - min(moments, default=found.at)
    # A worker of no dispatcher delivers, too: one of Celery, for example.
    return waiting if waiting > FORGOTTEN and not _workers().exists() else None


def _workers() -> QuerySet[Worker]:
    return Worker.objects.using(router.db_for_write(Worker))
