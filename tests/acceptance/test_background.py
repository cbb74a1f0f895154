"""Mail that is queued wakes workers of Django's Tasks framework: those of django-tasks-db."""

from signal import SIGTERM

import pytest

from post_office import compat
from post_office.models import STATUS, Email
from tests import settings
from tests.acceptance.patience import wait_until
from tests.acceptance.project import Finished, Project, Run, assert_all_sent, sent
from tests.acceptance.smtp_server import SMTPServer

pytest.importorskip("django_tasks_db", reason="the package django-tasks-db is not installed")

QUEUE_IN_TRANSACTIONS = """
from django.db import transaction
from post_office import mail
for database in ("mail", "default"):
    with transaction.atomic(using=database):
        mail.send("ann@example.com", "shop@example.com", message="Hello")
        print(f"in {database}: {mail.Email.objects.filter(status=mail.STATUS.sent).count()} sent")
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """The project with the Tasks framework and a transaction around each request."""
    project.post_office["TASKS"] = {"QUEUE": "mail"}
    project.settings |= {
        "INSTALLED_APPS": [*settings.INSTALLED_APPS, "django_tasks_db"],
        "ROOT_URLCONF": "tests.acceptance.shop",
        "ATOMIC_REQUESTS": True,
        "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["mail"]}},
    }
    return project


def start_worker(shop: Project, *options: str) -> Run:
    return shop.start(
        "db_worker", "--queue-name", "mail", "--no-startup-delay", "--interval", "0.1", *options
    )


def test_workers_send_what_requests_queue_and_nothing_of_a_request_that_fails(
    shop: Project, server: SMTPServer
) -> None:
    # Its migrations cannot be undone; the tables go with the test database.
    assert shop.run("migrate", "django_tasks_database", "--verbosity", "0").code == 0
    shop.post_office["BATCH_SIZE"] = 4
    workers = [start_worker(shop), start_worker(shop)]

    answers = shop.visit("/order/6/", "/order/6/?fail", "/order/3/")
    wait_until(lambda: len(sent()) == 9, "all is sent")
    for worker in workers:
        worker.send_signal(SIGTERM)
    assert [worker.finish().code for worker in workers] == [0, 0]

    assert answers == ["200", "500", "200"]
    assert_all_sent(list(Email.objects.all()))
    assert server.message_ids() == {email.message_id: 1 for email in Email.objects.all()}


def test_the_transaction_that_counts_is_that_of_the_database_which_mail_is_in(shop: Project) -> None:
    # ImmediateBackend, the framework's default, delivers when it is woken.
    del shop.settings["TASKS"]
    shop.post_office["TASKS"] = {}
    shop.settings |= {
        "INSTALLED_APPS": settings.INSTALLED_APPS,
        "MAIL_DATABASE": "mail",
        "DATABASE_ROUTERS": ["tests.acceptance.shop.MailHasADatabaseOfItsOwn"],
    }

    told = shop.run("shell", "-v", "0", "-c", QUEUE_IN_TRANSACTIONS)

    assert told == Finished(code=0, output="in mail: 0 sent\nin default: 2 sent\n", errors="")


def test_a_setting_that_cannot_work_is_said_by_a_check_and_fails_no_request(shop: Project) -> None:
    shop.post_office["TASKS"] = {"QUEUE": "letters"}

    checked = shop.run("check")
    answers = shop.visit("/order/3/")

    assert checked.code == 1
    assert "(post_office.E006) POST_OFFICE['TASKS']: the backend 'default' has no queue 'letters'" in (
        checked.errors
    )
    assert answers == ["200"]
    assert Email.objects.filter(status=STATUS.queued).count() == 3


@pytest.mark.skipif(compat.HAS_TASKS, reason="this Django has the framework itself")
def test_an_old_django_without_the_backport_is_told_what_to_install(shop: Project) -> None:
    shop.settings["INSTALLED_APPS"] = settings.INSTALLED_APPS
    checked = shop.start_program("tests.acceptance.without", "django_tasks", "check").finish()

    assert checked.code == 1
    assert "(post_office.E006) POST_OFFICE['TASKS']: Django 5.2 needs the package django-tasks for it" in (
        checked.errors
    )
