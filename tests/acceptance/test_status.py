"""`mail_status --check` as monitoring runs it: a process, its exit code and what it prints."""

from datetime import timedelta

from django.utils import timezone

from post_office.models import Dispatcher, Email
from tests.acceptance.patience import wait_until
from tests.acceptance.project import Project, queue


def test_a_check_tells_by_its_exit_code_whether_mail_flows(project: Project) -> None:
    queue(2)
    well = project.run("mail_status", "--check")
    assert (well.code, well.errors) == (0, "")
    assert well.output.startswith("Mail flows: 2 due")

    Email.objects.update(scheduled_time=timezone.now() - timedelta(hours=2, seconds=1))
    ill = project.run("mail_status", "--check", "--max-age", "10m", "--require-dispatcher")
    assert (ill.code, ill.errors) == (2, "")
    assert ill.output == ("Mail has been due for 2h, which is more than 10m.\nNo dispatcher is alive.\n")

    wrong = project.run("mail_status", "--check", "--max-due", "20000")
    assert (wrong.code, wrong.output) == (3, "")
    assert "MAX_DUE: 20000 is not a number from 0 to 10,000" in wrong.errors


def test_a_dispatcher_that_was_killed_is_missed_at_once(project: Project) -> None:
    dispatcher = project.start("run_dispatcher")
    wait_until(Dispatcher.objects.exists, "the dispatcher has its row")
    assert project.run("mail_status", "--check", "--require-dispatcher").code == 0

    dispatcher.kill_group()
    check = project.run("mail_status", "--check", "--require-dispatcher")
    assert (check.code, check.output) == (2, "No dispatcher is alive.\n")
    assert "dead: its process is gone" in project.run("mail_status").output


def test_a_database_that_is_away_is_said(project: Project) -> None:
    project.settings["DATABASES"] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/no/where"}}
    check = project.run("mail_status", "--check")
    assert (check.code, check.output) == (3, ""), check.errors
    assert check.errors.startswith("CommandError: The queue cannot be read: ")
