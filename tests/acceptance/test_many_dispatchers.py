"""Any number of dispatchers on one queue: no mail is sent twice, and none is lost."""

import pytest

from tests.acceptance.project import THREADS, Project, assert_all_sent, queue
from tests.acceptance.smtp_server import SMTPServer

RUNS = 3


@pytest.mark.parametrize("processes", [1, 2])
def test_three_runs_at_once_deliver_every_mail_exactly_once(
    project: Project, server: SMTPServer, processes: int
) -> None:
    emails = queue(400)
    server.hold_after(0)
    runs = [
        project.start(
            "send_queued_mail", "--processes", str(processes), "--lockfile", project.folder / f"run{number}"
        )
        for number in range(RUNS)
    ]
    # Every thread of every process has a mail before the first is answered: they are at it together.
    server.wait_until_accepted(RUNS * processes * THREADS)
    server.let_go()
    finished = [run.finish() for run in runs]

    assert [run.code for run in finished] == [0] * RUNS
    assert [run.complaints for run in finished] == [[]] * RUNS
    assert sum(run.summary.sent for run in finished) == 400
    assert all(run.summary.sent > 0 for run in finished)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)
