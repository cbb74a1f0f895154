"""Which mail has rows beside it to be found by, and that they follow the mail."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client

from post_office import mail
from post_office.backends import EmailBackend
from post_office.enums import STATUS
from post_office.models import Addressee, Email

pytestmark = pytest.mark.django_db

# Recipients, copies and blind copies; and under what they are noted.
NOTED: list[tuple[str, tuple[Any, Any, Any], set[str]]] = [
    ("one bare address needs no row", ("ann@example.com", None, None), set()),
    ("nor does one in capitals", ("Ann@Example.com", None, None), set()),
    ("a display name does", ("Ann <Ann@Example.com>", None, None), {"ann@example.com"}),
    ("letters beyond ASCII do", ("Ann@Übung.example", None, None), {"ann@übung.example"}),
    (
        "several do, once each",
        (["a@example.com", "b@example.com", "A@example.com"], None, None),
        {"a@example.com", "b@example.com"},
    ),
    (
        "copies do, and with them the recipient",
        ("a@example.com", "b@example.com", "c@example.com"),
        {"a@example.com", "b@example.com", "c@example.com"},
    ),
    ("nobody does not", (None, None, None), set()),
]


def noted(email: Email) -> set[str]:
    return set(email.addressees.values_list("address", flat=True))


@pytest.mark.parametrize(("recipients", "addresses"), [case[1:] for case in NOTED], ids=[c[0] for c in NOTED])
@pytest.mark.parametrize("how", ["send", "send_many", "save"])
def test_mail_is_noted_however_it_is_queued(
    how: str, recipients: tuple[Any, Any, Any], addresses: set[str]
) -> None:
    to, cc, bcc = recipients
    given = {"recipients": to, "cc": cc, "bcc": bcc, "sender": "me@example.com"}
    if how == "send":
        mail.send(**given)
    elif how == "send_many":
        mail.send_many([given, given])
    else:
        listed = {
            name: [value] if isinstance(value, str) else value or []
            for name, value in (("to", to), ("cc", cc), ("bcc", bcc))
        }
        Email.objects.create(from_email="me@example.com", **listed)
    for email in Email.objects.all():
        assert noted(email) == addresses


def test_a_message_of_django_is_noted() -> None:
    EmailBackend().send_messages([EmailMessage("s", "b", "me@example.com", ["a@x.com"], cc=["B <b@x.com>"])])
    assert noted(Email.objects.get()) == {"a@x.com", "b@x.com"}


def test_a_changed_recipient_changes_what_is_noted() -> None:
    email = Email.objects.create(from_email="me@example.com", to=["a@example.com", "b@example.com"])
    email.to = ["b@example.com", "c@example.com"]
    email.save()
    assert noted(email) == {"b@example.com", "c@example.com"}
    email.to = ["c@example.com"]
    email.save(update_fields=["to"])
    assert noted(email) == set()


def test_an_edit_in_the_admin_changes_what_is_noted(admin_client: Client) -> None:
    email = mail.send("ann@example.com", "me@example.com", subject="x", message="x")
    form = {
        "from_email": "me@example.com",
        "to": "bob@example.com",
        "cc": "carol@example.com",
        "priority": "2",
    }
    management = {
        f"{rows}-{kind}_FORMS": "0" for rows in ("Attachment_emails", "logs") for kind in ("TOTAL", "INITIAL")
    }
    response = admin_client.post(f"/admin/post_office/email/{email.pk}/change/", {**form, **management})
    assert response.status_code == 302
    assert noted(email) == {"bob@example.com", "carol@example.com"}


def test_a_mail_takes_its_rows_along_when_it_goes() -> None:
    email = mail.send(["a@example.com", "b@example.com"], "me@example.com", message="x")
    email.delete()
    assert not Addressee.objects.exists()


def test_the_columns_that_come_to_an_end_touch_nothing(django_assert_num_queries: Any) -> None:
    email = mail.send(["a@example.com", "b@example.com"], "me@example.com", message="x")
    with django_assert_num_queries(1):
        email.save(update_fields=["status"])


def test_mail_of_before_is_noted_by_the_migration() -> None:
    several = mail.send(["a@example.com", "b@example.com"], "me@example.com", message="x")
    sent = mail.send("a@example.com", "me@example.com", message="x")
    Email.objects.filter(pk=sent.pk).update(status=STATUS.sent)
    Addressee.objects.all().delete()
    migration = import_module("post_office.migrations.0015_noting")
    editor = SimpleNamespace(connection=connection)
    for _ in range(2):  # it may be started again
        migration.note_addressees(apps, editor)
        migration.count_the_last_week(apps, editor)
    assert noted(several) == {"a@example.com", "b@example.com"}
    assert Addressee.objects.count() == 2
    tally = apps.get_model("post_office", "Tally").objects.get()
    assert (tally.sent, tally.failed) == (1, 0)
