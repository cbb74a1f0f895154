"""The list of mails: what is found by which search and filter, what it costs, and what it says of that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_office import mail
from post_office.enums import STATUS
from post_office.models import Email, EmailTemplate, Log
from post_office.queue import claims, liveness
from post_office.queue.depth import MANY

pytestmark = pytest.mark.django_db

LIST = "/admin/post_office/email/"
HOUR = timedelta(hours=1)


def send(recipients: Any = "ann@example.com", **arguments: Any) -> Email:
    return mail.send(recipients, "me@example.com", **{"subject": "Hello", "message": "x", **arguments})


def found(client: Client, **query: Any) -> list[Email]:
    response = client.get(LIST, query)
    assert response.status_code == 200, response
    return list(response.context["cl"].result_list)


def text_of(client: Client, **query: Any) -> str:
    response = client.get(LIST, query)
    assert response.status_code == 200
    return str(response.content.decode())


def many(number: int) -> None:
    Email.objects.bulk_create(
        Email(from_email="me@example.com", to=["ann@example.com"], status=STATUS.sent, message_id=f"<{key}>")
        for key in range(number)
    )


# --- search -----------------------------------------------------------------------------------

# How a mail has the address that is looked for, and how somebody may write it.
RECIPIENTS: list[tuple[str, dict[str, Any]]] = [
    ("as its only recipient", {"recipients": "bob@example.com"}),
    ("in other letters", {"recipients": "Bob@Example.COM"}),
    ("with a display name", {"recipients": '"Bob, the builder" <bob@example.com>'}),
    ("among several", {"recipients": ["carol@example.com", "bob@example.com"]}),
    ("as a copy", {"cc": "Bob <BOB@example.com>"}),
    ("as a blind copy", {"bcc": ["bob@example.com"]}),
    ("beside letters that are not ASCII", {"recipients": ["ann@übung.example", "bob@example.com"]}),
]


@pytest.mark.parametrize("arguments", [case[1] for case in RECIPIENTS], ids=[case[0] for case in RECIPIENTS])
@pytest.mark.parametrize("typed", ["bob@example.com", "BOB@EXAMPLE.com", " Bob <bob@example.com> "])
def test_a_whole_address_finds_its_mail_and_no_other(
    arguments: dict[str, Any], typed: str, admin_client: Client
) -> None:
    send("ann@example.com")
    send("notbob@example.com")
    send(["bob@example.com.org", "bobby@example.com"])
    sought = send(**arguments)
    assert found(admin_client, q=typed) == [sought]


def test_an_address_finds_mail_of_all_kinds_the_newest_first(admin_client: Client) -> None:
    sought = [send("bob@example.com"), send(cc="bob@example.com"), send("Bob <bob@example.com>")]
    send("ann@example.com")
    assert found(admin_client, q="bob@example.com") == sought[::-1]


def test_an_address_is_found_among_what_is_filtered(admin_client: Client) -> None:
    failed, waiting = send("bob@example.com"), send(cc="bob@example.com")
    Email.objects.filter(pk=failed.pk).update(status=STATUS.failed)
    assert found(admin_client, q="bob@example.com", status__exact=STATUS.failed) == [failed]
    assert found(admin_client, q="bob@example.com", status__exact=STATUS.queued) == [waiting]


@pytest.mark.parametrize("form", ["{}", "<{}>"])
def test_a_whole_message_id_finds_its_mail(form: str, admin_client: Client) -> None:
    send()
    sought = send()
    Email.objects.filter(pk=sought.pk).update(message_id="<1234.5678@mail.example.com>")
    assert found(admin_client, q=form.format("1234.5678@mail.example.com")) == [sought]


def test_a_message_id_of_a_host_without_a_domain_is_found(admin_client: Client) -> None:
    send()
    sought = send()
    Email.objects.filter(pk=sought.pk).update(message_id="<1@host>")
    assert found(admin_client, q="<1@host>") == [sought] == found(admin_client, q="1@host")


# By what a text is found in parts.
PARTS = [
    ("part of an address", "b@exam"),
    ("part of a domain", "@example.net"),
    ("words of the subject, in any order", "seven invoice"),
    ("a tag", "billing"),
    ("part of a Message-ID", "5678@mail"),
]


@pytest.mark.parametrize("typed", [part[1] for part in PARTS], ids=[part[0] for part in PARTS])
def test_part_of_a_text_finds_mail_and_says_that_it_takes_longer(typed: str, admin_client: Client) -> None:
    send()
    sought = send(
        "bob@example.net", subject="Your invoice number seven", cc="b@example.org", tags=["billing"]
    )
    Email.objects.filter(pk=sought.pk).update(message_id="<1234.5678@mail.example.com>")
    assert found(admin_client, q=typed) == [sought]
    assert "This was looked for in parts of texts" in text_of(admin_client, q=typed)


def test_an_address_that_is_not_found_is_offered_to_be_looked_for_in_parts(admin_client: Client) -> None:
    sought = send("bob@example.com.au")
    text = text_of(admin_client, q="bob@example.com")
    assert "No email has exactly this recipient or Message-ID." in text
    assert "This was looked for in parts" not in text
    assert 'href="?q=bob%40example.com&amp;search=parts"' in text
    assert found(admin_client, q="bob@example.com", search="parts") == [sought]
    assert "This was looked for in parts" in text_of(admin_client, q="bob@example.com", search="parts")


def test_what_is_typed_is_shown_as_text(admin_client: Client) -> None:
    hostile = '"><script>alert(1)</script>@example.com'
    for query in ({"q": hostile}, {"q": f"<{hostile}>"}, {"reason": f"{hostile}:550"}, {"reason": hostile}):
        assert "<script>alert(1)" not in text_of(admin_client, **query)


def test_hostile_columns_are_shown_as_text(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="<script>1</script>", subject="<script>2</script>")
    hostile = send('"<script>3</script>" <ann@example.com>', subject="<script>4</script>")
    send(template=template, subject="", message="", render_on_delivery=True, context={})
    Email.objects.filter(pk=hostile.pk).update(backend_alias="<script>5</script>")
    text = text_of(admin_client)
    assert not [number for number in range(1, 6) if f"<script>{number}" in text]
    assert text.count("&lt;script&gt;") >= 4


# --- filters ----------------------------------------------------------------------------------


@pytest.fixture
def mails() -> dict[str, Email]:
    """A mail of each kind that a filter tells from the others."""
    now = timezone.now()
    template = EmailTemplate.objects.create(name="welcome", subject="Hi", content="x")
    german = template.translated_templates.create(language="de", subject="Hallo", content="x")
    made = {
        "due": send(),
        "scheduled": send(scheduled_time=now + HOUR),
        "retry": send(scheduled_time=now + HOUR),
        "held": send(),
        "sent": send(),
        "failed": send(),
        "high": send(priority="high"),
        "german": send(template=german, subject="", message=""),
        "gone": send(),
        "old": send(),
    }
    changes: dict[str, dict[str, Any]] = {
        "retry": {"status": STATUS.requeued},
        "sent": {"status": STATUS.sent},
        "failed": {"status": STATUS.failed},
        "gone": {"backend_alias": "gone"},
        "old": {"created": now - 400 * 24 * HOUR, "status": STATUS.canceled},
    }
    for name, columns in changes.items():
        Email.objects.filter(pk=made[name].pk).update(**columns)
    assert claims.claim_one(made["held"], liveness.register(now), now)
    Log.objects.create(
        email=made["failed"], status=STATUS.failed, message="no", exception_type="SMTPDataError", code=554
    )
    return made


YEAR = str(timezone.now() - 300 * 24 * HOUR)
# What the query string says, and which mails are left.
FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"status__exact": STATUS.sent}, {"sent"}),
    ({"status__exact": STATUS.canceled}, {"old"}),
    ({"status__isnull": "True"}, set()),
    ({"waiting": "due"}, {"due", "held", "high", "german", "gone"}),
    ({"waiting": "scheduled"}, {"scheduled"}),
    ({"waiting": "retry"}, {"retry"}),
    ({"waiting": "held"}, {"held"}),
    ({"priority__exact": 2}, {"high"}),
    ({"backend_alias": "-"}, {"gone"}),
    ({"template__name": "welcome"}, {"german"}),
    ({"template__language": "de"}, {"german"}),
    ({"created__lt": YEAR}, {"old"}),
    ({"created__gte": YEAR, "status__exact": STATUS.failed}, {"failed"}),
    ({"reason": "SMTPDataError:554"}, {"failed"}),
    ({"reason": "SMTPDataError:550"}, set()),
    ({"reason": "SMTPDataError:"}, set()),
]


@pytest.mark.parametrize(("query", "names"), FILTERS, ids=["+".join(case[0]) for case in FILTERS])
def test_a_filter_leaves(
    query: dict[str, Any], names: set[str], mails: dict[str, Email], admin_client: Client
) -> None:
    left = {email.pk for email in found(admin_client, **query)}
    assert {name for name, email in mails.items() if email.pk in left} == names


def test_a_filter_that_makes_no_sense_leads_back_to_the_list(admin_client: Client) -> None:
    assert admin_client.get(LIST, {"status__exact": "x"}).status_code == 302


def test_what_is_due_comes_in_the_order_of_its_time(admin_client: Client) -> None:
    early, late = send(), send()
    Email.objects.filter(pk=late.pk).update(scheduled_time=timezone.now() - HOUR)
    assert found(admin_client, waiting="due") == [late, early]


def test_the_list_is_sorted_by_nothing_that_has_no_index(admin_client: Client) -> None:
    first, second = send("bob@example.com"), send("ann@example.com")
    columns = admin_client.get(LIST).context["cl"].list_display
    for number, column in enumerate(columns):
        for order in (str(number), f"-{number}"):
            response = admin_client.get(LIST, {"o": order})
            sorts = column in ("id", "queued") and not order.startswith("-")
            expected = [first, second] if sorts else [second, first]
            assert list(response.context["cl"].result_list) == expected, column


# --- columns ----------------------------------------------------------------------------------


def test_the_list_says_when_a_mail_was_sent(admin_client: Client) -> None:
    send()
    assert '<td class="field-sent">-</td>' in text_of(admin_client)
    Email.objects.update(status=STATUS.sent, last_updated="2020-02-03T10:20:00Z")
    assert '<td class="field-sent">02/03/2020 10:20 a.m.</td>' in text_of(admin_client)


# --- what it costs ----------------------------------------------------------------------------


def test_the_list_counts_no_further_than_it_says(admin_client: Client) -> None:
    many(MANY + 1)
    text = text_of(admin_client)
    assert "more than 10,000 emails" in text
    assert f"ll {MANY}" not in text
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(LIST, {"p": 200})
    assert len(page.context["cl"].result_list) == 50
    counts = [query["sql"] for query in queries if "COUNT" in query["sql"]]
    assert all(f"LIMIT {MANY}" in sql for sql in counts), counts


# The searches and filters that are to be answered by an index, whatever there is in the table.
QUICK: list[dict[str, Any]] = [
    {},
    {"q": "bob@example.com"},
    {"q": "carol@example.com"},
    {"q": "dave@example.com"},
    {"q": "<1@host>"},
    {"status__exact": STATUS.failed},
    {"status__exact": STATUS.sent},
    {"waiting": "due"},
    {"waiting": "scheduled"},
    {"waiting": "retry"},
    {"waiting": "held"},
    {"backend_alias": "-"},
    {"created__gte": str(timezone.now() - 24 * HOUR)},
    {"o": "8"},
]


def test_the_column_that_is_sorted_by_is_the_one_meant(admin_client: Client) -> None:
    assert admin_client.get(LIST).context["cl"].list_display[8] == "queued"


def plans(query: dict[str, Any], client: Client) -> Iterator[str]:
    """Yield the plans of all that the list asks of the table of emails."""
    with CaptureQueriesContext(connection) as captured:
        found(client, **query)
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}.get(connection.vendor, "EXPLAIN")
    for sql in [entry["sql"] for entry in captured if 'FROM "post_office_email"' in entry["sql"]]:
        with connection.cursor() as cursor:
            cursor.execute(f"{explain} {sql}")
            yield "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


@pytest.mark.skipif(connection.vendor == "mysql", reason="its plans are those of an empty table")
@pytest.mark.parametrize("query", QUICK, ids="+".join)
def test_the_list_reads_no_more_than_it_shows(query: dict[str, Any], admin_client: Client) -> None:
    many(400)
    send("bob@example.com")
    send(["bob@example.com", "carol@example.com"])
    send("dave@example.com")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            # A small table is sooner read as a whole, and sorted; this one stands for a large one.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
    for plan in plans(query, admin_client):
        assert "Seq Scan on post_office_email" not in plan, plan
        assert not re.search(r"(?<!Incremental )Sort  \(", plan) or "q" in query, plan
        # On SQLite, to scan by the key in the order of the list is what stops after a page.
        bare = "SCAN post_office_email" in plan and "USING" not in plan
        assert not bare or query == {}, plan


def test_the_list_asks_few_questions_however_long_it_is(admin_client: Client) -> None:
    for query in QUICK:
        with CaptureQueriesContext(connection) as captured:
            found(admin_client, **query)
        assert len(captured) <= 12, query


# --- who may ----------------------------------------------------------------------------------


def test_only_who_may_see_emails_may_search_them(client: Client) -> None:
    user = User.objects.create_user("staff", password="x", is_staff=True)
    client.force_login(user)
    assert client.get(LIST, {"q": "ann@example.com"}).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_email"))
    assert client.get(LIST, {"q": "ann@example.com"}).status_code == 200
