"""One run per host and database, as long as it is not told otherwise."""

from pathlib import Path

from tests.acceptance.project import THREADS, Project, assert_all_sent, queue
from tests.acceptance.smtp_server import SMTPServer

BUSY = "Another run is at work on this database; nothing to do here.\n"


def test_a_second_run_says_that_another_is_at_work_and_leaves_without_an_error(
    project: Project, server: SMTPServer
) -> None:
    emails = queue(20)
    server.hold_after(0)
    first = project.start("send_queued_mail")
    server.wait_until_accepted(THREADS)

    second = project.run("send_queued_mail")

    assert second.code == 0
    assert second.output == BUSY
    assert second.complaints == []
    server.let_go()
    assert first.finish().summary.sent == 20
    assert server.message_ids() == {email.message_id: 1 for email in emails}


def test_runs_with_one_lock_file_of_their_choice_keep_each_other_away(
    project: Project, server: SMTPServer, tmp_path: Path
) -> None:
    queue(20)
    server.hold_after(0)
    first = project.start("send_queued_mail", "--lockfile", tmp_path / "ours")
    server.wait_until_accepted(THREADS)

    assert project.run("send_queued_mail", "-L", tmp_path / "ours").output == BUSY
    server.let_go()
    assert first.finish().summary.sent == 20
    assert (tmp_path / "ours.lock").exists()


def test_an_empty_name_means_no_lock(project: Project, server: SMTPServer) -> None:
    emails = queue(40)
    server.hold_after(2 * THREADS)
    first = project.start("send_queued_mail")
    server.wait_until_accepted(2 * THREADS + THREADS)

    second = project.start("send_queued_mail", "--lockfile", "")
    server.wait_until_accepted(2 * THREADS + 2 * THREADS)
    server.let_go()

    finished = [first.finish(), second.finish()]
    assert [run.code for run in finished] == [0, 0]
    assert sum(run.summary.sent for run in finished) == 40
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)


def test_a_link_that_django_post_office_left_behind_is_named(project: Project, tmp_path: Path) -> None:
    """Its lock is a link to a file named after a process, and stays when that is killed."""
    (tmp_path / "ours.lock").symlink_to(tmp_path / "12345.lock")
    refused = project.run("send_queued_mail", "--lockfile", tmp_path / "ours")

    assert refused.code == 1
    assert f"lockfile: {tmp_path}/ours.lock cannot be used" in refused.errors
    assert "Traceback" not in refused.errors
