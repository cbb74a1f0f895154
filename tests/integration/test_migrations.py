"""Databases of django-post_office 3.x are adopted, or refused with the way out."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from post_office import mail
from post_office.checks import check_migration_modules, check_migrations
from post_office.migrations._legacy import LEGACY_MIGRATIONS
from post_office.models import STATUS, Email, Log

pytestmark = pytest.mark.django_db(transaction=True)


def recorded() -> set[str]:
    applied = MigrationRecorder(connection).applied_migrations()
    return {name for app, name in applied if app == "post_office"}


def migrate(*arguments: str) -> str:
    out = StringIO()
    call_command("migrate", "post_office", *arguments, verbosity=1, stdout=out)
    return out.getvalue()


@pytest.fixture
def at_0014() -> Any:
    """The schema and the records as django-post_office 3.12 leaves them."""
    migrate("0001")
    recorder = MigrationRecorder(connection)
    for name in LEGACY_MIGRATIONS:
        recorder.record_unapplied("post_office", name)
        recorder.record_applied("post_office", name)
    yield
    for name in LEGACY_MIGRATIONS:
        recorder.record_unapplied("post_office", name)
        recorder.record_applied("post_office", name)
    migrate()


def insert_as_old_code_does(**columns: Any) -> None:
    """Insert an email by naming the old columns only."""
    now = timezone.now()
    values = {
        "from_email": "me@example.com", "to": "ann@example.com", "cc": "", "bcc": "", "subject": "old",
        "message": "text", "html_message": "", "status": STATUS.queued, "priority": 1, "created": now,
        "last_updated": now, "backend_alias": "", **columns,
    }  # fmt: skip
    quote = connection.ops.quote_name
    names = ", ".join(quote(name) for name in values)
    places = ", ".join(["%s"] * len(values))
    adapted = [
        connection.ops.adapt_datetimefield_value(value) if hasattr(value, "year") else value
        for value in values.values()
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO post_office_email ({names}) VALUES ({places})", adapted)


@pytest.mark.usefixtures("at_0014")
def test_a_database_at_0014_is_adopted_with_its_mail() -> None:
    insert_as_old_code_does()
    insert_as_old_code_does(status=STATUS.sent, message_id="<1@example.com>")
    done = migrate()
    assert "0001_initial" not in done
    assert "0002_claims... OK" in done
    assert mail.send_queued() == (1, 0, 0)
    assert Email.objects.filter(status=STATUS.sent).count() == 2
    assert Log.objects.count() == 1


def test_old_code_can_go_on_inserting_beside_us() -> None:
    insert_as_old_code_does()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO post_office_log (date, status, exception_type, message, email_id) "
            "SELECT created, 0, '', '', id FROM post_office_email"
        )
    assert mail.send_queued() == (1, 0, 0)


def test_other_apps_may_depend_on_any_of_the_old_names() -> None:
    assert set(LEGACY_MIGRATIONS) <= recorded()


@pytest.mark.usefixtures("at_0014")
def test_a_new_database_whose_migrate_was_interrupted_is_not_taken_for_an_old_one() -> None:
    """Django 5.2 records the name of a replacing migration last."""
    MigrationRecorder(connection).record_unapplied("post_office", LEGACY_MIGRATIONS[0])
    assert check_migrations(databases=["default"]) == []


@pytest.mark.parametrize("applied", [1, 2, 9, 13])
@pytest.mark.usefixtures("at_0014")
def test_a_database_that_stopped_part_way_is_refused_with_the_way_out(applied: int) -> None:
    recorder = MigrationRecorder(connection)
    for name in LEGACY_MIGRATIONS[applied:]:
        recorder.record_unapplied("post_office", name)
    with pytest.raises(SystemCheckError) as refusal:
        call_command("migrate", "post_office", skip_checks=False, stdout=StringIO(), stderr=StringIO())
    sentence = str(refusal.value)
    assert "post_office.E004" in sentence
    assert f"{applied} of 14 are applied, the last is {LEGACY_MIGRATIONS[applied - 1]}" in sentence
    assert "install django-post_office==3.12.0" in sentence


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("tests", ["post_office.E008"]),
        ("no.such.module", ["post_office.E008"]),
        # None turns migrations off, as some do in tests.
        (None, []),
        ("post_office.migrations", []),
    ],
)
def test_migrations_of_the_projects_own_that_lack_ours_are_refused(
    module: str | None, found: list[str], settings: Any
) -> None:
    settings.MIGRATION_MODULES = {"post_office": module}
    assert [message.id for message in check_migration_modules()] == found


def indexes() -> dict[str, str]:
    """Return the indexes of the tables of emails and of their log, by name, on PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'post_office_%'")
        return dict(cursor.fetchall())


def test_on_postgresql_mail_is_in_no_index_of_what_it_has_not() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Others write to those indexes only whose columns change.")
    lean = indexes()
    migrate("0015")
    before = indexes()
    migrate()
    assert indexes() == lean
    gone = {name for name in before if name not in lean}
    assert {name.rpartition("_")[2] for name in gone} == {"013a896c", "like"}
    changed = {name for name in lean if lean[name] != before[name]}
    assert changed == {
        f"post_office_email_{what}" for what in ("provider_id", "related", "template_id_417da7da")
    }
    for name in changed:
        assert " WHERE " in lean[name]
        assert before[name] == lean[name].partition(" WHERE ")[0]


@pytest.mark.parametrize(
    ("found", "index"),
    [
        ({"provider_id": "abc"}, "post_office_email_provider_id"),
        ({"related_type": "shop.order", "related_id": "7"}, "post_office_email_related"),
        ({"template": 7}, "post_office_email_template_id_417da7da"),
        # that of the lanes, or of status and id
        ({"status": STATUS.failed}, "post_office_email_"),
    ],
)
def test_on_postgresql_what_mail_has_is_found_by_its_index(found: dict[str, Any], index: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL has these indexes.")
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
    try:
        assert index in Email.objects.filter(**found).explain()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET enable_seqscan")
