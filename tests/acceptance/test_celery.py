"""Mail that is queued wakes Celery's workers: real ones, over real brokers."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from signal import SIGTERM

import pytest
from django.utils import timezone
from kombu import Connection, Exchange, Queue
from redis import Redis

from post_office.models import STATUS, Email
from tests import services, settings
from tests.acceptance.patience import wait_until
from tests.acceptance.project import THREADS, Finished, Project, Run, assert_all_sent, queue, sent
from tests.acceptance.smtp_server import SMTPServer

BROKERS = {"redis": settings.REDIS_URL, "rabbitmq": settings.AMQP_URL}
TASKS = ["send_queued_mail", "cleanup_mail", "cleanup_expired_mails"]
TELL_TASKS = f"from post_office import tasks; print([name for name in {TASKS} if hasattr(tasks, name)])"


@pytest.fixture
def shop(project: Project) -> Project:
    """The project with Celery and with a transaction around each request."""
    project.post_office["CELERY_ENABLED"] = True
    project.settings |= {
        "ROOT_URLCONF": "tests.acceptance.shop",
        "ATOMIC_REQUESTS": True,
        "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,
        "CELERY_WORKER_ENABLE_REMOTE_CONTROL": False,
    }
    project.warnings += ",ignore:You're running the worker with superuser privileges"  # as in containers
    return project


@pytest.fixture
def over(shop: Project) -> Iterator[Callable[[str], None]]:
    """Use this broker, with a queue of this test's own, which goes when its workers have ended."""
    name = f"post_office-{secrets.token_hex(6)}"
    used: set[str] = set()

    def use(broker: str) -> None:
        services.require(broker)
        used.add(broker)
        shop.settings |= {"CELERY_BROKER_URL": BROKERS[broker], "CELERY_TASK_DEFAULT_QUEUE": name}

    yield use
    shop.end()
    if "rabbitmq" in used:
        with Connection(settings.AMQP_URL) as connection, closing(connection.channel()) as channel:
            Queue(name).bind(channel).delete()
            Exchange(name).bind(channel).delete()
    if "redis" in used:
        with Redis.from_url(settings.REDIS_URL) as keys:
            keys.delete(*keys.scan_iter(f"*{name}*"))


def start_worker(shop: Project, name: str, pool: str = "prefork") -> Run:
    return celery(
        shop,
        "worker",
        "-n",
        name,
        "-P",
        pool,
        "-c",
        "1",
        "-l",
        "INFO",
        "--without-gossip",
        "--without-mingle",
    )


def wait_for_word(worker: Run, words: str) -> None:
    wait_until(lambda: worker.said(words) or worker.has_ended(), f"the worker says {words!r}")
    assert worker.said(words), worker.finish().errors


def celery(shop: Project, *arguments: str) -> Run:
    return shop.start_program("celery", "-A", "tests.acceptance.celery_app", *arguments)


@pytest.mark.parametrize("broker", BROKERS)
def test_two_workers_share_what_requests_queue_and_send_nothing_of_a_request_that_fails(
    shop: Project, server: SMTPServer, over: Callable[[str], None], broker: str
) -> None:
    over(broker)
    workers = [start_worker(shop, name) for name in ("a", "b")]
    for worker in workers:
        wait_for_word(worker, "ready.")
    for task in TASKS:
        assert workers[0].said(f"  . post_office.tasks.{task}\n")
    # Nothing is answered until both are at work at once.
    server.hold_after(0)

    answers = shop.visit(*["/order/7/", "/order/7/?fail"] * 6)
    server.wait_until_accepted(2 * THREADS)
    server.let_go()
    server.wait_until_accepted(6 * 7)

    assert answers == ["200", "500"] * 6
    wait_until(lambda: len(sent()) == 6 * 7, "all outcomes are settled")
    for worker in workers:
        worker.send_signal(SIGTERM)
    assert [worker.finish().code for worker in workers] == [0, 0]
    assert_all_sent(list(Email.objects.all()))
    assert server.message_ids() == {email.message_id: 1 for email in Email.objects.all()}


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_worker_that_is_told_to_stop_finishes_its_batch_and_leaves_the_rest_to_the_next(
    shop: Project, server: SMTPServer, over: Callable[[str], None], pool: str
) -> None:
    over("redis")
    shop.post_office["BATCH_SIZE"] = 2 * THREADS
    server.hold_after(0)
    shop.visit(f"/order/{5 * THREADS}/")
    worker = start_worker(shop, "a", pool)
    server.wait_until_accepted(THREADS)

    worker.send_signal(SIGTERM)
    wait_for_word(worker, "Warm shutdown")
    server.let_go()

    assert worker.finish().code == 0
    assert len(sent()) == 2 * THREADS
    assert not Email.objects.held().exists()
    start_worker(shop, "b", pool)
    wait_until(lambda: len(sent()) == 5 * THREADS, "the next worker has sent the rest")
    assert server.repeats() == set()


@pytest.mark.parametrize("task", ["cleanup_mail", "cleanup_expired_mails"])
def test_cleaning_up_is_a_task_under_both_names(
    shop: Project, over: Callable[[str], None], task: str
) -> None:
    over("redis")
    emails = queue(3)
    old = timezone.now() - timedelta(days=31)
    Email.objects.filter(pk=emails[0].pk).update(created=old)
    Email.objects.filter(pk=emails[1].pk).update(created=old, status=STATUS.sent)
    Email.objects.filter(pk=emails[2].pk).update(status=STATUS.sent)

    assert celery(shop, "call", f"post_office.tasks.{task}", "--kwargs", '{"days": 30}').finish().code == 0
    start_worker(shop, "a", "solo")

    wait_until(lambda: Email.objects.count() == 2, "the old mail that was sent is gone")
    assert set(Email.objects.all()) == {emails[0], emails[2]}


def test_a_broker_that_is_down_fails_no_request(shop: Project, server: SMTPServer) -> None:
    shop.settings["CELERY_BROKER_URL"] = "redis://127.0.0.1:1"

    assert shop.visit("/order/3/") == ["200"]

    assert Email.objects.filter(status=STATUS.queued).count() == 3
    assert shop.run("send_queued_mail").summary.sent == 3


def test_without_celery_a_check_says_so_and_mail_is_queued_all_the_same(shop: Project) -> None:
    without = ("tests.acceptance.without", "celery")
    queueing = (
        "from post_office import mail; mail.send('ann@example.com', 'shop@example.com', message='Hello')"
    )

    checked = shop.start_program(*without, "check").finish()
    queued = shop.start_program(*without, "shell", "-v", "0", "-c", f"{queueing}; {TELL_TASKS}").finish()

    assert checked.code == 1
    assert "(post_office.E005) POST_OFFICE['CELERY_ENABLED'] is set, and Celery cannot be imported" in (
        checked.errors
    )
    assert queued == Finished(code=0, output="[]\n", errors="")
    assert Email.objects.filter(status=STATUS.queued).count() == 1


def test_celery_that_is_not_enabled_is_not_even_imported(project: Project) -> None:
    told = project.run("shell", "-v", "0", "-c", f"{TELL_TASKS}; import sys; print('celery' in sys.modules)")

    assert told.output == "[]\nFalse\n"
