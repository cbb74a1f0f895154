"""System checks: what will not work, said before it does not.

Ids are never used again for another meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Tags
from django.db import connections as database_connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils.module_loading import import_string

from . import aliases, background, compat, flow_checks, template_checks
from .conf import conf
from .delivery import policies
from .enums import UNKNOWN_POLICIES
from .migrations._legacy import LEGACY_MIGRATIONS

FIRST_OF_OURS = "0002_claims"
WEBHOOK_KEYS = {
    "SES": {"VERIFY_SIGNATURE", "TOPIC_ARNS"},
    "SPARKPOST": {"VERIFY_SIGNATURE", "USERNAME", "PASSWORD"},
}


def register() -> None:
    checks.register(check_backends, Tags.compatibility)
    checks.register(check_delivery, Tags.compatibility)
    checks.register(check_mailers, Tags.compatibility)
    checks.register(check_delivery_for_deployment, Tags.compatibility, deploy=True)
    checks.register(check_celery, Tags.compatibility)
    checks.register(check_tasks, Tags.compatibility)
    checks.register(check_webhooks, Tags.compatibility)
    checks.register(template_checks.check_rendering, Tags.compatibility)
    checks.register(check_migration_modules, Tags.compatibility)
    checks.register(check_migrations, Tags.database)
    checks.register(flow_checks.check_health_limits, Tags.compatibility)
    checks.register(flow_checks.check_timeout, Tags.compatibility)
    checks.register(flow_checks.check_retries, Tags.compatibility)
    checks.register(flow_checks.check_locks, Tags.database)
    checks.register(flow_checks.check_dispatchers, Tags.database)


def check_backends(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Every backend can be imported, delivers, and the default one exists."""
    found: list[CheckMessage] = []
    for alias, entry in aliases.backends().items():
        try:
            backend_class = import_string(entry["BACKEND"])
        except ImportError as fault:
            found.append(
                checks.Error(
                    f"POST_OFFICE['BACKENDS'][{alias!r}]: {entry['BACKEND']!r} cannot be imported: {fault}",
                    id="post_office.E001",
                )
            )
            continue
        if getattr(backend_class, aliases.QUEUES_MAIL, False):
            found.append(
                checks.Error(
                    f"POST_OFFICE['BACKENDS'][{alias!r}] queues mail in post_office itself.",
                    hint="Name a backend that delivers, such as 'smtp'.",
                    id="post_office.E002",
                )
            )
    if conf.EMAIL_BACKEND:
        found.append(
            checks.Warning(
                "POST_OFFICE['EMAIL_BACKEND'] is from before there was BACKENDS.",
                hint=f"Write POST_OFFICE = {{'BACKENDS': {{'default': {conf.EMAIL_BACKEND!r}}}}} instead.",
                id="post_office.W004",
            )
        )
    if (alias := aliases.default_alias()) not in aliases.aliases():
        found.append(
            checks.Error(
                f"No backend is configured under the alias {alias!r}, which delivers mail that names none.",
                hint="Add it to POST_OFFICE['BACKENDS'], or name another in POST_OFFICE['DEFAULT_MAILER'].",
                id="post_office.E003",
            )
        )
    return found


def check_delivery(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """What the settings say of delivery, for one backend or for all, can be meant."""
    found: list[CheckMessage] = [
        checks.Error(sentence, id="post_office.E010") for sentence in policies.mistakes()
    ]
    if conf.UNKNOWN not in UNKNOWN_POLICIES:
        sentence = f"POST_OFFICE['UNKNOWN']: {conf.UNKNOWN!r} is none of {UNKNOWN_POLICIES}."
        found.append(checks.Error(sentence, id="post_office.E011"))
    if type(conf.MAX_CLAIMS) is not int or conf.MAX_CLAIMS < 2:
        sentence = f"POST_OFFICE['MAX_CLAIMS']: {conf.MAX_CLAIMS!r} is not a number of 2 or more."
        found.append(checks.Error(sentence, id="post_office.E011"))
    try:
        if conf.CLASSIFY is not None:
            import_string(conf.CLASSIFY)
    except ImportError as fault:
        sentence = f"POST_OFFICE['CLASSIFY']: {conf.CLASSIFY!r} cannot be imported: {fault}"
        found.append(checks.Error(sentence, id="post_office.E012"))
    return found


def check_mailers(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Every mailer of MAILERS that queues mail here leads to one that delivers it."""
    found: list[CheckMessage] = []
    for alias, entry in compat.mailers().items():
        if fault := _fault_of_mailer(alias, entry):
            found.append(checks.Error(f"MAILERS[{alias!r}] cannot be used: {fault}", id="post_office.E009"))
    queueing = aliases.queueing_mailers()
    for alias, delivering in _ways_out(queueing):
        if aliases.is_queue(delivering):
            found.append(
                checks.Error(
                    f"MAILERS[{alias!r}] queues mail in post_office, which would give it to "
                    f"MAILERS[{delivering!r}] and so queue it again.",
                    hint="Name a mailer that delivers in its option 'using', or in "
                    "POST_OFFICE['DEFAULT_MAILER'] for all.",
                    id="post_office.E002",
                )
            )
        elif delivering not in aliases.aliases():
            found.append(
                checks.Error(
                    f"MAILERS[{alias!r}] queues mail for the mailer {delivering!r}, which is not configured.",
                    hint="Name one of MAILERS in its option 'using'.",
                    id="post_office.E007",
                )
            )
    return found


def check_delivery_for_deployment(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """No mail is queued for a backend that is meant for development.

    Django has such a check for the default mailer, which cannot see what stands behind a queue.
    """
    return [
        checks.Warning(
            f"MAILERS[{alias!r}] queues mail for {delivering!r}, whose backend is one for development.",
            hint="It delivers nothing.",
            id="post_office.W002",
        )
        for alias, delivering in _ways_out(aliases.queueing_mailers())
        if aliases.is_for_development(delivering)
    ]


def check_webhooks(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """What WEBHOOKS says of SES and SparkPost is said in words that they know.

    Others may be there, for handlers of the project's own.
    """
    return [
        checks.Warning(
            f"POST_OFFICE['WEBHOOKS'][{provider!r}] has the key {key!r}, which nothing reads.",
            hint=f"It may have {', '.join(sorted(known))}.",
            id="post_office.W003",
        )
        for provider, known in WEBHOOK_KEYS.items()
        for key in sorted(set(conf.WEBHOOKS.get(provider, {})) - known)
    ]


def _fault_of_mailer(alias: str, entry: dict[str, Any]) -> Exception | None:
    """Return why a mailer cannot be made; of those that queue mail here, what is wrong with their options.

    Others are not made, as that is for Django and their own packages to check.
    """
    try:
        backend_class = import_string(entry.get("BACKEND", aliases.SMTP))
        if getattr(backend_class, aliases.QUEUES_MAIL, False):
            compat.mailer(alias)
    except Exception as fault:
        return fault
    return None


def _ways_out(queueing: Iterable[str]) -> list[tuple[str, str]]:
    return [(alias, aliases.delivering_alias(alias)) for alias in queueing]


def check_celery(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """With CELERY_ENABLED, there is a Celery."""
    if not conf.CELERY_ENABLED:
        return []
    try:
        import celery  # noqa: F401
    except ImportError as fault:
        return [
            checks.Error(
                f"POST_OFFICE['CELERY_ENABLED'] is set, and Celery cannot be imported: {fault}",
                hint="Install django-post_office[celery], or deliver by cron and leave the setting out.",
                id="post_office.E005",
            )
        ]
    return []


def check_tasks(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """What TASKS names is there, and does not deliver inside the request that queues."""
    if conf.TASKS is None:
        return []
    if reason := _why_tasks_cannot_work(conf.TASKS):
        return [checks.Error(f"POST_OFFICE['TASKS']: {reason}", id="post_office.E006")]
    alias = background.configured()["BACKEND"]
    framework = compat.tasks_framework()
    immediate = import_string(f"{framework.__name__}.backends.immediate.ImmediateBackend")
    if isinstance(framework.task_backends[alias], immediate):
        return [
            checks.Warning(
                f"POST_OFFICE['TASKS'] names the backend {alias!r}, an ImmediateBackend: mail is delivered "
                "by the request that queues it, which waits for that.",
                hint="Name a backend that has workers, such as the one of django-tasks-db.",
                id="post_office.W001",
            )
        ]
    return []


def _why_tasks_cannot_work(entry: Any) -> str:
    """Say what is wrong with TASKS; an empty string means nothing."""
    if not isinstance(entry, Mapping):
        return f"{entry!r} is not a dict such as {background.KEYS}."
    if unknown := entry.keys() - background.KEYS.keys():
        return f"{sorted(unknown)} are not known; the keys are {sorted(background.KEYS)}."
    alias, queue = background.configured().values()
    try:
        backend = compat.tasks_framework().task_backends[alias]
    except ImportError as fault:
        return f"Django 5.2 needs the package django-tasks for it: {fault}."
    except Exception as fault:  # the framework's own for an unknown alias, and anything of a third party's
        return f"the backend {alias!r} of Django's TASKS cannot be used: {fault}"
    if backend.queues and queue not in backend.queues:
        return f"the backend {alias!r} has no queue {queue!r}, only {sorted(backend.queues)}."
    return ""


def check_migration_modules(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """A project that once made a migration of its own for the contexts' class uses ours again."""
    module = getattr(settings, "MIGRATION_MODULES", {}).get("post_office")
    if module is None or _has_module(f"{module}.{FIRST_OF_OURS}"):
        return []
    return [
        checks.Error(
            f"MIGRATION_MODULES['post_office'] is {module!r}, which lacks the migrations of this version.",
            hint="Take it out: no choice of CONTEXT_FIELD_CLASS needs a migration of its own any more.",
            id="post_office.E008",
        )
    ]


def _has_module(path: str) -> bool:
    try:
        return find_spec(path) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


def check_migrations(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """A database stands before the migrations of django-post_office 3.x or after them all.

    `migrate` runs this before it loads migrations, where Django itself would stop with a KeyError
    or with "table already exists".
    """
    found: list[CheckMessage] = []
    for alias in databases or ():
        applied = _applied_migrations(alias)
        done = [name for name in LEGACY_MIGRATIONS if name in applied]
        # Our own migration has the name of the first, and Django 5.2 records that last: a database
        # with all the others is a new one whose "migrate" was interrupted.
        if done and not applied.issuperset(LEGACY_MIGRATIONS[1:]):
            found.append(
                checks.Error(
                    f"The database {alias!r} stopped part-way through the migrations of django-post_office "
                    f"3.x: {len(done)} of {len(LEGACY_MIGRATIONS)} are applied, the last is {done[-1]}.",
                    hint=(
                        "Finish them first: install django-post_office==3.12.0, run "
                        "'manage.py migrate post_office', then install this version again and migrate."
                    ),
                    id="post_office.E004",
                )
            )
    return found


def _applied_migrations(alias: str) -> set[str]:
    recorder = MigrationRecorder(database_connections[alias])
    return {name for app, name in recorder.applied_migrations() if app == "post_office"}
