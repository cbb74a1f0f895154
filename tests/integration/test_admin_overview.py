"""The overview: what it says of the queue, who may see it and pull its brakes, and what it costs."""

from __future__ import annotations

import re
import smtplib
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from post_office import mail
from post_office.admin import charts
from post_office.delivery import policies
from post_office.delivery.worker import WorkerLoop
from post_office.enums import PRIORITY, STATUS
from post_office.models import BackendState, Dispatcher, Email, Log, Tally
from post_office.queue import brakes, claims, environment, limits, liveness, reasons, tallies
from post_office.queue.limits import Demand, Limit
from post_office.queue.reasons import Reason
from post_office.queue.tallies import Tallied
from post_office.slots import slot_of

pytestmark = pytest.mark.django_db

OVERVIEW = "/admin/post_office/email/overview/"
BACKENDS = "/admin/post_office/backendstate/"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def page(client: Client) -> str:
    response = client.get(OVERVIEW)
    assert response.status_code == 200
    return str(response.content.decode())


def tiles(client: Client) -> dict[str, str]:
    return {tile.label: tile.value for tile in client.get(OVERVIEW).context["tiles"]}


def notices(client: Client) -> list[str]:
    return [notice.text for notice, _ in client.get(OVERVIEW).context["notices"]]


def send(**arguments: Any) -> Email:
    return mail.send("ann@example.com", "me@example.com", **{"subject": "Hello", "message": "x", **arguments})


def many(number: int, **columns: Any) -> None:
    Email.objects.bulk_create(
        Email(**{"from_email": "me@example.com", "to": ["ann@example.com"], **columns}) for _ in range(number)
    )


def failed(exception_type: str = "SMTPDataError", code: int | None = 554, message: str = "no") -> Email:
    email = send()
    Email.objects.filter(pk=email.pk).update(status=STATUS.failed)
    Log.objects.create(
        email=email, status=STATUS.failed, exception_type=exception_type, code=code, message=message
    )
    return email


def program(**columns: Any) -> Dispatcher:
    now = timezone.now()
    values = {"host": "elsewhere", "boot": "other", "pid": 4711, "started_at": now - HOUR, "beat_at": now}
    return Dispatcher.objects.create(command="run_dispatcher", **{**values, **columns})


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("-".join(permissions) or "nobody", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


# --- who may ----------------------------------------------------------------------------------


def test_the_overview_is_for_those_who_may_see_emails(client: Client) -> None:
    assert reverse("admin:post_office_overview") == OVERVIEW
    assert client.get(OVERVIEW).status_code == 302
    assert staff().get(OVERVIEW).status_code == 403
    assert staff("view_log").get(OVERVIEW).status_code == 403
    assert staff("view_email").get(OVERVIEW).status_code == 200
    assert staff("change_email").get(OVERVIEW).status_code == 200


def test_the_overview_takes_no_orders(admin_client: Client) -> None:
    assert admin_client.post(OVERVIEW).status_code == 405


def test_the_index_of_the_app_and_the_list_lead_to_it(admin_client: Client) -> None:
    for url in ("/admin/post_office/", "/admin/post_office/email/"):
        assert f'href="{OVERVIEW}"' in admin_client.get(url).content.decode()
    assert OVERVIEW not in staff("view_log").get("/admin/post_office/").content.decode()


def test_a_brake_is_pulled_from_the_overview_by_who_may(admin_client: Client) -> None:
    send()
    order = {"alias": "default", "verb": "pause", "next": "overview"}
    assert staff("view_email", "view_backendstate").post(BACKENDS, order).status_code == 403
    assert not BackendState.objects.exists()
    response = admin_client.post(BACKENDS, order, follow=True)
    assert response.redirect_chain == [(OVERVIEW, 302)]
    assert "Paused: default." in response.content.decode()
    assert brakes.read().is_paused("default")
    assert LogEntry.objects.get().get_change_message() == "Paused: default."
    admin_client.post(BACKENDS, {**order, "verb": "resume"})
    assert not brakes.read().is_paused("default")


def test_an_order_from_elsewhere_leads_back_to_where_it_was(admin_client: Client) -> None:
    order = {"alias": "default", "verb": "pause", "next": "//evil.example.com"}
    assert admin_client.post(BACKENDS, order)["Location"] == BACKENDS


def test_who_may_only_look_gets_no_buttons() -> None:
    viewer, puller = staff("view_email"), staff("view_email", "change_backendstate")
    assert "<button" not in page(viewer).partition("post-office-backends")[2]
    assert page(puller).count('name="verb" value="pause"') == 2


# --- what it says -----------------------------------------------------------------------------


def test_it_counts_what_waits(admin_client: Client) -> None:
    now = timezone.now()
    send(), send()
    send(scheduled_time=now + HOUR)
    retried = send(scheduled_time=now + HOUR)
    Email.objects.filter(pk=retried.pk).update(status=STATUS.requeued)
    held = send()
    assert claims.claim_one(held, liveness.register(now), now)
    Email.objects.filter(pk=held.pk).update(scheduled_time=now - 3 * HOUR)
    assert tiles(admin_client) == {
        "Due": "3",
        "Oldest due email": "3\xa0hours",
        "Being delivered": "1",
        "Waiting for another try": "1",
        "Scheduled": "1",
        "Sent today": "0",
        "Failed today": "0",
    }


def test_every_figure_leads_to_the_mails_that_it_counts(admin_client: Client) -> None:
    due, later = send(), send(scheduled_time=timezone.now() + HOUR)
    found = {
        tile.label: [email.pk for email in admin_client.get(tile.url).context["cl"].result_list]
        for tile in admin_client.get(OVERVIEW).context["tiles"]
        if tile.url
    }
    assert found == {
        "Due": [due.pk],
        "Being delivered": [],
        "Waiting for another try": [],
        "Scheduled": [later.pk],
        "Sent today": [],
        "Failed today": [],
    }


class Refusing(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        raise smtplib.SMTPDataError(554, b"no")


def test_what_was_sent_and_failed_is_counted_as_it_is_settled(
    admin_client: Client, django_capture_on_commit_callbacks: Any, settings: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        send().dispatch()
        send().dispatch()
        settings.POST_OFFICE = {**settings.POST_OFFICE, "BACKENDS": {"default": f"{__name__}.Refusing"}}
        send().dispatch()
    shown = tiles(admin_client)
    assert (shown["Sent today"], shown["Failed today"]) == ("2", "1")


def test_yesterday_is_not_today(admin_client: Client) -> None:
    now = timezone.now()
    midnight = charts.midnight(now)
    Tally.objects.create(slot=slot_of(midnight), part=0, sent=5, failed=1)
    Tally.objects.create(slot=slot_of(midnight), part=1, sent=1, failed=1)
    Tally.objects.create(slot=slot_of(midnight) - 1, part=0, sent=100, failed=100)
    shown = tiles(admin_client)
    assert (shown["Sent today"], shown["Failed today"]) == ("6", "2")


def test_a_count_ends_where_nobody_reads_on(admin_client: Client) -> None:
    many(1001, status=STATUS.queued, priority=PRIORITY.low)
    assert tiles(admin_client)["Due"] == "1,000+"


def test_why_mail_failed_leads_to_the_mails(admin_client: Client) -> None:
    mails = [failed(), failed(message="<b>no</b> such user"), failed("ConnectionResetError", None)]
    # What counts is how it ended.
    Log.objects.create(email=mails[2], status=STATUS.failed, exception_type="TimeoutError", message="late")
    response = admin_client.get(OVERVIEW)
    told = [
        (
            failure.reason.name,
            failure.number,
            [email.pk for email in admin_client.get(url).context["cl"].result_list],
        )
        for failure, url in response.context["failures"]
    ]
    assert told == [
        ("SMTPDataError 554", 2, [mails[1].pk, mails[0].pk]),
        ("TimeoutError", 1, [mails[2].pk]),
    ]
    assert "&lt;b&gt;no&lt;/b&gt; such user" in response.content.decode()
    assert "<b>no</b>" not in response.content.decode()


def test_no_more_failures_are_read_than_it_says() -> None:
    for code in (550, 551, 552):
        failed(code=code)
    found, all_of_them = reasons.failures(looked_at=2)
    assert {failures.reason.code for failures in found} == {551, 552}
    assert not all_of_them


@pytest.mark.parametrize("reason", [Reason("SMTPDataError", 554), Reason("TimeoutError"), Reason("", 421)])
def test_a_reason_can_be_read_back(reason: Reason) -> None:
    assert Reason.parse(reason.key) == reason


@pytest.mark.parametrize("key", ["", "SMTPDataError", "SMTPDataError:x", "A:99999", "A:²"])
def test_what_is_no_reason_is_none(key: str) -> None:
    assert Reason.parse(key) is None


def test_dispatchers_are_alive_or_dead(admin_client: Client) -> None:
    now = timezone.now()
    program(host="good.example.com")
    program(host="bad.example.com", beat_at=now - HOUR, started_at=now - DAY)
    states = {entry.row.host: entry.state for entry, _ in admin_client.get(OVERVIEW).context["dispatchers"]}
    assert states == {"good.example.com": "alive", "bad.example.com": "dead"}
    assert "No dispatcher was seen lately." not in page(admin_client)


# --- backends ---------------------------------------------------------------------------------


def test_a_backend_says_how_it_is(admin_client: Client, settings: Any) -> None:
    now = timezone.now()
    settings.POST_OFFICE = {
        **settings.POST_OFFICE,
        "BACKENDS": {
            name: {"BACKEND": "django.core.mail.backends.locmem.EmailBackend", **more}
            for name, more in {
                "default": {},
                "paused": {},
                "broken": {},
                "slowed": {},
                "limited": {"RATE": "1/hour"},
            }.items()
        },
    }
    brakes.pause("paused", by="Ann <script>", now=now)
    BackendState.objects.create(alias="broken", out_of_order_until=now + HOUR, reason="<i>refused</i>")
    BackendState.objects.create(alias="slowed", slowed_to=0.5, slowed_until=now + HOUR)
    limits.draw([Demand(((Limit("limited", policies.rates("limited")), 1),))])
    states = {row.line.name: row.line for row in admin_client.get(OVERVIEW).context["backends"]}
    expected = {
        "default": "in operation",
        "paused": "paused",
        "broken": "out of order",
        "slowed": "slowed down",
        "limited": "at its limit",
    }
    for name, words in expected.items():
        assert words in states[name].state, name
    assert "used up until" in states["limited"].details
    assert "50%" in states["slowed"].details
    text = page(admin_client)
    assert "<script>" not in text.partition('id="post-office-backends"')[2]
    assert "<i>refused" not in text


# --- the banner -------------------------------------------------------------------------------

NOBODY = "nobody is sending it"


def test_nothing_is_said_where_mail_flows(admin_client: Client) -> None:
    assert notices(admin_client) == []
    send()
    program()
    assert notices(admin_client) == []


def test_due_mail_that_nobody_sends_is_an_alarm(admin_client: Client) -> None:
    send(scheduled_time=timezone.now() + HOUR)
    assert notices(admin_client) == []
    send()
    assert "no dispatcher was ever seen" in notices(admin_client)[0]
    assert 'role="alert"' in page(admin_client)
    now = timezone.now()
    program(started_at=now - DAY, beat_at=now - 2 * HOUR)
    assert f"{NOBODY}: the last dispatcher was seen 2\xa0hours ago" in notices(admin_client)[0]


def test_the_pause_between_two_runs_by_cron_is_no_alarm(admin_client: Client) -> None:
    send()
    now = timezone.now()
    program(beat_at=now - MINUTE, ended_at=now - MINUTE)
    assert "No dispatcher runs at this moment" in notices(admin_client)[0]
    assert 'role="alert"' not in page(admin_client)
    Dispatcher.objects.update(beat_at=now - HOUR, ended_at=now - HOUR)
    assert NOBODY in notices(admin_client)[0]


def test_due_mail_whose_backend_is_held_is_an_alarm_though_a_dispatcher_runs(admin_client: Client) -> None:
    send()
    program()
    brakes.pause("default", by="Ann", now=timezone.now())
    assert "its backends are paused or out of order" in notices(admin_client)[0]
    brakes.pause(brakes.EVERYTHING, by="Ann", now=timezone.now())
    assert notices(admin_client)[0].startswith("All mail is paused since ")


def test_mail_that_nobody_will_ever_send_is_named(admin_client: Client) -> None:
    many(2, status=STATUS.queued, backend_alias="<gone>")
    many(3, status=None)
    said = admin_client.get(OVERVIEW).context["notices"]
    assert [notice.text for notice, _ in said] == [
        "Emails for the backend <gone>, which is not configured: 2. Nobody will send them.",
        "Emails with an empty status: 3. Nobody will send them.",
    ]
    assert [admin_client.get(url).context["cl"].result_count for _, url in said] == [2, 3]
    assert "<gone>" not in page(admin_client)


def test_the_environment_of_another_is_an_alarm(admin_client: Client, settings: Any) -> None:
    environment.adopt("live")
    settings.POST_OFFICE = {**settings.POST_OFFICE, "ENVIRONMENT": "staging"}
    assert "belongs to the environment live, and this one is staging" in notices(admin_client)[0]


# --- charts -----------------------------------------------------------------------------------

NOON = datetime(2026, 3, 29, 12, 34, tzinfo=timezone.get_fixed_timezone(0))


def span(name: str) -> charts.Span:
    return next(span for span in charts.spans() if span.name == name)


def test_a_chart_has_a_bar_for_each_part_of_its_time() -> None:
    tallied = [
        Tallied(slot=slot_of(moment), sent=sent, failed=failures)
        for moment, sent, failures in (
            (NOON, 10, 2),
            (NOON - HOUR, 30, 0),
            (NOON - 25 * HOUR, 99, 99),
        )
    ]
    drawn = charts.draw(span("day"), tallied, NOON)
    assert [(bar.label, bar.sent, bar.failed) for bar in drawn.bars if not bar.is_empty] == [
        ("11 a.m.", 30, 0),
        ("noon", 10, 2),
    ]
    assert (drawn.sent, drawn.failed, len(drawn.bars)) == (40, 2, 24)
    heights = [float(bar.sent_height) for bar in drawn.bars[-2:]]
    assert heights == [pytest.approx(charts.HEIGHT - charts.LEAST), pytest.approx(heights[0] / 3, abs=0.01)]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
@pytest.mark.parametrize("name", ["hour", "day", "week"])
def test_the_last_bar_holds_this_moment_in_every_time_zone(name: str, zone: str) -> None:
    wanted = span(name)
    with timezone.override(zone):
        drawn = charts.draw(wanted, [Tallied(slot=slot_of(NOON), sent=1, failed=0)], NOON)
        start = charts.beginning(wanted, NOON)
    assert drawn.bars[-1].sent == 1
    assert start <= NOON < start + wanted.bars * wanted.width


def test_bars_stay_within_the_drawing() -> None:
    tallied = [Tallied(slot=slot_of(NOON), sent=1_000_000, failed=1)]
    bar = charts.draw(span("hour"), tallied, NOON).bars[-1]
    assert float(bar.failed_y) >= 0
    assert float(bar.failed_height) >= 1


def test_the_drawings_are_named_and_stand_as_tables_beside(admin_client: Client) -> None:
    Tally.objects.create(slot=slot_of(timezone.now()), part=0, sent=1234, failed=5)
    text = page(admin_client)
    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg viewBox.*?</svg>", text, re.DOTALL)]
    assert len(drawings) == 3
    for drawing in drawings:
        ids = [drawing[0].get("id"), drawing[1].get("id")]
        assert drawing.get("role") == "img"
        assert drawing.get("aria-labelledby") == " ".join(map(str, ids))
        assert "1,234 sent, 5 failed" in str(drawing[1].text)
    assert text.count("<td>1234</td><td>5</td>") == 3


def test_the_drawings_are_the_same_in_a_language_with_decimal_commas(admin_client: Client) -> None:
    Tally.objects.create(slot=slot_of(timezone.now()), part=0, sent=3, failed=1)
    german = admin_client.get(OVERVIEW, headers={"accept-language": "de"}).content.decode()
    assert "Übersicht" in german
    assert not re.search(r'(x|y|width|height|viewBox)="[^"]*,', german)


# --- tallies ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_is_sent_at_once_is_counted() -> None:
    send().dispatch()
    send().dispatch()
    (counted,) = tallies.since(slot_of(timezone.now()) - 1)
    assert (counted.sent, counted.failed) == (2, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["by a worker", "at once"])
def test_no_row_of_a_tally_is_locked_together_with_one_of_a_mail(how: str) -> None:
    """Two workers that wrote both in one transaction met in a deadlock on MariaDB."""
    in_transaction: list[bool] = []

    def look(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and "post_office_tally" in sql:
            in_transaction.append(connection.in_atomic_block)
        return execute(sql, *arguments)

    email = send()
    with connection.execute_wrapper(look):
        email.dispatch() if how == "at once" else WorkerLoop(log_level=2).run()
    assert in_transaction
    assert not any(in_transaction)
    (counted,) = tallies.since(slot_of(timezone.now()) - 1)
    assert counted.sent == 1


def test_old_tallies_go_when_new_ones_come() -> None:
    now = timezone.now()
    worker = liveness.register(now).pk
    Tally.objects.create(slot=slot_of(now - 10 * DAY), part=worker.int % tallies.PARTS, sent=1)
    Tally.objects.create(slot=slot_of(now - 7 * DAY), part=worker.int % tallies.PARTS, sent=2)
    for _ in range(2):
        written = tallies.Unwritten(sent=3, failed=1)
        written.write(worker, now)
        written.write(worker, now)
    found = tallies.since(0)
    assert [(tally.sent, tally.failed) for tally in found] == [(2, 0), (6, 2)]


# --- what it costs ----------------------------------------------------------------------------


def test_the_overview_asks_equally_often_however_much_there_is(admin_client: Client) -> None:
    def fill(number: int) -> None:
        many(number, status=STATUS.queued)
        many(number, status=STATUS.sent)
        for _ in range(min(number, 5)):
            failed()
        program()

    fill(1)
    with CaptureQueriesContext(connection) as few:
        page(admin_client)
    fill(200)
    with CaptureQueriesContext(connection) as more:
        page(admin_client)
    assert len(more) == len(few) <= 30


def test_no_query_of_the_overview_reads_mail_without_an_end(admin_client: Client) -> None:
    many(5, status=STATUS.queued)
    failed()
    with CaptureQueriesContext(connection) as captured:
        page(admin_client)
    quote = connection.ops.quote_name
    asked = [query["sql"] for query in captured if f"FROM {quote('post_office_email')}" in query["sql"]]
    held_only = f"{quote('worker_id')} IN"
    assert asked
    assert not [sql for sql in asked if "LIMIT" not in sql and held_only not in sql]


def test_the_overview_breaks_no_strict_content_security_policy(admin_client: Client) -> None:
    Tally.objects.create(slot=slot_of(timezone.now()), part=0, sent=3, failed=1)
    content = page(admin_client).partition('<div id="content-main">')[2]
    assert not re.search(
        r"<script|<style|style=|\son\w+=|javascript:|https?:", content.partition("</main>")[0]
    )
