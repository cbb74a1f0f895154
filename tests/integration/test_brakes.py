"""Brakes: what is paused by hand, what is out of order, and who finds out that it works again."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core import mail as django_mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from post_office import mail
from post_office.delivery.worker import WorkerLoop
from post_office.exceptions import UnknownBackend
from post_office.models import STATUS, BackendState, Email, Log
from post_office.queue import brakes
from post_office.queue.outcomes import Released, Report, Sent
from tests.backends import TRY_LATER, FaultyBackend
from tests.faults import Execute, watched

pytestmark = pytest.mark.django_db

PAGE = "/admin/post_office/backendstate/"
REFUSED = ConnectionRefusedError("refused")


@pytest.fixture(autouse=True)
def faults(settings: Any) -> Iterator[dict[str, Exception]]:
    """ "default" raises these; "bulk" is one that works."""
    settings.POST_OFFICE = {"BACKENDS": {"default": "tests.backends.FaultyBackend", "bulk": "locmem"}}
    FaultyBackend.faults.clear()
    yield FaultyBackend.faults
    FaultyBackend.faults.clear()


def configure(settings: Any, **changes: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, **changes}


def send(to: str = "ann@example.com", **arguments: Any) -> Email:
    return mail.send(to, "me@example.com", **{"subject": "s", "message": "m", **arguments})


def state(alias: str = "default") -> BackendState:
    return BackendState.objects.get(alias=alias)


def let_the_time_pass(alias: str = "default") -> None:
    """Move the end of the pause into the past."""
    BackendState.objects.filter(alias=alias).update(out_of_order_until=timezone.now())


def untouched(email: Email) -> bool:
    row = Email.objects.get(pk=email.pk)
    return (row.status, row.number_of_retries, row.worker_id, row.claims) == (STATUS.queued, None, None, 0)


# --- by hand ----------------------------------------------------------------------------------


def test_mail_of_a_paused_backend_stays_and_that_of_others_goes() -> None:
    held, other = send(), send(backend="bulk")
    assert mail.pause("default", by="ann")
    assert mail.send_queued() == (1, 0, 0)
    assert untouched(held)
    assert Email.objects.get(pk=other.pk).status == STATUS.sent
    assert mail.resume("default")
    assert mail.send_queued() == (1, 0, 0)


def test_all_mail_waits_when_all_is_paused() -> None:
    emails = [send(), send(backend="bulk")]
    mail.pause()
    assert mail.send_queued() == (0, 0, 0)
    assert all(untouched(email) for email in emails)
    mail.resume()
    assert mail.send_queued() == (2, 0, 0)


def test_mail_to_be_sent_at_once_waits_as_well() -> None:
    mail.pause()
    email = send(priority="now")
    assert untouched(email)
    assert not django_mail.outbox
    mail.resume()
    assert mail.send_queued() == (1, 0, 0)


def test_who_paused_first_stays_and_resuming_all_leaves_a_backend_paused() -> None:
    assert mail.pause("bulk", by="ann")
    assert not mail.pause("bulk", by="bob")
    assert state("bulk").paused_by == "ann"
    assert not mail.resume()
    send(backend="bulk")
    assert mail.send_queued() == (0, 0, 0)


def test_an_alias_that_is_not_configured_is_refused() -> None:
    with pytest.raises(UnknownBackend, match="bulc"):
        mail.pause("bulc")
    with pytest.raises(CommandError, match="bulc is not a valid backend alias"):
        call_command("mail_pause", "bulc")


def test_the_commands_say_what_they_did() -> None:
    def said(*arguments: str) -> str:
        out = StringIO()
        call_command(*arguments, stdout=out)
        return out.getvalue().strip()

    assert said("mail_pause", "bulk", "--by", "ann") == "Backend bulk is paused."
    assert state("bulk").paused_by == "ann"
    assert said("mail_pause", "bulk") == "Backend bulk is paused already."
    assert said("mail_resume", "bulk") == "Backend bulk is resumed."
    assert said("mail_pause") == "All mail is paused."
    assert "@" in state("*").paused_by
    assert said("mail_resume") == "All mail is resumed."
    assert said("mail_resume") == "Nothing holds all mail."


def test_a_run_with_everything_paused_says_so() -> None:
    mail.pause(by="ann")
    out = StringIO()
    call_command("send_queued_mail", "--lockfile", "", stdout=out)
    assert "All mail is paused by ann since " in out.getvalue()


# --- circuit breaker --------------------------------------------------------------------------


def test_a_backend_out_of_order_gets_no_mail_until_the_time_is_over(faults: Any) -> None:
    faults["open"] = REFUSED
    emails = [send() for _ in range(3)]
    before = timezone.now()
    assert mail.send_queued() == (0, 0, 0)
    until = state().out_of_order_until
    assert until is not None
    assert before + timedelta(seconds=10) <= until <= timezone.now() + timedelta(seconds=11)
    assert all(untouched(email) for email in emails)
    faults.clear()
    assert mail.send_queued() == (0, 0, 0)
    let_the_time_pass()
    assert mail.send_queued() == (3, 0, 0)
    assert state().out_of_order_until is None
    assert state().faults == 0


def test_many_mails_that_meet_one_fault_count_as_one(faults: Any) -> None:
    faults["open"] = REFUSED
    for _ in range(10):
        send()
    mail.send_queued()
    assert state().faults == 1


def test_each_failed_probe_takes_one_mail_and_doubles_the_pause_up_to_the_longest(
    faults: Any, settings: Any
) -> None:
    configure(settings, BACKEND_PAUSE=timedelta(seconds=10), BACKEND_MAX_PAUSE=timedelta(seconds=25))
    faults["open"] = REFUSED
    for _ in range(10):
        send()
    for seconds in (10, 20, 25, 25):
        Log.objects.all().delete()
        before = timezone.now()
        mail.send_queued()
        until = state().out_of_order_until
        assert until is not None
        pause = (until - before).total_seconds()
        assert seconds <= pause <= seconds * 1.1 + 5
        let_the_time_pass()
        if seconds > 10:
            assert Log.objects.count() == 1


def test_a_probe_that_is_refused_by_itself_shows_that_the_backend_works(faults: Any) -> None:
    faults["open"] = REFUSED
    send()
    mail.send_queued()
    let_the_time_pass()
    del faults["open"]
    faults["ann@example.com"] = TRY_LATER
    send("bob@example.com")
    assert mail.send_queued() == (1, 0, 1)
    assert state().faults == 0


def test_a_probe_that_cannot_be_rendered_says_nothing_of_the_backend_and_another_is_made(faults: Any) -> None:
    faults["open"] = REFUSED
    good = send()
    mail.send_queued()
    let_the_time_pass()
    faults.clear()
    broken = send(priority="high")
    Email.objects.filter(pk=broken.pk).update(context={}, template_name="gone")
    assert mail.send_queued() == (1, 1, 0)
    assert Email.objects.get(pk=good.pk).status == STATUS.sent
    assert state().out_of_order_until is None


def test_one_of_all_workers_probes(faults: Any) -> None:
    now = timezone.now()
    BackendState.objects.create(alias="default", out_of_order_until=now, faults=1)
    assert brakes.take_probe("default", now)
    assert not brakes.take_probe("default", now)
    # Who took it is gone without a word: after a lease it is another's.
    assert brakes.take_probe("default", now + timedelta(seconds=60))


@pytest.mark.parametrize("column", ["out_of_order_until", "probing_until"])
def test_what_was_noted_by_a_clock_an_hour_ahead_holds_no_mail(faults: Any, column: str) -> None:
    faults["open"] = REFUSED
    email = send()
    mail.send_queued()
    let_the_time_pass()
    an_hour_ahead = timezone.now() + timedelta(hours=1)
    BackendState.objects.filter(alias="default").update(**{column: an_hour_ahead})
    faults.clear()
    assert mail.send_queued() == (1, 0, 0)
    email.refresh_from_db()
    assert email.status == STATUS.sent
    assert state().out_of_order_until is None


def out_of_order() -> Email:
    """A mail whose backend may be tried again."""
    email = send()
    past = timezone.now() - timedelta(seconds=1)
    BackendState.objects.create(alias="default", out_of_order_until=past, faults=1, reason="refused")
    return email


def meanwhile(pattern: str, event: Callable[[], Any]) -> AbstractContextManager[None]:
    """Let another worker do something just before the first statement that matches."""
    done: list[str] = []

    def watch(execute: Execute, sql: str) -> Any:
        if re.search(pattern, sql) and not done:
            done.append(sql)
            event()
        return execute()

    return watched(watch)


TAKE_PROBE = r"UPDATE .post_office_backendstate. SET .probing_until. = [^N]"


def test_a_backend_without_mail_is_not_probed(faults: Any) -> None:
    email = out_of_order()
    Email.objects.filter(pk=email.pk).update(scheduled_time=timezone.now() + timedelta(hours=1))
    send("bob@example.com", backend="bulk")
    assert mail.send_queued() == (1, 0, 0)
    assert state().probing_until is None


def test_who_comes_second_to_a_probe_waits_for_what_the_first_finds_out(faults: Any) -> None:
    email = out_of_order()

    def another_finds_out() -> None:
        now = timezone.now()
        assert brakes.take_probe("default", now)
        brakes.learn(Sent(backend="default"), is_probe=True, now=now, rng=random.Random())

    with meanwhile(TAKE_PROBE, another_finds_out):
        assert mail.send_queued() == (1, 0, 0)
    assert Email.objects.get(pk=email.pk).status == STATUS.sent
    assert state().faults == 0


def test_a_probe_is_one_of_the_mails_that_a_run_may_send(faults: Any) -> None:
    out_of_order()
    send()
    said = StringIO()
    call_command("send_queued_mail", "--max-mails", "1", stdout=said, verbosity=0)
    assert said.getvalue().startswith("1 attempted, 1 sent")
    assert Email.objects.filter(status=STATUS.queued).count() == 1


def test_mail_that_waits_for_its_rate_goes_back_when_its_backend_is_paused(
    faults: Any, settings: Any
) -> None:
    default = {"BACKEND": "tests.backends.FaultyBackend", "RATE": "1/s"}
    configure(settings, BACKENDS={"default": default})
    for _ in range(4):
        send()
    loop = WorkerLoop(log_level=2, on_settled=lambda settled: mail.pause("default"))
    total = loop.run()
    assert total.released > 0
    assert "default" in loop.paused
    waiting = Email.objects.exclude(status=STATUS.sent)
    assert all(untouched(email) for email in waiting)
    assert (total.sent, waiting.count()) == (len(django_mail.outbox), 4 - total.sent)


def test_a_probe_whose_mail_is_cancelled_meanwhile_is_given_back(faults: Any) -> None:
    email = out_of_order()
    with meanwhile(TAKE_PROBE, lambda: mail.cancel([email])):
        assert mail.send_queued() == (0, 0, 0)
    assert state().probing_until is None
    assert state().faults == 1


def test_a_probe_that_finds_a_backend_open_already_says_nothing(faults: Any, caplog: Any) -> None:
    """Its worker was silent for a lease, and another has found out."""
    BackendState.objects.create(alias="default")
    brakes.learn(Sent(backend="default"), is_probe=True, now=timezone.now(), rng=random.Random())
    assert caplog.text == ""


def test_a_fault_that_two_workers_meet_at_the_same_moment_counts_once(faults: Any, caplog: Any) -> None:
    report = Report(message="refused", exception_type="OSError")
    now = timezone.now()

    def learn() -> None:
        fault = Released(backend="default", report=report)
        brakes.learn(fault, is_probe=False, now=now, rng=random.Random())

    with meanwhile(r"UPDATE .post_office_backendstate.", learn):
        learn()
    assert state().faults == 1
    assert caplog.text.count("Backend default is out of order") == 1


@pytest.mark.django_db(transaction=True)
def test_mail_sent_at_once_that_is_over_the_rate_finds_nothing_out(faults: Any, settings: Any) -> None:
    default = {"BACKEND": "tests.backends.FaultyBackend", "RATE": "1/h"}
    configure(settings, BACKENDS={"default": default})
    send(priority="now")
    out_of_order()
    assert untouched(send(priority="now"))
    assert state().probing_until is None
    assert state().out_of_order_until is not None


def test_what_failed_late_does_not_lengthen_the_pause(faults: Any) -> None:
    """Mail on its way when the backend was closed may come to nothing minutes later."""
    now = timezone.now()
    BackendState.objects.create(alias="default", out_of_order_until=now, faults=3)
    report = brakes.Report(message="late", exception_type="OSError")
    late = brakes.Released(backend="default", report=report)
    brakes.learn(late, is_probe=False, now=now, rng=random.Random())
    assert state().faults == 3
    assert state().out_of_order_until == now


def test_resuming_a_backend_lets_it_be_tried_at_once(faults: Any) -> None:
    faults["open"] = REFUSED
    send()
    mail.send_queued()
    faults.clear()
    assert mail.resume("default")
    assert mail.send_queued() == (1, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_mail_sent_at_once_trips_the_breaker_heeds_it_and_probes(faults: Any) -> None:
    faults["open"] = REFUSED
    first = send(priority="now")
    assert state().faults == 1
    faults.clear()
    second = send(priority="now")
    assert untouched(first)
    assert untouched(second)
    let_the_time_pass()
    third = send(priority="now")
    assert Email.objects.get(pk=third.pk).status == STATUS.sent
    assert state().out_of_order_until is None


def test_inside_a_transaction_mail_sent_at_once_does_not_write_what_others_wait_for(faults: Any) -> None:
    faults["open"] = REFUSED
    assert untouched(send(priority="now"))
    assert not BackendState.objects.exists()


# --- fallback ---------------------------------------------------------------------------------


@pytest.fixture
def fallback(settings: Any) -> None:
    default = {"BACKEND": "tests.backends.FaultyBackend", "FALLBACK": "bulk"}
    configure(settings, BACKENDS={"default": default, "bulk": "locmem"})


def test_the_fallback_sends_while_a_backend_is_out_of_order(fallback: None, faults: Any) -> None:
    faults["open"] = REFUSED
    emails = [send() for _ in range(30)]
    assert mail.send_queued() == (30, 0, 0)
    sent_by = Log.objects.filter(status=STATUS.sent).values_list("email_id", "backend")
    assert sorted(sent_by) == sorted((email.pk, "bulk") for email in emails)
    assert send(priority="now").status == STATUS.sent


def test_mail_goes_its_own_way_again_when_the_backend_works(fallback: None, faults: Any) -> None:
    faults["open"] = REFUSED
    send()
    mail.send_queued()
    let_the_time_pass()
    faults.clear()
    again = [send() for _ in range(5)]
    assert mail.send_queued() == (5, 0, 0)
    assert "default" in set(Log.objects.filter(email__in=again).values_list("backend", flat=True))
    assert state().out_of_order_until is None
    last = send()
    assert mail.send_queued() == (1, 0, 0)
    assert last.logs.get().backend == "default"


def test_a_backend_paused_by_hand_has_no_fallback(fallback: None) -> None:
    email = send()
    mail.pause("default")
    assert mail.send_queued() == (0, 0, 0)
    assert untouched(email)


def test_fallbacks_that_name_each_other_let_the_mail_wait(settings: Any, faults: Any) -> None:
    faulty = "tests.backends.FaultyBackend"
    settings.POST_OFFICE = {
        "BACKENDS": {
            "default": {"BACKEND": faulty, "FALLBACK": "bulk"},
            "bulk": {"BACKEND": faulty, "FALLBACK": "default"},
        }
    }
    faults["open"] = REFUSED
    email = send()
    assert mail.send_queued() == (0, 0, 0)
    assert untouched(email)
    assert set(BackendState.objects.values_list("alias", flat=True)) == {"default", "bulk"}


# --- the admin --------------------------------------------------------------------------------


def test_staff_pause_and_resume_in_the_admin(admin_client: Client) -> None:
    email = send()
    page = admin_client.get(PAGE).content.decode()
    assert "All mail" in page
    assert "bulk" in page
    answer = admin_client.post(PAGE, {"verb": "pause", "alias": "default"}, follow=True)
    assert "Paused: default." in answer.content.decode()
    assert "by admin" in answer.content.decode()
    assert mail.send_queued() == (0, 0, 0)
    admin_client.post(PAGE, {"verb": "resume", "alias": "default"})
    assert mail.send_queued() == (1, 0, 0)
    history = LogEntry.objects.order_by("pk").values_list("object_id", "change_message")
    assert list(history) == [("default", "Paused: default."), ("default", "Resumed: default.")]
    assert Email.objects.get(pk=email.pk).status == STATUS.sent


def test_the_admin_shows_why_a_backend_is_out_of_order(admin_client: Client, faults: Any) -> None:
    faults["open"] = REFUSED
    send()
    mail.send_queued()
    page = admin_client.get(PAGE).content.decode()
    assert "out of order" in page
    assert ": refused" in page
    admin_client.post(PAGE, {"verb": "resume", "alias": "default"})
    faults.clear()
    assert mail.send_queued() == (1, 0, 0)


def test_only_those_who_may_change_backends_pause_them(client: Client) -> None:
    viewer = User.objects.create_user("vera", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_backendstate"))
    client.force_login(viewer)
    assert 'name="verb"' not in client.get(PAGE).content.decode()
    assert client.post(PAGE, {"verb": "pause", "alias": "*"}).status_code == 403
    client.force_login(User.objects.create_user("otto", password="x", is_staff=True))
    assert client.get(PAGE).status_code == 403
    assert not BackendState.objects.exists()


@pytest.mark.parametrize(("verb", "alias"), [("stop", "default"), ("pause", "bulc"), ("", "")])
def test_what_the_page_does_not_offer_does_nothing(admin_client: Client, verb: str, alias: str) -> None:
    answer = admin_client.post(PAGE, {"verb": verb, "alias": alias}, follow=True)
    assert "There is no such backend." in answer.content.decode()
    assert not BackendState.objects.exists()


def test_a_second_click_changes_nothing_and_says_so(admin_client: Client) -> None:
    mail.pause(by="ann")
    answer = admin_client.post(PAGE, {"verb": "pause", "alias": "*"}, follow=True)
    assert "nothing was changed" in answer.content.decode()
    assert state("*").paused_by == "ann"
    assert admin_client.put(PAGE).status_code == 405
