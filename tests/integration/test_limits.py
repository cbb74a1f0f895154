"""Rate limits: what is drawn from the database, what a worker does with it, and what is said of it."""

import json
import random
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from post_office import mail
from post_office.checks import check_delivery
from post_office.delivery.worker import WorkerLoop
from post_office.exceptions import InvalidRate
from post_office.models import STATUS, Allowance, BackendState, Email
from post_office.queue import brakes, limits
from post_office.queue.limits import AHEAD, Demand, Grant, Limit, Pace, Quota, Refusal, draw
from post_office.queue.outcomes import Settled
from post_office.queue.rates import Rate, parse_rates
from tests.backends import FaultyBackend

pytestmark = pytest.mark.django_db

FAULTY = "tests.backends.FaultyBackend"


def limit(*rates: str, key: str = "bulk", part: float = 1.0) -> Limit:
    return Limit(key, parse_rates(list(rates)), part)


def demands(count: int, of: Limit, *, recipients: int = 1, urgent: bool = False) -> list[Demand]:
    return [Demand(((of, recipients),), urgent=urgent)] * count


def granted(count: int, of: Limit, **more: Any) -> int:
    return grants(draw(demands(count, of, **more)))


def grants(verdicts: list[Grant | Refusal]) -> int:
    return sum(isinstance(verdict, Grant) for verdict in verdicts)


def configure(settings: Any, **backend: Any) -> None:
    settings.POST_OFFICE = {"BACKENDS": {"default": {"BACKEND": "locmem", **backend}, "other": "locmem"}}


def send(to: str = "ann@example.com", **arguments: Any) -> Email:
    return mail.send(to, "me@example.com", **{"subject": "s", "message": "m", **arguments})


def let_the_time_pass(seconds: float) -> None:
    """Make what was used so much older."""
    for row in Allowance.objects.all():
        used = json.loads(row.used)
        for name, meter in used.items():
            if isinstance(meter, list):
                used[name] = [meter[0], meter[1] - seconds]
            else:
                width = int(name.rpartition("/")[2]) / limits.SLICES
                used[name] = {str(int(number) - int(seconds // width)): n for number, n in meter.items()}
        Allowance.objects.filter(pk=row.pk).update(used=json.dumps(used))


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("14/s", Rate(14, 1)),
        (" 500 messages / hour ", Rate(500, 3600)),
        ("100 recipients/min", Rate(100, 60, of_recipients=True)),
        ("1 recipient/day", Rate(1, 86400, of_recipients=True)),
        ("50000/D", Rate(50000, 86400)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text", ["", "14", "14/fortnight", "0/s", "-1/s", "1.5/s", "ten/s", 14, None, {"s": 14}]
)
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(InvalidRate, match="is no rate"):
        Rate.parse(text)


def test_a_check_names_what_is_no_rate(settings: Any) -> None:
    configure(settings, RATE=["14/s", "many"], DOMAIN_RATE={"gmail.com": "5"})
    rate, domain_rate = (str(error.msg) for error in check_delivery())
    assert rate.startswith(
        "POST_OFFICE['BACKENDS']['default']['RATE']: ['14/s', 'many'] cannot be read: 'many'"
    )
    assert "['DOMAIN_RATE']: {'gmail.com': '5'} cannot be read: '5' is no rate. Write so many" in domain_rate
    configure(settings, DOMAIN_RATE="5/s")
    assert ["Write one for each domain" in error.msg for error in check_delivery()] == [True]
    configure(settings, RATE="14/s", DOMAIN_RATE={"*": ["5/s", "100/min"]})
    assert check_delivery() == []


# --- meters -----------------------------------------------------------------------------------


def most_in_any_second(moments: list[float]) -> int:
    return max(sum(1 for other in moments if at <= other < at + 1) for at in moments)


def test_a_pace_is_kept_in_every_second_whenever_it_is_asked() -> None:
    rng, stored, now, sent = random.Random(1), None, 0.0, []
    while now < 20:
        now += rng.choice([0.001, 0.01, 0.05])
        pace = Pace.load(Rate(50, 1), 1.0, stored, now)
        for _ in range(rng.randrange(1, 20)):
            wait = pace.wait(1, 0.1, urgent=False)
            if wait <= pace.ahead(urgent=False):
                pace.use(1)
                sent.append(now + wait)
        stored = pace.dump()
    assert most_in_any_second(sent) <= 50 + 1
    assert len(sent) >= 0.95 * 50 * 20


def test_a_quota_is_never_exceeded_in_any_such_time_and_may_be_used_at_once() -> None:
    rng, stored, now, sent = random.Random(1), None, 0.0, []
    while now < 400:
        now += rng.choice([0.3, 3, 20])
        quota = Quota.load(Rate(100, 60), 1.0, stored, now)
        for _ in range(rng.randrange(1, 150)):
            if quota.wait(1, 0, urgent=False) == 0:
                quota.use(1)
                sent.append(now)
        stored = json.loads(json.dumps(quota.dump()))
    assert max(sum(1 for other in sent if at <= other < at + 60) for at in sent) == 100


@pytest.mark.parametrize("kind", [Pace, Quota])
def test_a_refusal_says_when_it_is_over(kind: Any) -> None:
    rate = Rate(10, 1 if kind is Pace else 60)
    meter = kind.load(rate, 1.0, None, 1000.0)
    while (wait := meter.wait(1, 0.1, urgent=False)) == 0:
        meter.use(1)
    stored = json.loads(json.dumps(meter.dump()))
    assert kind.load(rate, 1.0, stored, 1000.0 + wait + 0.001).wait(1, 0.1, urgent=False) == 0
    assert kind.load(rate, 1.0, stored, 1000.0 + wait - 0.01).wait(1, 0.1, urgent=False) > 0


@pytest.mark.parametrize("kind", [Pace, Quota])
def test_a_clock_that_is_put_back_by_an_hour_frees_nothing_and_blocks_no_longer(kind: Any) -> None:
    rate = Rate(10, 1 if kind is Pace else 60)
    meter = kind.load(rate, 1.0, None, 10_000.0)
    while (wait := meter.wait(1, 0.1, urgent=False)) == 0:
        meter.use(1)
    back = kind.load(rate, 1.0, json.loads(json.dumps(meter.dump())), 6_400.0)
    assert 0 < back.wait(1, 0.1, urgent=False) <= wait + rate.seconds / 60 + 0.001


@pytest.mark.parametrize("rate", ["1/s", "1/day"])
@pytest.mark.parametrize("urgent", [True, False])
def test_the_smallest_rate_lets_something_go(rate: str, urgent: bool) -> None:
    assert granted(5, limit(rate), urgent=urgent) >= 1


# --- draws ------------------------------------------------------------------------------------


def test_a_draw_takes_what_there_is_and_says_how_long_the_rest_waits() -> None:
    assert grants(draw(demands(30, limit("100/min")))) == 30
    verdicts = draw(demands(100, limit("100/min")))
    assert grants(verdicts) == 60  # ten are kept free
    refusal = verdicts[-1]
    assert isinstance(refusal, Refusal)
    assert 55 < refusal.seconds <= 61


def test_a_pace_is_given_out_ahead_each_mail_for_a_moment_of_its_own() -> None:
    verdicts = draw(demands(100, limit("50/s")))
    turns = [verdict.seconds or 0.0 for verdict in verdicts if isinstance(verdict, Grant)]
    assert turns == pytest.approx([number / 50 for number in range(1 + int(AHEAD * 50))])


def test_urgent_mail_is_given_a_moment_when_the_rest_has_taken_all_that_is_given_ahead() -> None:
    *bulk, urgent = draw([*demands(100, limit("50/s")), *demands(1, limit("50/s"), urgent=True)])
    assert isinstance(bulk[-1], Refusal)
    assert isinstance(urgent, Grant)
    assert urgent.seconds is not None
    assert urgent.seconds <= AHEAD


def test_a_share_is_kept_free_for_urgent_mail() -> None:
    assert granted(200, limit("100/hour")) == 90
    assert granted(200, limit("100/hour"), urgent=True) == 10


def test_of_several_rates_each_holds() -> None:
    both = limit("1000/s", "100 recipients/hour")
    assert granted(20, both, recipients=10) == 9


def test_a_mail_with_more_recipients_than_the_limit_goes_when_nothing_else_did() -> None:
    small = limit("10 recipients/hour")
    assert granted(2, small, recipients=50) == 1
    assert granted(1, small) == 0


def test_what_one_limit_refuses_takes_nothing_from_another() -> None:
    backend, domain = limit("100/hour", key="a"), limit("1/hour", key="a example.com")
    both = [Demand(((backend, 1), (domain, 1)))] * 5
    assert grants(draw(both)) == 1
    assert granted(100, backend) == 89


def test_a_backend_that_is_slowed_gets_a_part() -> None:
    assert granted(100, limit("100/hour", part=0.5)) == 45


def test_what_no_longer_counts_is_forgotten() -> None:
    draw(demands(1, limit("1/s", key="a")))
    draw(demands(1, limit("1/day", key="b")))
    Allowance.objects.filter(key="a").update(idle_at=1.0)
    assert limits.tidy() == 1
    assert list(Allowance.objects.values_list("key", flat=True)) == ["b"]


@pytest.mark.django_db(transaction=True)
def test_draws_at_the_same_time_share_one_limit() -> None:
    got: list[int] = []

    def take() -> None:
        try:
            for _ in range(10):
                got.append(granted(3, limit("200/hour")))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Of 120 wanted, whatever was granted is what is written down.
    row = Allowance.objects.get()
    assert sum(next(iter(json.loads(row.used).values())).values()) == sum(got)
    assert sum(got) >= 60


# --- deliveries -------------------------------------------------------------------------------


def test_mail_over_the_quota_waits_unharmed_and_the_run_says_until_when(settings: Any, capsys: Any) -> None:
    configure(settings, RATE="20/hour")
    emails = [send() for _ in range(30)]
    other = send(backend="other")
    call_command("send_queued_mail", "--lockfile", "")
    assert "Backend default has used up its rate, its mail waits until " in capsys.readouterr().out
    assert Email.objects.filter(status=STATUS.sent).count() == 19
    assert Email.objects.get(pk=other.pk).status == STATUS.sent
    as_before = {"status": STATUS.queued, "worker": None, "claims": 0, "scheduled_time": None}
    assert Email.objects.filter(number_of_retries=None, **as_before).count() == 12
    assert {email.pk for email in emails[:18]} == {email.pk for email in emails if email.logs.exists()}
    let_the_time_pass(3700)
    assert mail.send_queued() == (12, 0, 0)


def test_urgent_mail_goes_when_the_rest_has_used_up_its_part(settings: Any) -> None:
    configure(settings, RATE="20/hour")
    for _ in range(30):
        send()
    assert mail.send_queued() == (18, 0, 0)
    urgent = [send(priority="high") for _ in range(3)]
    assert mail.send_queued() == (2, 0, 0)
    assert [Email.objects.get(pk=email.pk).status for email in urgent] == [
        STATUS.sent,
        STATUS.sent,
        STATUS.queued,
    ]


def test_urgent_mail_that_comes_when_the_rest_has_used_up_its_part_is_all_that_is_claimed(
    settings: Any,
) -> None:
    configure(settings, RATE="20/hour")
    for _ in range(20):
        send()
    mail.send_queued()
    settings.POST_OFFICE = {**settings.POST_OFFICE, "BATCH_SIZE": 1, "THREADS_PER_PROCESS": 1}
    urgent: list[Email] = []

    def bring_more(settled: Settled) -> None:
        if settled.released and not urgent:
            urgent.extend(send(priority="high") for _ in range(2))

    total = WorkerLoop(log_level=2, on_settled=bring_more).run()
    # one of the rest was claimed to find out that there is nothing left for it
    assert (total.sent, total.released) == (2, 1)
    assert {Email.objects.get(pk=email.pk).status for email in urgent} == {STATUS.sent}


def test_a_pace_makes_a_run_slower_and_not_shorter(settings: Any) -> None:
    configure(settings, RATE="20/s")
    for _ in range(24):
        send()
    before = timezone.now()
    assert mail.send_queued() == (24, 0, 0)
    assert timezone.now() - before >= timedelta(seconds=0.9)


@pytest.mark.django_db(transaction=True)
def test_mail_sent_at_once_is_counted_and_queued_when_it_is_too_much(settings: Any) -> None:
    configure(settings, RATE="2/hour")
    assert [send(priority="now").status for _ in range(3)] == [STATUS.sent, STATUS.sent, STATUS.queued]
    assert len(django_mail.outbox) == 2


@pytest.mark.django_db(transaction=True)
def test_mail_sent_at_once_waits_a_moment_for_its_turn(settings: Any) -> None:
    configure(settings, RATE="10/s")
    before = time.monotonic()
    assert {send(priority="now").status for _ in range(5)} == {STATUS.sent}
    assert time.monotonic() - before >= 0.2


def test_mail_to_one_domain_waits_and_that_to_others_goes(settings: Any, capsys: Any) -> None:
    configure(settings, DOMAIN_RATE={"gmail.com": "2/hour", "*": "1000/s"})
    slow = [send("Ann <ann@GMAIL.com>") for _ in range(5)]
    quick = [send(f"{number}@example.com") for number in range(10)]
    call_command("send_queued_mail", "--lockfile", "")
    assert "Mail to gmail.com by default is over its rate until " in capsys.readouterr().out
    assert Email.objects.filter(pk__in=[email.pk for email in quick], status=STATUS.sent).count() == 10
    waiting = Email.objects.filter(
        pk__in=[email.pk for email in slow], status=STATUS.queued, number_of_retries=None
    )
    assert waiting.count() == 4  # one is kept free
    due = sorted(waiting.values_list("scheduled_time", flat=True))
    assert due[0] > timezone.now() + timedelta(minutes=30)
    # One behind the other.
    assert due[1] - due[0] > timedelta(minutes=20)


def test_a_domain_with_a_queue_of_its_own_does_not_keep_a_worker_from_the_rest(settings: Any) -> None:
    configure(settings, DOMAIN_RATE={"gmail.com": "10/s"})
    settings.POST_OFFICE["BATCH_SIZE"] = 20
    slow = [send("ann@gmail.com", priority="high") for _ in range(60)]
    quick = send()
    mail.send_queued_mail_until_done(lockfile="")
    late = Email.objects.filter(pk__in=[email.pk for email in slow]).exclude(status=STATUS.sent)
    sent_at = quick.logs.get().date
    assert sent_at < max(
        Email.objects.filter(pk__in=[e.pk for e in slow]).values_list("last_updated", flat=True)
    )
    assert not late.exclude(status=STATUS.queued).exists()


class TooManyRequests(Exception):
    status_code = 429


def test_a_server_that_throttles_gets_half_of_the_rate_for_a_while(settings: Any) -> None:
    configure(settings, BACKEND=FAULTY, RATE="100/hour")
    FaultyBackend.faults.clear()
    FaultyBackend.faults["ann@example.com"] = TooManyRequests("slow down")
    try:
        for _ in range(10):
            send()
        mail.send_queued()
    finally:
        FaultyBackend.faults.clear()
    state = BackendState.objects.get()
    assert state.slowed_to == 0.5  # many at once count once
    assert state.slowed_until is not None
    assert brakes.read().part("default", timezone.now()) == 0.5
    assert brakes.read().part("default", state.slowed_until) == 1
    for _ in range(100):
        send("bob@example.com")
    assert mail.send_queued() == (35, 0, 0)


def test_a_server_that_goes_on_throttling_gets_less_and_less_but_something() -> None:
    now = timezone.now()
    parts = []
    for number in range(6):
        brakes.slow("default", now + timedelta(seconds=11 * number), None)
        parts.append(BackendState.objects.get().slowed_to)
    assert parts == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16, 1 / 16]
    much_later = now + timedelta(hours=1)
    brakes.slow("default", much_later, timedelta(hours=2))
    state = BackendState.objects.get()
    assert (state.slowed_to, state.slowed_until) == (1 / 2, much_later + timedelta(hours=2))


def test_without_a_rate_no_allowance_is_kept(settings: Any) -> None:
    send()
    assert mail.send_queued() == (1, 0, 0)
    assert not Allowance.objects.exists()


def test_a_domain_longer_than_the_key_of_a_limit_is_limited_and_said(settings: Any, capsys: Any) -> None:
    configure(settings, DOMAIN_RATE={"*": "2/hour"})
    domain = ".".join(["x" * 60] * 4) + ".example.com"
    for _ in range(3):
        send(f"ann@{domain}")
    call_command("send_queued_mail", "--lockfile", "")
    assert f"Mail to {domain[:200]}" in capsys.readouterr().out
    assert Email.objects.filter(status=STATUS.sent).count() == 1  # one is kept free
