"""SIGTERM and Ctrl-C: what is in flight is finished, the rest is given back, and the exit code is 0."""

from signal import SIGINT, SIGTERM, Signals

import pytest

from post_office.models import STATUS, Email, Worker
from tests.acceptance.patience import wait_until
from tests.acceptance.project import ANSWERED, THREADS, Project, assert_all_sent, queue, sent
from tests.acceptance.smtp_server import SMTPServer


@pytest.mark.parametrize(
    ("signal", "to_the_group", "processes"),
    [
        (SIGTERM, False, 1),  # kill
        (SIGTERM, False, 2),
        (SIGTERM, True, 2),  # a service manager
        (SIGINT, True, 1),  # Ctrl-C
        (SIGINT, True, 2),
    ],
)
def test_a_run_that_is_told_to_stop_leaves_in_order(
    project: Project, server: SMTPServer, signal: Signals, to_the_group: bool, processes: int
) -> None:
    emails = queue(100)
    in_flight = processes * THREADS
    run = project.start_and_hold(processes)

    if to_the_group:
        run.signal_group(signal)
    else:
        run.send_signal(signal)
    wait_until(lambda: Email.objects.held().count() == in_flight, "all that is not in flight is released")
    assert not run.has_ended()
    server.let_go()
    finished = run.finish()

    assert finished.code == 0
    assert finished.complaints == []
    done = ANSWERED + in_flight
    assert finished.summary == (done, done, 0, 0)
    assert len(server.accepted) == done
    assert sent() == set(server.message_ids())
    left = Email.objects.exclude(status=STATUS.sent)
    as_before = {
        "status": STATUS.queued,
        "worker": None,
        "claimed_at": None,
        "claims": 0,
        "scheduled_time": None,
        "number_of_retries": None,
    }
    assert left.filter(**as_before).count() == left.count() == 100 - done
    assert not Worker.objects.exists()

    assert project.run("send_queued_mail").summary.sent == 100 - done
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT])
def test_a_run_that_is_told_to_stop_while_its_workers_start_leaves_in_order(
    project: Project, server: SMTPServer, signal: Signals
) -> None:
    emails = queue(50)
    server.hold_after(0)
    run = project.start("send_queued_mail", "--processes", "2")
    # Itself, Python's tracker of resources, and the workers, which know nothing of Django yet.
    wait_until(lambda: len(run.group()) == 4, "the workers are starting")
    run.signal_group(signal)
    server.let_go()
    finished = run.finish()

    assert finished.code == 0
    assert finished.complaints == []
    assert not Worker.objects.exists()
    assert not Email.objects.held().exists()

    assert project.run("send_queued_mail").code == 0
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)
