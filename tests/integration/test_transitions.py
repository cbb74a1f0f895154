"""The table of transitions in docs/explanation/design.md, as data: what each verb does, and where only.

Every verb meets mail of every status, held by nobody, by the one who acts and by another. Where the table
names that situation, the mail ends as the table says; everywhere else no column of its row changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from post_office import mail
from post_office.enums import FINISHED, HOLD, OPEN
from post_office.models import STATUS, Email, Log, Worker
from post_office.queue import claims, liveness, outcomes
from post_office.queue.claims import Claimer
from post_office.queue.outcomes import Failed, Outcome, Released, Report, Retry, Sent

pytestmark = pytest.mark.django_db

DESIGN = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "design.md"
HOUR = timedelta(hours=1)
REPORT = Report(message="451 try later", exception_type="SMTPDataError", code=451)

EVERY_STATUS = (None, *STATUS)
NOBODY, ME, ANOTHER = "nobody", "me", "another"
HOLDERS = (NOBODY, ME, ANOTHER)
# A status, and who holds the mail. Code that knows no claims can end mail under its worker.
Situation = tuple[int | None, str]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One mail, and those who may hold it."""

    email: Email
    me: Worker
    another: Worker
    now: datetime

    def settle(self, outcome: Outcome) -> int:
        settled = outcomes.settle([(self.email, outcome)], self.me, 2, self.now)
        return settled.sent + settled.requeued + settled.failed + settled.released


def of(statuses: tuple[int | None, ...], *holders: str) -> set[Situation]:
    return set(product(statuses, holders))


HELD_BY_ME = of(OPEN, ME)
UNHELD = {"worker_id": None, "claimed_at": None, "claims": 0}


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A line of the table, what does it, and what it means.

    Attributes:
        line: As it stands in the table.
        act: Does it; returns how many mails changed.
        from_: The situations in which it acts.
        to: Columns as they are afterwards; the others stay.
        before: Columns of the mail, beside its situation.
    """

    line: str
    act: Callable[[Scene], int]
    from_: set[Situation]
    to: Callable[[Scene], dict[str, Any]]
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def verb(self) -> str:
        return self.line.split("|")[2].strip()


TRANSITIONS = [
    Transition(
        line="| queued, requeued | claim | same, held by the worker | claims | due, not expired, not held; "
        "SKIP LOCKED where the database has it, and the predicate again in the UPDATE |",
        act=lambda scene: len(Claimer(scene.me).claim(9, ["", "default"], scene.now)),
        from_=of(OPEN, NOBODY),
        to=lambda scene: {"worker_id": scene.me.pk, "claimed_at": scene.now, "claims": 1},
    ),
    Transition(
        line="| held | settle Sent | sent | outcomes | still held by me |",
        act=lambda scene: scene.settle(Sent(backend="default")),
        from_=HELD_BY_ME,
        to=lambda scene: {"status": STATUS.sent, "last_updated": scene.now, **UNHELD},
    ),
    Transition(
        line="| held | settle Retry(at) | requeued, scheduled_time = at, attempts + 1 | outcomes "
        "| still held by me |",
        act=lambda scene: scene.settle(Retry(at=scene.now + HOUR, backend="default", report=REPORT)),
        from_=HELD_BY_ME,
        to=lambda scene: {
            "status": STATUS.requeued,
            "scheduled_time": scene.now + HOUR,
            "due_at": scene.now + HOUR,
            "first_due_at": scene.email.created,
            "number_of_retries": 3,
            "last_updated": scene.now,
            **UNHELD,
        },
        before={"number_of_retries": 2},
    ),
    Transition(
        line="| held | settle Failed | failed | outcomes | still held by me |",
        act=lambda scene: scene.settle(Failed(backend="default", report=REPORT)),
        from_=HELD_BY_ME,
        to=lambda scene: {"status": STATUS.failed, "last_updated": scene.now, **UNHELD},
    ),
    Transition(
        line="| held | release | as before | claims | shutdown, pause, rate limit, backend fault |",
        act=lambda scene: scene.settle(Released(backend="default")),
        from_=HELD_BY_ME,
        to=lambda scene: {"last_updated": scene.now, **UNHELD},
    ),
    Transition(
        line="| held by a dead worker | bury | claimable again; failed as Unknown, or as the mail that kills "
        "its workers | liveness | see Unknown |",
        act=lambda scene: liveness.bury(scene.another.pk, scene.now),
        # Of any status: a mail that was ended under its worker must not look held for ever.
        from_=of(EVERY_STATUS, ANOTHER),
        to=lambda scene: {"worker_id": None, "claimed_at": None},
    ),
    Transition(
        line="| queued, requeued past `expires_at` | expire | expired (new, 4) | outcomes | not held |",
        act=lambda scene: outcomes.expire([scene.email.pk], scene.now),
        from_=of(OPEN, NOBODY),
        to=lambda scene: {"status": STATUS.expired, "last_updated": scene.now, **UNHELD},
        before={"expires_at": timezone.now() - HOUR},
    ),
    Transition(
        line="| queued, requeued | cancel | canceled (new, 5) | mail, admin | not held |",
        act=lambda scene: outcomes.cancel([scene.email.pk], scene.now),
        from_=of(OPEN, NOBODY),
        to=lambda scene: {"status": STATUS.canceled, "last_updated": scene.now, **UNHELD},
    ),
    Transition(
        line="| sent, failed, expired, canceled | requeue | queued | admin, mail "
        "| permission, confirmation for sent |",
        act=lambda scene: outcomes.requeue([scene.email.pk], scene.now),
        # Held or not: whoever holds what is over settles it in vain.
        from_=of((*FINISHED, None), *HOLDERS),
        to=lambda scene: {
            "status": STATUS.queued,
            "number_of_retries": None,
            "first_due_at": scene.now,
            "last_updated": scene.now,
            **UNHELD,
        },
        before={"number_of_retries": 2},
    ),
]
QUEUE = "| – | queue | queued | mail | caller's transaction |"  # noqa: RUF001 - the dash of the table


def make_scene(situation: Situation, **columns: Any) -> Scene:
    status, holder = situation
    # All that was queued is due a moment later.
    now = timezone.now() + timedelta(seconds=1)
    me, another = liveness.register(now), liveness.register(now)
    keys: dict[str, UUID | None] = {NOBODY: None, ME: me.pk, ANOTHER: another.pk}
    email = mail.send("ann@example.com", "me@example.com")
    if keys[holder]:
        columns = {**columns, "worker_id": keys[holder], "claimed_at": now - HOUR, "claims": 1}
    Email.objects.filter(pk=email.pk).update(status=status, **columns)
    email.refresh_from_db()
    return Scene(email=email, me=me, another=another, now=now)


def columns(email: Email) -> dict[str, Any]:
    return Email.objects.values().get(pk=email.pk)


CASES = [
    pytest.param(
        transition,
        (status, holder),
        id=f"{transition.verb}: {'none' if status is None else STATUS._fields[status]}, held by {holder}",
    )
    for transition in TRANSITIONS
    for status, holder in product(EVERY_STATUS, HOLDERS)
]


@pytest.mark.parametrize(("transition", "situation"), CASES)
def test_a_verb_acts_where_the_table_says_and_nowhere_else(
    transition: Transition, situation: Situation
) -> None:
    scene = make_scene(situation, **transition.before)
    before = columns(scene.email)
    changed = transition.act(scene)
    if situation in transition.from_:
        assert (changed, columns(scene.email)) == (1, {**before, **transition.to(scene)})
    else:
        assert (changed, columns(scene.email)) == (0, before)


def test_the_table_is_the_one_of_the_design() -> None:
    section = DESIGN.read_text().partition("| from | verb | to | who | guard |")[2].partition("\n\n")[0]
    assert section.strip().splitlines()[1:] == [QUEUE, *(transition.line for transition in TRANSITIONS)]


# --- guards that are not of the situation ---------------------------------------------------------


def test_mail_is_queued_in_the_callers_transaction() -> None:
    with transaction.atomic():
        assert mail.send("ann@example.com", "me@example.com").status == STATUS.queued
        assert Email.objects.filter(status=STATUS.queued, worker=None).count() == 1
        transaction.set_rollback(True)
    assert not Email.objects.exists()


# Columns of open mail that nobody holds, and what it is after a claim that finds nothing.
UNCLAIMABLE: list[tuple[str, dict[str, Any], int]] = [
    ("not due", {"scheduled_time": timezone.now() + HOUR}, STATUS.queued),
    ("expired", {"expires_at": timezone.now() - HOUR}, STATUS.expired),
    ("too old", {"first_due_at": timezone.now() - timedelta(days=8)}, STATUS.expired),
]


@pytest.mark.parametrize(
    ("before", "status"),
    [case[1:] for case in UNCLAIMABLE],
    ids=[case[0] for case in UNCLAIMABLE],
)
def test_a_claim_takes_nothing_that_is(before: dict[str, Any], status: int) -> None:
    scene = make_scene((STATUS.queued, NOBODY), **before)
    assert Claimer(scene.me).claim(9, ["", "default"], scene.now) == []
    row = Email.objects.get()
    assert (row.status, row.worker_id, row.claims) == (status, None, 0)


@pytest.mark.parametrize("situation", list(product(EVERY_STATUS, HOLDERS)), ids=repr)
def test_one_mail_is_claimed_due_or_not_where_it_is_open_and_nobody_holds_it(situation: Situation) -> None:
    scene = make_scene(situation, scheduled_time=timezone.now() + HOUR)
    before = columns(scene.email)
    claimed = claims.claim_one(scene.email, scene.me, scene.now)
    assert claimed == (situation in of(OPEN, NOBODY))
    taken = {"worker_id": scene.me.pk, "claimed_at": scene.now, "claims": 1} if claimed else {}
    assert columns(scene.email) == {**before, **taken}


@pytest.mark.parametrize("status", OPEN)
def test_mail_is_not_expired_before_its_time(status: int) -> None:
    scene = make_scene((status, NOBODY), expires_at=timezone.now() + HOUR)
    before = columns(scene.email)
    assert outcomes.expire([scene.email.pk], scene.now) == 0
    assert columns(scene.email) == before


# What a mail says of itself, what it is when its worker is buried, and what its log then says.
BURIED: list[tuple[str, dict[str, Any], int, str]] = [
    ("to arrive at most once", {"on_unknown": HOLD}, STATUS.failed, "It is unknown whether"),
    ("what killed its workers", {"claims": 3}, STATUS.failed, "each time that it was to be sent"),
    ("to arrive at least once", {"claims": 2}, STATUS.queued, ""),
]


@pytest.mark.parametrize(
    ("before", "status", "said"), [case[1:] for case in BURIED], ids=[case[0] for case in BURIED]
)
@pytest.mark.parametrize("ended", [False, True])
def test_a_dead_workers_mail_is_failed_where_it_must_not_go_again_and_is_open(
    before: dict[str, Any], status: int, said: str, ended: bool
) -> None:
    scene = make_scene((STATUS.sent if ended else STATUS.queued, ANOTHER))
    Email.objects.update(**before)
    liveness.bury(scene.another.pk, scene.now)
    row = Email.objects.get()
    assert (row.status, row.worker_id) == (STATUS.sent if ended else status, None)
    told = said if not ended else ""
    assert [told in log.message for log in Log.objects.all()] == ([True] if told else [])


def client_of(*permissions: str) -> Client:
    user = User.objects.create_user("+".join(permissions), is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def requeued_by(client: Client, **data: str) -> bool:
    """Let this client requeue a sent mail in the admin; returns whether it is in the queue then."""
    scene = make_scene((STATUS.sent, NOBODY))
    selected = {"action": "requeue", "_selected_action": str(scene.email.pk), **data}
    client.post("/admin/post_office/email/", selected)
    return bool(columns(scene.email)["status"] == STATUS.queued)


def test_the_admin_requeues_by_permission_and_sent_mail_when_that_is_confirmed() -> None:
    editor, viewer = client_of("view_email", "requeue_email"), client_of("view_email")
    assert not requeued_by(editor)
    assert requeued_by(editor, confirmed="yes")
    assert not requeued_by(viewer, confirmed="yes")
