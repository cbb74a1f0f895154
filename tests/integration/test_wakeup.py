"""One wake-up for each transaction that queues mail, none for what is rolled back; batches for a worker."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.test import TestCase
from django.utils.log import AdminEmailHandler

from post_office import compat, mail
from post_office.models import STATUS, Email
from post_office.signals import email_queued
from post_office.wakeup import Waker


def queue(count: int = 1) -> list[Email]:
    common = {"sender": "shop@example.com", "subject": "News", "message": "Nothing new."}
    return mail.send_many({"recipients": f"reader{number}@example.com", **common} for number in range(count))


def queue_and_roll_back() -> None:
    with transaction.atomic():
        queue()
        transaction.set_rollback(True)


class Framework:
    """A task framework that notes what is enqueued. Its waker hears of queued mail within the block."""

    def __init__(self, enqueue: Callable[[], object] = lambda: None) -> None:
        self.enqueued = 0
        self._then = enqueue
        self.waker = Waker("The framework", self._enqueue)

    def _enqueue(self) -> None:
        self.enqueued += 1
        self._then()

    def _queued(self, emails: list[Email], **facts: object) -> None:
        self.waker.after_commit(emails)

    def __enter__(self) -> "Framework":
        email_queued.connect(self._queued)
        return self

    def __exit__(self, *fault: object) -> None:
        email_queued.disconnect(self._queued)


def broker_is_down() -> None:
    raise ConnectionError("connection refused")


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_mail_outside_of_a_transaction_wakes_a_worker_at_once(self) -> None:
        with Framework() as framework:
            queue()
            assert framework.enqueued == 1
            queue()
            assert framework.enqueued == 2

    def test_all_mail_of_a_transaction_wakes_one_worker_and_only_when_it_commits(self) -> None:
        with Framework() as framework:
            with transaction.atomic():
                queue(3)
                with transaction.atomic():
                    queue()
                queue()
                assert framework.enqueued == 0
            assert framework.enqueued == 1

    def test_the_next_transaction_wakes_a_worker_again(self) -> None:
        with Framework() as framework:
            for _ in range(2):
                with transaction.atomic():
                    queue()
            assert framework.enqueued == 2

    def test_a_transaction_that_is_rolled_back_wakes_nobody_and_takes_nothing_from_the_next(self) -> None:
        with Framework() as framework:
            queue_and_roll_back()
            assert framework.enqueued == 0
            with transaction.atomic():
                queue()
            assert framework.enqueued == 1

    @pytest.mark.parametrize("rolled_back_first", [True, False])
    def test_a_savepoint_that_is_rolled_back_takes_only_its_own_mail_along(
        self, rolled_back_first: bool
    ) -> None:
        with Framework() as framework:
            with transaction.atomic():
                if not rolled_back_first:
                    queue()
                queue_and_roll_back()
                if rolled_back_first:
                    queue()
            assert framework.enqueued == 1

    def test_mail_that_is_put_into_the_queue_again_wakes_a_worker(self) -> None:
        emails = queue()
        mail.cancel(emails)
        with Framework() as framework:
            mail.requeue(emails)
            assert framework.enqueued == 1


@pytest.mark.django_db(transaction=True)
class TestABrokerThatIsDown:
    def test_it_is_logged_and_the_mail_is_queued(self, caplog: pytest.LogCaptureFixture) -> None:
        with Framework(broker_is_down), transaction.atomic():
            queue()

        assert Email.objects.filter(status=STATUS.queued).count() == 1
        assert caplog.messages == [
            "The framework could not wake a worker. "
            "Queued mail waits for the next wake-up or a cron run: connection refused"
        ]

    def test_its_log_may_be_mailed_through_this_queue(self, settings: Any) -> None:
        settings.ADMINS = ["admin@example.com" if compat.HAS_MODERN_EMAIL else ("Admin", "admin@example.com")]
        logger, handler = logging.getLogger("post_office"), AdminEmailHandler()
        logger.addHandler(handler)
        try:
            with Framework(broker_is_down) as framework:
                queue()
        finally:
            logger.removeHandler(handler)

        assert framework.enqueued == 1
        assert Email.objects.filter(subject__contains="could not wake a worker").count() == 1

    def test_it_is_asked_again_by_the_next_mail(self) -> None:
        with Framework(broker_is_down) as framework:
            queue()
            queue()
        assert framework.enqueued == 2


class TestAnApplicationsOwnTests(TestCase):
    """Django's TestCase runs what waits for a commit in `captureOnCommitCallbacks`, and forgets nothing."""

    def test_each_block_has_its_wake_up(self) -> None:
        with Framework() as framework:
            queue()
            for block in (1, 2):
                with self.captureOnCommitCallbacks(execute=True):
                    queue()
                assert framework.enqueued == block


@pytest.mark.django_db
class TestBatches:
    @pytest.fixture(autouse=True)
    def small(self, settings: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, "BATCH_SIZE": 4}

    @pytest.mark.parametrize(("waiting", "delivered", "woken"), [(0, 0, 0), (3, 3, 0), (4, 4, 1), (9, 4, 1)])
    def test_a_task_delivers_a_batch_and_wakes_a_worker_for_the_rest(
        self, waiting: int, delivered: int, woken: int
    ) -> None:
        queue(waiting)
        framework = Framework()

        framework.waker.deliver()

        assert len(django_mail.outbox) == delivered
        assert framework.enqueued == woken

    def test_a_framework_that_runs_tasks_in_the_calling_thread_delivers_everything(self) -> None:
        depths = set()

        def run_here() -> None:
            depths.add(len(inspect.stack()))
            framework.waker.deliver()

        queue(9)
        framework = Framework(run_here)

        framework.waker.deliver()

        assert len(django_mail.outbox) == 9
        assert framework.enqueued == 2
        assert len(depths) == 1  # or many batches would be too many for Python's stack

    def test_no_worker_is_woken_for_a_backend_that_is_out_of_order(self, settings: Any) -> None:
        closed = {"BACKEND": "smtp", "OPTIONS": {"host": "127.0.0.1", "port": 1}}
        settings.POST_OFFICE = {"BACKENDS": {"default": closed}, "BATCH_SIZE": 4}
        queue(9)
        framework = Framework()

        framework.waker.deliver()

        assert framework.enqueued == 0
        assert Email.objects.filter(status=STATUS.queued).count() == 9

    def test_a_rest_that_nobody_can_be_woken_for_stays_in_the_queue(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        queue(9)

        Framework(broker_is_down).waker.deliver()

        assert len(django_mail.outbox) == 4
        assert "could not wake a worker" in caplog.text
