"""Claims, outcomes and liveness: every transition of the protocol, with its guard."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from datetime import timezone as tz
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_office import mail, signals
from post_office.models import PRIORITY, STATUS, Email, Log, Worker
from post_office.queue import claims, liveness, outcomes
from post_office.queue.claims import Claimer
from post_office.queue.outcomes import Failed, Outcome, Released, Report, Retry, Sent

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def now() -> datetime:
    """A moment at which everything queued by the test is due."""
    return timezone.now() + timedelta(minutes=1)


@pytest.fixture
def worker(now: datetime) -> Worker:
    return liveness.register(now)


def queue(count: int = 1, **arguments: Any) -> list[Email]:
    draft = {"recipients": "ann@example.com", "sender": "me@example.com", **arguments}
    return mail.send_many([draft] * count)


def claim(
    worker: Worker, now: datetime, limit: int = 100, aliases: tuple[str, ...] = ("", "default")
) -> list[Email]:
    return Claimer(worker).claim(limit, aliases, now)


def row(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


# --- claims -----------------------------------------------------------------------------------


def test_a_claim_takes_what_is_due_and_marks_it(worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    (claimed,) = claim(worker, now)
    assert claimed == queued
    stored = row(queued)
    assert (stored.worker_id, stored.status, stored.claims) == (worker.pk, STATUS.queued, 1)
    assert stored.claimed_at is not None


def test_what_another_claims_between_our_look_and_our_claim_is_not_ours(
    worker: Worker, now: datetime
) -> None:
    """As on a database that locks no rows."""
    first, second = queue(2)
    other = liveness.register(now)
    taken = Worker._meta.pk.get_db_prep_value(other.pk, connection), first.pk

    def be_first(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and "claimed_at" in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(
                    f"UPDATE {Email._meta.db_table} SET worker_id = %s WHERE id = %s", taken
                )
        return execute(sql, *arguments)

    with connection.execute_wrapper(be_first):
        assert claim(worker, now + HOUR) == [second]
    assert row(first).worker_id == other.pk
    assert row(second).worker_id == worker.pk


def test_a_claim_takes_no_more_queries_for_many_mails_than_for_one(worker: Worker, now: datetime) -> None:
    for count in (1, 60):
        queue(count)
        claimer = Claimer(worker)
        with CaptureQueriesContext(connection) as captured:
            assert len(claimer.claim(60, ["", "default"], now + HOUR)) == count
        asked = [query for query in captured.captured_queries if query["sql"] not in ("BEGIN", "COMMIT")]
        asked = [query for query in asked if "SAVEPOINT" not in query["sql"]]
        # Which lanes, our own row, what there is, and that it is ours.
        assert len(asked) == 4


def test_what_is_held_is_not_claimed_again(worker: Worker, now: datetime) -> None:
    queue(3)
    assert len(claim(worker, now)) == 3
    assert claim(liveness.register(now), now) == []


NOT_CLAIMABLE: list[tuple[str, dict[str, Any]]] = [
    ("scheduled for later", {"scheduled_time": timezone.now() + HOUR}),
    ("sent", {"status": STATUS.sent}),
    ("failed", {"status": STATUS.failed}),
    ("expired", {"status": STATUS.expired}),
    ("canceled", {"status": STATUS.canceled}),
    ("without a status", {"status": None}),
    ("for a backend that is not served", {"backend_alias": "other"}),
]


@pytest.mark.parametrize(("why", "columns"), NOT_CLAIMABLE, ids=[why for why, _ in NOT_CLAIMABLE])
def test_mail_is_left_alone_that_is(why: str, columns: dict[str, Any], worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    Email.objects.filter(pk=queued.pk).update(**columns)
    assert claim(worker, now) == []
    assert row(queued).worker_id is None


def test_the_order_is_priority_then_due_time_then_id(worker: Worker, now: datetime) -> None:
    (late,) = queue(scheduled_time=now - timedelta(minutes=1))
    (low,) = queue(priority="low")
    (first,) = queue(scheduled_time=now - HOUR)
    (second,) = queue(scheduled_time=now - HOUR)
    (high,) = queue(priority="high", scheduled_time=now - timedelta(seconds=1))
    (none,) = queue()
    Email.objects.filter(pk=none.pk).update(priority=None)
    assert claim(worker, now) == [high, first, second, late, low, none]


def test_a_small_claim_takes_the_most_urgent(worker: Worker, now: datetime) -> None:
    queue(5, priority="low")
    urgent = queue(2, priority="high")
    assert claim(worker, now, limit=2) == urgent


def test_a_retry_goes_before_new_mail_of_its_priority(worker: Worker, now: datetime) -> None:
    _, again = queue(2)
    Email.objects.filter(pk=again.pk).update(status=STATUS.requeued)
    assert claim(worker, now, limit=1) == [again]


def test_another_order_may_be_set(worker: Worker, now: datetime, settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "SENDING_ORDER": ["-id"]}
    one, two = queue(2)
    assert claim(worker, now) == [two, one]


def test_backends_take_turns(worker: Worker, now: datetime, settings: Any) -> None:
    settings.POST_OFFICE = {"BACKENDS": {"default": "locmem", "bulk": "locmem"}}
    queue(6, backend="bulk")
    queue(6, backend="default")
    claimer = Claimer(worker)
    taken = [
        email.backend_alias
        for step in range(4)
        for email in claimer.claim(3, ["default", "bulk"], now + timedelta(seconds=step))
    ]
    assert sorted(taken[:6]) == ["bulk"] * 3 + ["default"] * 3


def test_expired_mail_met_on_the_way_is_expired(worker: Worker, now: datetime) -> None:
    heard: list[Email] = []

    def receiver(emails: list[Email], **kwargs: Any) -> None:
        heard.extend(emails)

    late = queue(3)
    Email.objects.update(expires_at=now - HOUR)
    (good,) = queue(expires_at=now + HOUR)
    signals.email_expired.connect(receiver)
    try:
        assert claim(worker, now, limit=2) == [good]
    finally:
        signals.email_expired.disconnect(receiver)
    assert {row(email).status for email in late} == {STATUS.expired}
    assert [email.status for email in heard] == [STATUS.expired] * 3


def test_claims_of_one_worker_are_told_apart(worker: Worker, now: datetime) -> None:
    claimer = Claimer(worker)
    queue(2)
    first = claimer.claim(1, ["", "default"], now)
    second = claimer.claim(1, ["", "default"], now)
    assert len(first) == len(second) == 1
    assert first != second


def test_released_mail_is_as_before(worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    claim(worker, now)
    assert outcomes.settle([(queued, Released(backend="default"))], worker, 2, now).released == 1
    stored = row(queued)
    assert (stored.worker_id, stored.claimed_at, stored.claims) == (None, None, 0)
    assert (stored.status, stored.number_of_retries, stored.scheduled_time) == (STATUS.queued, None, None)
    assert not Log.objects.exists()


def test_one_mail_may_be_claimed_out_of_turn_by_one_only(worker: Worker, now: datetime) -> None:
    (queued,) = queue(scheduled_time=now + HOUR)
    assert claims.claim_one(queued, worker, now)
    assert not claims.claim_one(queued, liveness.register(now), now)


def plan(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}", params)
        return "\n".join(" ".join(map(str, line)) for line in cursor.fetchall())


# ANALYZE commits on MariaDB and MySQL, so this test cleans up behind it.
@pytest.mark.django_db(transaction=True)
def test_a_lane_is_walked_by_its_index(now: datetime) -> None:
    """So the cost of a claim does not grow with what was sent or is scheduled for later."""
    queue(20)
    Email.objects.bulk_create(
        Email(
            from_email="me@example.com",
            to=["ann@example.com"],
            status=STATUS.sent if number % 2 else STATUS.queued,
            priority=PRIORITY.medium,
            scheduled_time=now + HOUR,
            subject="x" * 200,
        )
        for number in range(2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE post_office_email" if connection.vendor == "mysql" else "ANALYZE")
        cursor.fetchall() if connection.vendor == "mysql" else None
    (email,) = Email.objects.filter(status=STATUS.queued)[:1]
    claimer = Claimer(liveness.register(now))
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "post_office_email" in sql and "WHERE" in sql:
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert [len(claimer.claim(5, [email.backend_alias], now)) for _ in range(2)] == [5, 5]
    # Which lanes have mail, its first, and to hold these; whether any is more urgent, and its next.
    limited = [(sql, params) for sql, params in asked if "LIMIT" in sql]
    assert len(limited) == 4
    for sql, params in limited:
        assert "post_office_email_lane" in plan(sql, params), sql
    for sql, params in asked:
        found = plan(sql, params)
        reads = [
            line for line in found.splitlines() if re.search(r"(SCAN|Seq Scan on) post_office_email\b", line)
        ]
        assert not reads, (sql, found)


# --- outcomes ---------------------------------------------------------------------------------

REPORT = Report(message="451 try later", exception_type="SMTPDataError", code=451, answer="try later")


@pytest.fixture
def heard() -> Iterator[list[tuple[str, list[Email], list[Outcome]]]]:
    """Whatever the signals of outcomes say."""
    facts: list[tuple[str, list[Email], list[Outcome]]] = []
    receivers = []
    for name in ("email_sent", "email_failed", "email_requeued"):

        def receiver(emails: list[Email], outcomes: list[Outcome], name: str = name, **kwargs: Any) -> None:
            # the row says so already
            assert [row(email).status for email in emails] == [email.status for email in emails]
            facts.append((name, emails, outcomes))

        getattr(signals, name).connect(receiver)
        receivers.append((name, receiver))
    yield facts
    for name, receiver in receivers:
        getattr(signals, name).disconnect(receiver)


def test_sent_is_settled(worker: Worker, now: datetime, heard: Any) -> None:
    queue(3)
    held = claim(worker, now)
    settled = outcomes.settle([(email, Sent(backend="default")) for email in held], worker, 2, now)
    assert settled.sent == 3
    for email in held:
        stored = row(email)
        assert (stored.status, stored.worker_id, stored.claims) == (STATUS.sent, None, 0)
        assert email.status == STATUS.sent
    assert [(log.status, log.backend, log.attempt) for log in Log.objects.all()] == [
        (STATUS.sent, "default", 1)
    ] * 3
    assert [(name, len(emails)) for name, emails, _ in heard] == [("email_sent", 3)]


def test_providers_ids_are_settled_in_the_same_queries(worker: Worker, now: datetime) -> None:
    queue(4)
    claimed = claim(worker, now)
    Email.objects.filter(pk=claimed[2].pk).update(provider_id="from before")
    with CaptureQueriesContext(connection) as of_one:
        outcomes.settle([(claimed[3], Sent(backend="default", provider_id="alone"))], worker, 2, now)
    told = [Sent(backend="default", provider_id=told) for told in ("one", "two", None)]
    with CaptureQueriesContext(connection) as along:
        outcomes.settle(list(zip(claimed[:3], told, strict=True)), worker, 2, now)
    assert len(along) == len(of_one)
    # Reports may still come for the earlier id of a mail that is sent again.
    assert [row(email).provider_id for email in claimed] == ["one", "two", "from before", "alone"]
    assert [email.provider_id for email in claimed[:2]] == ["one", "two"]


def test_a_retry_is_settled(worker: Worker, now: datetime, heard: Any) -> None:
    (queued,) = queue()
    claim(worker, now)
    outcome = Retry(at=now + HOUR, backend="default", report=REPORT)
    assert outcomes.settle([(queued, outcome)], worker, 1, now).requeued == 1
    stored = row(queued)
    assert (stored.status, stored.number_of_retries) == (STATUS.requeued, 1)
    assert stored.scheduled_time == stored.due_at == now + HOUR
    (log,) = Log.objects.all()
    assert (log.status, log.code, log.answer, log.attempt) == (STATUS.failed, 451, "try later", 1)
    assert (log.message, log.exception_type) == ("451 try later", "SMTPDataError")
    assert heard == [("email_requeued", [queued], [outcome])]


def test_failure_is_settled(worker: Worker, now: datetime, heard: Any) -> None:
    (queued,) = queue()
    claim(worker, now)
    outcome = Failed(backend="default", report=REPORT)
    assert outcomes.settle([(queued, outcome)], worker, 1, now).failed == 1
    assert row(queued).status == STATUS.failed
    assert row(queued).number_of_retries is None
    assert [name for name, *_ in heard] == ["email_failed"]


def test_a_fault_of_the_backend_burns_no_attempt_and_is_logged(worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    claim(worker, now)
    settled = outcomes.settle([(queued, Released(backend="default", report=REPORT))], worker, 2, now)
    assert settled.released == 1
    assert (row(queued).status, row(queued).number_of_retries) == (STATUS.queued, None)
    assert Log.objects.get().attempt is None


@pytest.mark.parametrize(
    ("log_level", "statuses"),
    [(0, []), (1, [STATUS.failed]), (2, [STATUS.sent, STATUS.failed])],
)
def test_the_log_level_says_which_attempts_are_logged(
    log_level: int, statuses: list[int], worker: Worker, now: datetime
) -> None:
    one, two = queue(2)
    claim(worker, now)
    results: list[tuple[Email, Outcome]] = [
        (one, Sent(backend="default")),
        (two, Failed(backend="default", report=REPORT)),
    ]
    outcomes.settle(results, worker, log_level, now)
    assert sorted(Log.objects.values_list("status", flat=True)) == statuses


OUTCOMES = [
    Sent(backend="default"),
    Retry(at=datetime(2030, 1, 1, tzinfo=tz.utc), backend="default", report=REPORT),
    Failed(backend="default", report=REPORT),
    Released(backend="default", report=REPORT),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_a_worker_that_lost_its_claim_writes_nothing(
    outcome: Outcome, worker: Worker, now: datetime, heard: Any, caplog: Any
) -> None:
    taken, mine = queue(2)
    claim(worker, now)
    successor = liveness.register(now)
    Email.objects.filter(pk=taken.pk).update(worker=successor)
    settled = outcomes.settle([(taken, outcome), (mine, Sent(backend="default"))], worker, 2, now)
    assert (settled.lost, settled.sent) == (1, 1)
    stored = row(taken)
    assert (stored.status, stored.worker_id) == (STATUS.queued, successor.pk)
    assert not Log.objects.filter(email=taken).exists()
    assert [emails for _, emails, _ in heard] == [[mine]]
    assert "another worker had taken it over" in caplog.text


def test_mail_that_was_deleted_meanwhile_is_no_fault(worker: Worker, now: datetime) -> None:
    gone, stays = queue(2)
    claim(worker, now)
    Email.objects.filter(pk=gone.pk).delete()
    results: list[tuple[Email, Outcome]] = [(email, Sent(backend="default")) for email in (gone, stays)]
    assert outcomes.settle(results, worker, 2, now).sent == 1


def test_a_receiver_that_raises_stops_nothing(worker: Worker, now: datetime) -> None:
    def receiver(**kwargs: Any) -> None:
        raise RuntimeError("broken receiver")

    signals.email_sent.connect(receiver)
    try:
        (queued,) = queue()
        claim(worker, now)
        outcomes.settle([(queued, Sent(backend="default"))], worker, 2, now)
    finally:
        signals.email_sent.disconnect(receiver)
    assert row(queued).status == STATUS.sent


def test_cancel_ends_what_nobody_holds(worker: Worker, now: datetime) -> None:
    heard: list[Email] = []

    def receiver(emails: list[Email], **kwargs: Any) -> None:
        heard.extend(emails)

    (held,) = queue()
    claim(worker, now)
    (waiting,) = queue()
    signals.email_canceled.connect(receiver)
    try:
        assert mail.cancel([held, waiting]) == 1
    finally:
        signals.email_canceled.disconnect(receiver)
    assert (row(held).status, row(waiting).status) == (STATUS.queued, STATUS.canceled)
    assert heard == [waiting]


def test_what_is_in_delivery_is_not_expired_under_its_worker(worker: Worker, now: datetime) -> None:
    (held,) = queue(expires_at=now + HOUR)
    claim(worker, now)
    assert outcomes.expire([held.pk], now + 2 * HOUR) == 0
    assert row(held).status == STATUS.queued


def test_a_log_that_cannot_be_written_undoes_the_status(worker: Worker, now: datetime) -> None:
    (email,) = queue()
    claim(worker, now)

    def break_at_the_log(execute: Any, sql: str, *arguments: Any) -> Any:
        if "INSERT INTO post_office_log" in sql:
            raise OperationalError("gone")
        return execute(sql, *arguments)

    with connection.execute_wrapper(break_at_the_log), pytest.raises(OperationalError):
        outcomes.settle([(email, Sent(backend="default"))], worker, 2, now)
    assert row(email).status == STATUS.queued


def test_requeue_is_announced_as_new_mail_is() -> None:
    heard: list[Email] = []

    def receiver(emails: list[Email], **kwargs: Any) -> None:
        heard.extend(emails)

    sent, waiting = queue(2)
    Email.objects.filter(pk=sent.pk).update(status=STATUS.sent)
    signals.email_queued.connect(receiver)
    try:
        assert mail.requeue([sent, waiting]) == 1
    finally:
        signals.email_queued.disconnect(receiver)
    assert heard == [sent]


@pytest.mark.parametrize("status", [STATUS.sent, STATUS.failed, STATUS.expired, STATUS.canceled, None])
def test_requeue_starts_anew(status: int | None, now: datetime) -> None:
    (email,) = queue(expires_at=now - HOUR)
    Email.objects.filter(pk=email.pk).update(
        status=status, number_of_retries=3, scheduled_time=now - 2 * HOUR
    )
    assert mail.requeue([email]) == 1
    stored = row(email)
    assert (stored.status, stored.number_of_retries, stored.scheduled_time) == (STATUS.queued, None, None)
    assert stored.expires_at is None


def test_what_is_in_the_queue_is_not_requeued(worker: Worker, now: datetime) -> None:
    (email,) = queue()
    claim(worker, now)
    assert mail.requeue([email]) == 0
    assert row(email).worker_id == worker.pk


# --- liveness ---------------------------------------------------------------------------------


class Clock:
    """A monotonic clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time

    def pass_by(self, seconds: int, observer: liveness.Observer, me: Worker) -> int:
        """Let time go by as it does for a worker that looks around now and then; returns what came free."""
        freed = 0
        for _ in range(seconds):
            self.time += 1
            freed += observer.free_dead(me)
        return freed


def elsewhere(now: datetime) -> Worker:
    """A worker of which nothing is known but its beats."""
    return Worker.objects.create(
        host="elsewhere", boot="another", pid=1, pid_started=1, started_at=now, beat_at=now
    )


def test_a_silent_worker_is_dead_after_a_lease_by_our_own_clock(worker: Worker, now: datetime) -> None:
    other, clock = elsewhere(now), Clock()
    (queued,) = queue()
    claim(other, now)
    observer = liveness.Observer(clock=clock)
    assert observer.free_dead(worker) == 0
    assert clock.pass_by(59, observer, worker) == 0
    assert observer.undecided(worker) == [other]
    assert clock.pass_by(2, observer, worker) == 1
    assert row(queued).worker_id is None
    # counts that a worker died with it
    assert row(queued).claims == 1
    assert not Worker.objects.filter(pk=other.pk).exists()


def test_a_worker_that_beats_keeps_its_mail(worker: Worker, now: datetime) -> None:
    other, clock = elsewhere(now), Clock()
    queue()
    claim(other, now)
    observer = liveness.Observer(clock=clock)
    for _ in range(10):
        assert clock.pass_by(50, observer, worker) == 0
        assert liveness.beat(other, now)
    assert observer.free_dead(worker) == 0
    assert observer.undecided(worker) == []


@pytest.mark.parametrize("step", [-HOUR, HOUR * 24 * 365])
def test_the_wall_clock_decides_nothing(step: timedelta, worker: Worker, now: datetime) -> None:
    other, clock = elsewhere(now), Clock()
    Worker.objects.filter(pk=other.pk).update(beat_at=now + step, started_at=now + step)
    queue()
    claim(other, now)
    observer = liveness.Observer(clock=clock)
    assert clock.pass_by(30, observer, worker) == 0


def test_a_time_in_which_we_slept_proves_nobody_dead(worker: Worker, now: datetime) -> None:
    """Whatever stopped us may have stopped the others, too."""
    other, clock = elsewhere(now), Clock()
    queue()
    claim(other, now)
    observer = liveness.Observer(clock=clock)
    assert clock.pass_by(10, observer, worker) == 0
    clock.time += 3600
    assert observer.free_dead(worker) == 0
    assert clock.pass_by(59, observer, worker) == 0
    assert clock.pass_by(2, observer, worker) == 1


def test_a_worker_that_was_taken_for_dead_claims_nothing(worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    liveness.free(worker.pk)
    with pytest.raises(liveness.TakenForDead):
        claim(worker, now)
    with pytest.raises(liveness.TakenForDead):
        claims.claim_one(queued, worker, now)
    assert row(queued).worker_id is None


def test_what_a_claim_took_before_a_fault_is_given_back(
    worker: Worker, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    urgent = queue(2, priority="high")
    queue(2, priority="low")
    claimer = Claimer(worker)
    take = claimer._take

    def break_at_the_second_lane(rows: Any, *arguments: Any) -> list[int]:
        if Email.objects.held().exists():
            raise OperationalError("gone")
        return take(rows, *arguments)

    monkeypatch.setattr(claimer, "_take", break_at_the_second_lane)
    with pytest.raises(OperationalError):
        claimer.claim(10, ["", "default"], now)
    assert set(Email.objects.held()) == set(urgent)
    monkeypatch.undo()
    assert len(claimer.claim(10, ["", "default"], now)) == 4


def test_a_process_known_to_be_gone_is_dead_at_once(worker: Worker, now: datetime) -> None:
    if not worker.boot:
        pytest.skip("this system tells nothing of boots and processes")
    other = liveness.register(now)
    # the same pid, but of a process that began at another time
    Worker.objects.filter(pk=other.pk).update(pid_started=(other.pid_started or 0) - 1)
    queue(2)
    claim(other, now)
    assert liveness.Observer(clock=Clock()).free_dead(worker) == 2


@pytest.mark.parametrize("field", ["host", "boot"])
def test_a_process_elsewhere_is_not_known_to_be_gone(field: str, worker: Worker, now: datetime) -> None:
    other = liveness.register(now)
    Worker.objects.filter(pk=other.pk).update(pid=2**22 - 1, **{field: "another"})
    queue()
    claim(other, now)
    assert liveness.Observer(clock=Clock()).free_dead(worker) == 0


def test_mail_of_a_worker_without_a_row_is_freed(worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    Email.objects.filter(pk=queued.pk).update(worker_id=uuid4(), claimed_at=now)
    assert liveness.Observer(clock=Clock()).free_dead(worker) == 1
    assert row(queued).worker_id is None


def test_a_worker_hears_that_it_was_taken_for_dead(worker: Worker, now: datetime) -> None:
    liveness.free(worker.pk)
    assert not liveness.beat(worker, now)


def test_a_worker_that_leaves_holds_nothing(worker: Worker, now: datetime) -> None:
    (queued,) = queue()
    claim(worker, now)
    liveness.retire(worker)
    assert row(queued).worker_id is None
    assert not Worker.objects.exists()
