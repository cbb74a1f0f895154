"""What the quick insert writes is what `bulk_create` would have written."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, transaction
from django.db.models import DEFERRED
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from post_office import bulk_insert, compose
from post_office.models import Email

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def returns_rows(db: None) -> None:
    if not connection.features.can_return_rows_from_bulk_insert:
        pytest.skip("Emails are inserted one by one on such a database.")


# Set by the database or by the moment.
OF_ITS_OWN = {"id", "created", "last_updated", "due_at"}


def unsaved(number: int, **arguments: Any) -> Email:
    given = {"recipients": f"ann{number}@example.com", "sender": "me@example.com", **arguments}
    return compose.draft(**given).email


def columns(email: Email) -> dict[str, Any]:
    (found,) = Email.objects.filter(pk=email.pk).values()
    return {name: value for name, value in found.items() if name not in OF_ITS_OWN}


VARIANTS: list[dict[str, Any]] = [
    {},
    {"subject": "Ünï \\ \t 'quoted' \"double\"", "message": "a\\nb\nc\r\n\\.", "html_message": "<p>%s</p>"},
    {"cc": ["c@example.com", '"Doe, John" <john@example.com>'], "bcc": "b@example.com"},
    {"headers": {"X-A": "1", "X-B": 'say "ä"'}, "tags": ["a", "b c"], "metadata": {"n": 1.5, "t": None}},
    {"scheduled_time": timezone.now() + timedelta(days=1), "expires_at": timezone.now() + timedelta(days=2)},
    {"priority": "high", "idempotency_key": "k", "max_retries": 3, "on_unknown": "hold"},
    {"subject": "\\N", "message": "NULL"},
]


@pytest.mark.parametrize("rows", [1, 3, bulk_insert.WORTH_A_COPY, 2 * bulk_insert.ROWS + 7])
def test_rows_are_those_that_bulk_create_writes(rows: int) -> None:
    ours = [unsaved(number, **VARIANTS[number % len(VARIANTS)]) for number in range(rows)]
    for number, email in enumerate(ours):
        email.idempotency_key = email.idempotency_key and f"{email.idempotency_key}{number}"
    theirs = copy.deepcopy(ours)

    with transaction.atomic():
        bulk_insert.insert(ours, DEFAULT_DB_ALIAS)
    quick = [columns(email) for email in ours]
    Email.objects.all().delete()
    Email.objects.bulk_create(theirs)

    assert quick == [columns(email) for email in theirs]


@pytest.mark.parametrize("rows", [2, 50])
def test_emails_know_what_they_are_in_the_database(rows: int) -> None:
    emails = [unsaved(number) for number in range(rows)]
    bulk_insert.insert(emails, DEFAULT_DB_ALIAS)
    for number, email in enumerate(emails):
        assert not email._state.adding
        assert email._state.db == DEFAULT_DB_ALIAS
        stored = Email.objects.get(pk=email.pk)
        assert stored.to == [f"ann{number}@example.com"]
        assert (stored.created, stored.last_updated) == (email.created, email.last_updated)
        assert stored.due_at == email.due_at == stored.created


@pytest.mark.parametrize("rows", [3, 50])
def test_what_the_database_refuses_is_an_error_of_django_s(rows: int) -> None:
    emails = [unsaved(number, idempotency_key="the same") for number in range(rows)]
    with pytest.raises(IntegrityError), transaction.atomic():
        bulk_insert.insert(emails, DEFAULT_DB_ALIAS)
    assert not Email.objects.exists()


def test_postgresql_gets_many_rows_by_copy(django_assert_num_queries: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL alone has COPY.")
    emails = [unsaved(number) for number in range(bulk_insert.WORTH_A_COPY)]
    with django_assert_num_queries(2) as captured:
        bulk_insert.insert(emails, DEFAULT_DB_ALIAS)
    assert [query["sql"].split()[0] for query in captured.captured_queries] == ["SELECT", "COPY"]
    assert Email.objects.count() == len(emails)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    subject=st.one_of(st.text(max_size=30), st.integers(980, 1000).map("s".__mul__)),
    sender=st.one_of(
        st.sampled_from(["", "me@example.com", "Me <me@example.com>", "me", "a@b, c@d", "a@b.de\x85"]),
        st.integers(235, 245).map(lambda length: f"{'x' * length} <me@example.com>"),
    ),
    priority=st.integers(-1, 5),
    message_id=st.integers(235, 245).map(lambda length: f"<{'m' * length}@example.com>"),
    context=st.sampled_from([None, {}, {"a": 1}, {"a": object()}]),
    related_type=st.sampled_from(["", "shop.order", "x" * 300]),
)
def test_an_email_taken_for_plain_is_one_that_the_model_accepts(**values: Any) -> None:
    email = unsaved(1)
    email.from_email = values.pop("sender")
    for name, value in values.items():
        setattr(email, name, value)
    if compose._is_plain(email):
        email.full_clean(validate_unique=False)


def test_an_email_made_quickly_is_the_one_that_the_constructor_makes() -> None:
    given: dict[str, Any] = {"to": ["a@example.com"], "subject": "Hi", "priority": 2}
    quick, slow = compose._new_email(**given), Email(**given)
    assert compose._is_plain(compose.draft(recipients="a@example.com", sender="b@example.com").email)
    for field in Email._meta.concrete_fields:
        name = field.attname
        assert quick.__dict__.get(name, DEFERRED) == slow.__dict__.get(name, DEFERRED), name
    assert quick._state.adding
