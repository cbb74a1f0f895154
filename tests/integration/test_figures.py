"""The figures of the queue, and what `mail_status` makes of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_office import health, mail
from post_office.models import PRIORITY, STATUS, BackendState, Dispatcher, Email, Worker
from post_office.queue import brakes, claims, dispatchers, environment, figures, liveness
from post_office.queue.depth import MANY, Depth
from post_office.queue.figures import Figures

pytestmark = pytest.mark.django_db

NOW = timezone.now()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**more: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, **more}

    return change


def ago(span: timedelta) -> datetime:
    """Return a moment before this one; a run of tests may have begun long before."""
    return timezone.now() - span


def rows(number: int = 1, **columns: Any) -> None:
    """Put rows into the table as they are, past every default."""
    created = columns.pop("created", NOW - MINUTE)
    changed = columns.pop("last_updated", created)
    values = {"status": STATUS.queued, "priority": PRIORITY.medium, **columns}
    emails = Email.objects.bulk_create(
        Email(from_email="me@example.com", to=["ann@example.com"], **values) for _ in range(number)
    )
    Email.objects.filter(pk__in=[email.pk for email in emails]).update(created=created, last_updated=changed)


def look(*aliases: str) -> Figures:
    return figures.look(aliases or ("default",), "default", NOW)


def program(**columns: Any) -> Dispatcher:
    """The row of a dispatcher on another host, where nobody can see its process."""
    values = {"started_at": NOW - HOUR, "beat_at": NOW, "boot": "other", **columns}
    return Dispatcher.objects.create(command="run_dispatcher", host="elsewhere", pid=4711, **values)


def status(*arguments: str) -> str:
    said = StringIO()
    call_command("mail_status", *arguments, stdout=said)
    return said.getvalue()


# --- depth ------------------------------------------------------------------------------------

# What is in the table, and how its depth is told.
DEPTHS: list[tuple[str, dict[str, Any], Depth]] = [
    ("new mail is due since it was queued", {}, Depth(due=1, oldest_due_at=NOW - MINUTE)),
    (
        "scheduled mail is due since its time",
        {"scheduled_time": NOW - HOUR},
        Depth(due=1, oldest_due_at=NOW - HOUR),
    ),
    ("mail for later is scheduled", {"scheduled_time": NOW + HOUR}, Depth(scheduled=1)),
    (
        "mail that is tried again later is retrying",
        {"status": STATUS.requeued, "scheduled_time": NOW + HOUR},
        Depth(retrying=1),
    ),
    (
        "mail that is tried again now is due",
        {"status": STATUS.requeued, "scheduled_time": NOW - HOUR},
        Depth(due=1, oldest_due_at=NOW - HOUR),
    ),
    ("sent mail is gone", {"status": STATUS.sent}, Depth()),
    ("so is failed mail", {"status": STATUS.failed}, Depth()),
    ("so is canceled mail", {"status": STATUS.canceled}, Depth()),
]


@pytest.mark.parametrize("priority", [*PRIORITY, None])
@pytest.mark.parametrize(
    ("columns", "depth"), [case[1:] for case in DEPTHS], ids=[case[0] for case in DEPTHS]
)
def test_mail_is_counted_by_what_it_waits_for(
    columns: dict[str, Any], depth: Depth, priority: int | None
) -> None:
    rows(priority=priority, **columns)
    found = look()
    assert found.of_priority(priority) == depth == found.total
    assert found.of_backend("default") == depth
    assert {found.of_priority(other) for other in (*PRIORITY, None) if other != priority} == {Depth()}


def test_mail_is_counted_for_the_backend_that_sends_it() -> None:
    rows(2)
    rows(3, backend_alias="default", created=NOW - HOUR)
    rows(4, backend_alias="bulk", status=STATUS.requeued)
    found = look("default", "bulk")
    assert found.of_backend("default") == Depth(due=5, oldest_due_at=NOW - HOUR)
    assert found.of_backend("bulk") == Depth(due=4, oldest_due_at=NOW - MINUTE)
    assert found.oldest_due == HOUR
    assert not found.orphaned


def test_mail_that_nobody_will_claim_is_told_apart() -> None:
    rows(1)
    rows(2, backend_alias="gone")
    rows(3, backend_alias="gone", status=STATUS.requeued, scheduled_time=NOW + HOUR)
    rows(4, backend_alias="gone", status=STATUS.sent)
    rows(5, backend_alias="a typo")
    rows(6, status=None)
    rows(7, priority=4)
    rows(8, priority=7, backend_alias="default", status=STATUS.requeued)
    rows(9, priority=4, status=STATUS.sent)
    found = look()
    assert found.orphaned == {"gone": 5, "a typo": 5}
    assert found.without_status == 6
    assert found.unknown_priority == 15
    assert found.total.due == 1


def test_in_an_order_of_the_projects_own_mail_of_any_priority_is_claimed(configure: Any) -> None:
    configure(SENDING_ORDER=["id"])
    rows(2, priority=4)
    assert look().unknown_priority == 0
    assert mail.send_queued() == (2, 0, 0)


def test_mail_in_delivery_is_due_and_in_somebodys_hands() -> None:
    rows(5)
    mine = dispatchers.start("send_queued_mail", NOW)
    worker = liveness.register(NOW, dispatcher_id=mine.pk)
    other = liveness.register(NOW)
    claims.Claimer(worker).claim(2, ["", "default"], NOW)
    claims.Claimer(other).claim(1, ["", "default"], NOW)
    found = look()
    assert (found.total.due, found.sending) == (5, 3)
    assert [(program.row, program.sending) for program in found.programs] == [(mine, 2)]


def test_an_empty_queue_has_figures_too() -> None:
    found = look()
    assert found.total == Depth()
    assert (found.oldest_due, found.silence, found.orphaned, found.sending) == (None, None, {}, 0)


def test_counting_ends_at_some_point() -> None:
    news = {"from_email": "me@example.com", "to": ["ann@example.com"], "status": STATUS.queued}
    Email.objects.bulk_create(Email(scheduled_time=NOW - MINUTE, **news) for _ in range(MANY + 5))
    rows(1, status=STATUS.requeued, created=NOW - HOUR)
    assert look().total == Depth(due=MANY, oldest_due_at=NOW - HOUR)
    assert "10,000+" in status()
    Email.objects.update(backend_alias="gone")
    assert look().orphaned == {"gone": MANY}


def test_a_look_takes_no_more_queries_when_there_is_more_mail() -> None:
    def mixed(number: int) -> None:
        for alias in ("", "default", "gone"):
            for its_status in (STATUS.queued, STATUS.requeued, STATUS.sent):
                rows(number, backend_alias=alias, status=its_status, last_updated=NOW)
        worker = liveness.register(NOW, dispatcher_id=program().pk)
        claims.Claimer(worker).claim(number, ["", "default"], NOW)

    mixed(1)
    with CaptureQueriesContext(connection) as few:
        look()
    for _ in range(3):
        mixed(20)
    with CaptureQueriesContext(connection) as many:
        look()
    assert len(many) == len(few) < 30


# --- what moves -------------------------------------------------------------------------------


def test_rates_are_those_of_the_last_minute_and_hour() -> None:
    for age, its_status, number in [
        (timedelta(seconds=30), STATUS.sent, 3),
        (timedelta(seconds=30), STATUS.failed, 1),
        (timedelta(minutes=30), STATUS.sent, 5),
        (timedelta(minutes=30), STATUS.failed, 2),
        (2 * HOUR, STATUS.sent, 7),
        (2 * HOUR, STATUS.failed, 7),
    ]:
        rows(number, status=its_status, last_updated=NOW - age)
    found = look()
    assert found.last_minute == figures.Rate(sent=3, failed=1, exact=True)
    assert found.last_hour == figures.Rate(sent=8, failed=3, exact=True)


def test_rates_say_when_more_happened_than_was_looked_at() -> None:
    rows(3, status=STATUS.sent, last_updated=NOW)
    rows(4, status=STATUS.sent, last_updated=NOW - HOUR / 2)
    minute, hour = figures.rates(NOW, looked_at=5)
    assert minute == figures.Rate(sent=3, failed=0, exact=True)
    assert hour == figures.Rate(sent=5, failed=0, exact=False)


def test_a_dispatcher_is_alive_dead_or_ended() -> None:
    here = dispatchers.start("send_queued_mail", NOW)
    gone = dispatchers.start("send_queued_mail", NOW)
    Dispatcher.objects.filter(pk=gone.pk).update(pid_started=1, beat_at=NOW - MINUTE)
    far = program(beat_at=NOW - timedelta(seconds=1))
    silent = program(beat_at=NOW - HOUR)
    ended = program(ended_at=NOW - timedelta(seconds=5))
    program(ended_at=NOW - MINUTE)  # of those that ended, the last will do
    found = look().programs
    assert [(program.row, program.state, program.is_gone) for program in found] == [
        (here, "alive", False),
        (far, "alive", False),
        (gone, "dead", True),
        (silent, "dead", False),
        (ended, "ended", False),
    ]


@pytest.mark.parametrize(
    ("columns", "silence"),
    [
        ({"beat_at": NOW - MINUTE / 2}, timedelta(0)),
        ({"beat_at": NOW - HOUR}, HOUR),
        ({"ended_at": NOW - 3 * MINUTE}, 3 * MINUTE),
        ({"ended_at": NOW + MINUTE}, timedelta(0)),  # by a clock that is ahead
    ],
)
def test_silence_lasts_since_a_dispatcher_was_seen(columns: dict[str, datetime], silence: timedelta) -> None:
    program(**columns)
    assert look().silence == silence


# --- the command ------------------------------------------------------------------------------


def test_the_page_aligns_what_there_is() -> None:
    mail.send("ann@example.com", "me@example.com", priority="high")
    rows(12, backend_alias="gone")
    rows(1, status=None)
    rows(3, priority=4)
    program(beat_at=ago(HOUR))
    lines = status().splitlines()
    assert lines[0].split() == ["PRIORITY", "DUE", "SCHEDULED", "RETRYING", "OLDEST", "DUE"]
    assert [line.split()[:4] for line in lines[1:6]] == [
        ["now", "0", "0", "0"],
        ["high", "1", "0", "0"],
        ["medium", "0", "0", "0"],
        ["low", "0", "0", "0"],
        ["total", "1", "0", "0"],
    ]
    assert (
        len({line.index(word) + len(word) for line, word in zip(lines[:2], ["DUE", "0"], strict=True)}) == 1
    )
    assert "gone      12  not configured: nobody will send this mail" in lines
    assert "-          1  without a status: nobody will send this mail" in lines
    assert "-          3  of an unknown priority: nobody will send this mail" in lines
    assert "dead, by the clocks: last seen" in lines[-1]


def test_the_page_says_whose_the_queue_is() -> None:
    environment.adopt("production")
    assert "The queue belongs to the environment 'production'." in status()
    assert "No dispatcher was seen." in status()


# The keys that programs may rely on. Keys may be added; none goes or changes its meaning.
DEPTH_KEYS = {"due", "scheduled", "retrying", "oldest_due_at", "oldest_due_seconds"}
KEYS = {
    "": {
        "healthy", "complaints", "at", "environment", "sending", "priorities", "backends", "orphaned",
        "without_status", "unknown_priority", "last_minute", "last_hour", "dispatchers", *DEPTH_KEYS,
    },
    "priorities": {"now", "high", "medium", "low", "none"},
    "priorities.high": DEPTH_KEYS,
    "backends": {"default"},
    "backends.default": {*DEPTH_KEYS, "state"},
    "orphaned": {"gone"},
    "last_minute": {"sent", "failed", "exact"},
    "last_hour": {"sent", "failed", "exact"},
    "dispatchers.0": {
        "command", "host", "pid", "state", "judged_by", "started_at", "seen_at", "ended_at", "sending",
        "sent", "failed", "requeued",
    },
}  # fmt: skip


def test_programs_get_keys_that_stay() -> None:
    rows(2, priority=PRIORITY.high, created=ago(MINUTE))
    rows(1, backend_alias="gone")
    program(beat_at=timezone.now())
    page = json.loads(status("--json"))
    for path, keys in KEYS.items():
        part = page
        for name in path.split(".") if path else ():
            part = part[int(name)] if isinstance(part, list) else part[name]
        assert set(part) == keys, path
    assert page["due"] == page["priorities"]["high"]["due"] == page["backends"]["default"]["due"] == 2
    assert 60 <= page["oldest_due_seconds"] < 600
    assert page["orphaned"] == {"gone": 1}
    assert page["dispatchers"][0]["state"] == "alive"


def checked(*arguments: str) -> tuple[int, str]:
    """Return the exit code of a check, and what it printed."""
    said = StringIO()
    try:
        call_command("mail_status", "--check", *arguments, stdout=said)
    except SystemExit as ending:
        return int(str(ending.code)), said.getvalue().strip()
    return 0, said.getvalue().strip()


def test_brakes_are_told_of_each_backend(configure: Any) -> None:
    names = ["fine", "held", "broken"]
    configure(BACKENDS=dict.fromkeys(names, "locmem"), DEFAULT_MAILER="fine")
    brakes.pause("held", by="eve", now=NOW)
    reason = "login of shop@example.com refused"
    BackendState.objects.create(alias="broken", out_of_order_until=NOW + HOUR, reason=reason)
    said, page = status(), status("--json")
    assert "Backend held is paused by eve since" in said
    assert f": {reason}" in said
    states = {alias: backend["state"] for alias, backend in json.loads(page)["backends"].items()}
    assert states == {"fine": "open", "held": "paused", "broken": "out of order"}
    assert "shop@example.com" not in page  # what is said to programs may be seen by many
    brakes.pause(brakes.EVERYTHING, by="", now=NOW)
    assert {backend["state"] for backend in json.loads(status("--json"))["backends"].values()} == {"paused"}


# Arguments, and what is said of five mails that are due for two hours, three that failed, two for a backend
# that is gone, and a dispatcher that was seen an hour ago.
LIMITS = [
    ([], "Mail has been due for 2h, which is more than 1h."),  # the default of HEALTH_LIMITS
    (["--max-age", "90m"], "Mail has been due for 2h, which is more than 1h 30m."),
    (["--max-age", "1d", "--max-due", "4"], "5 mails are due, which is more than 4."),
    (["--max-age", "1d", "--max-failed", "2"], "3 mails failed in the last hour, which is more than 2."),
    (
        ["--max-age", "1d", "--max-orphaned", "1"],
        "2 mails are for the backend 'gone', which is not configured: nobody will send them.",
    ),
    (["--max-age", "1d", "--require-dispatcher"], "No dispatcher is alive."),
    (
        ["--max-age", "1d", "--max-silence", "5m"],
        "No dispatcher was seen for 1h, which is more than 5m.",
    ),
    (["--max-age", "1d", "--max-due", "5", "--max-failed", "3", "--max-orphaned", "2"], ""),
    (["--max-age", "3h", "--max-silence", "2h"], ""),
]


@pytest.mark.parametrize(("arguments", "said"), LIMITS, ids=lambda value: " ".join(value) or "nothing")
def test_a_check_says_which_limit_is_passed(arguments: list[str], said: str) -> None:
    rows(5, created=ago(2 * HOUR))
    rows(3, status=STATUS.failed)
    rows(2, backend_alias="gone", created=ago(2 * HOUR))
    program(beat_at=ago(HOUR))
    code, printed = checked(*arguments)
    assert (code, printed) == (2, said) if said else (0, printed)
    assert said or printed.startswith("Mail flows: 5 due, for at most 2h")


def test_a_check_of_an_idle_queue_is_content() -> None:
    assert checked() == (0, "Mail flows: 0 due, 0 sent in the last minute.")
    assert checked("--max-silence", "5m") == (2, "No dispatcher was ever seen.")


def test_a_check_complains_of_every_limit_at_once() -> None:
    rows(2, created=ago(2 * HOUR))
    rows(1, status=None)
    rows(2, priority=4)
    code, said = checked("--max-due", "1", "--require-dispatcher", "--max-orphaned", "0")
    assert code == 2
    assert len(said.splitlines()) == 5
    assert "1 mails have an empty status: nobody will send them." in said
    assert "2 mails have an unknown priority: nobody will send them." in said


def test_without_a_check_complaints_are_shown_and_the_exit_code_is_0() -> None:
    rows(2, created=ago(2 * HOUR))
    assert status().splitlines()[-1] == "! Mail has been due for 2h, which is more than 1h."
    assert not json.loads(status("--json"))["healthy"]


def test_json_and_a_check_go_together() -> None:
    rows(2, created=ago(2 * HOUR))
    code, said = checked("--json")
    assert code == 2
    assert json.loads(said)["complaints"] == ["Mail has been due for 2h, which is more than 1h."]


def test_a_queue_of_another_environment_is_complained_of(configure: Any) -> None:
    configure(ENVIRONMENT="staging")
    assert checked()[0] == 0
    environment.adopt("production")
    assert checked() == (
        2,
        "The queue belongs to the environment 'production', and this one is 'staging': "
        "nothing is sent from here.",
    )


# What is given for a limit, and what is said of it.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"MAX_AGE": 600}, "MAX_AGE: 600 is not a timedelta above 0."),
    ({"MAX_SILENCE": timedelta(0)}, "MAX_SILENCE: .* is not a timedelta above 0."),
    ({"MAX_DUE": -1}, "MAX_DUE: -1 is not a number from 0 to 10,000"),
    ({"MAX_FAILED": "3"}, "MAX_FAILED: '3' is not a number from 0 to 10,000"),
    ({"REQUIRE_DISPATCHER": 1}, "REQUIRE_DISPATCHER: 1 is not True or False."),
    ({"MAX_QUEUE": 1}, "MAX_QUEUE: 1 is a limit of nothing; there are MAX_AGE, MAX_DUE, "),
]


@pytest.mark.parametrize(("limits", "said"), REFUSED, ids=[next(iter(case[0])) for case in REFUSED])
def test_a_limit_that_cannot_be_is_refused(configure: Any, limits: dict[str, Any], said: str) -> None:
    configure(HEALTH_LIMITS=limits)
    with pytest.raises(CommandError, match=said) as refusal:
        status("--check")
    assert refusal.value.returncode == 3


@pytest.mark.parametrize("span", ["", "0", "5x", "-1m", "m"])
def test_a_span_that_is_none_is_refused(span: str) -> None:
    with pytest.raises(CommandError, match="is no span of time such as 90s, 10m, 2h or 1d"):
        status("--check", f"--max-age={span}")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m 59s"), (7200, "2h"), (7260, "2h 1m"), (90061, "1d 1h")],
)
def test_spans_are_told_in_two_units(seconds: int, words: str) -> None:
    assert health.span(timedelta(seconds=seconds)) == words


def test_workers_of_no_dispatcher_are_no_dispatchers() -> None:
    Worker.objects.create(host="elsewhere", pid=1, started_at=NOW, beat_at=NOW)
    assert not look().programs
