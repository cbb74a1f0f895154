"""What is left when processes die without a word: no mail is lost, and only what was in flight is repeated.

LEASE_DURATION is an hour here. So whatever comes free does so because the dead are known to be gone from
this host, and not because anybody waited.
"""

import os
from signal import SIGCONT, SIGKILL

import pytest

from post_office.delivery.unsettled import SETTLE_AT
from post_office.models import STATUS, Email, Log, Worker
from tests.acceptance.patience import wait_until
from tests.acceptance.project import ANSWERED, THREADS, Project, assert_all_sent, queue, sent
from tests.acceptance.smtp_server import SMTPServer

HOUR = 3600


@pytest.fixture(autouse=True)
def nobody_waits(project: Project) -> None:
    project.post_office["LEASE_DURATION"] = HOUR


@pytest.mark.parametrize("processes", [1, 2])
def test_the_next_run_finishes_the_work_of_a_killed_one_and_repeats_what_was_in_flight(
    project: Project, server: SMTPServer, processes: int
) -> None:
    emails = queue(100)
    run = project.start_and_hold(processes)
    run.kill_group()
    in_flight = set(server.message_ids()) - sent()
    assert len(in_flight) == processes * THREADS
    server.let_go()

    # The same lock, whose file the killed run has left behind.
    finished = project.run("send_queued_mail", "--processes", str(processes))

    assert finished.code == 0
    assert finished.summary.sent == 100 - ANSWERED
    assert set(server.message_ids()) == {email.message_id for email in emails}
    assert server.repeats() == in_flight
    assert_all_sent(emails)


def test_mail_on_hold_that_was_in_flight_when_its_run_was_killed_is_failed_and_never_repeated(
    project: Project, server: SMTPServer
) -> None:
    emails = queue(40, on_unknown="hold")
    run = project.start_and_hold(processes=1)
    run.kill_group()
    in_flight = set(server.message_ids()) - sent()
    assert len(in_flight) == THREADS
    server.let_go()

    finished = project.run("send_queued_mail")

    assert finished.summary == (40 - ANSWERED - THREADS, 40 - ANSWERED - THREADS, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    failed = Email.objects.filter(status=STATUS.failed)
    assert set(failed.values_list("message_id", flat=True)) == in_flight
    assert {log.exception_type for log in Log.objects.filter(email__in=failed)} == {"WorkerDied"}


def test_a_mail_that_kills_each_process_that_sends_it_is_found_and_all_other_mail_goes(
    project: Project,
) -> None:
    project.post_office["BACKENDS"] = {"default": "tests.backends.DeadlyBackend"}
    emails = queue(30)
    poison = emails[7]
    Email.objects.filter(pk=poison.pk).update(subject="Deadly")

    finished = project.run("send_queued_mail", "--processes", "2")

    assert "CommandError: 3 worker processes died; see the log." in finished.complaints
    assert finished.summary.sent == 29
    poison.refresh_from_db()
    assert poison.status == STATUS.failed
    assert poison.logs.get().exception_type == "WorkerDied"
    assert Email.objects.filter(status=STATUS.sent).count() == 29


def test_a_run_killed_at_any_moment_loses_nothing_and_repeats_nothing_that_was_settled(
    project: Project, server: SMTPServer
) -> None:
    processes = 2
    emails = queue(300)
    server.seconds_per_mail = 0.01
    run = project.start("send_queued_mail", "--processes", str(processes))
    server.wait_until_accepted(100)
    run.kill_group()
    settled = sent()
    assert 0 < len(settled) < len(emails)

    finished = project.run("send_queued_mail", "--processes", str(processes))

    assert finished.code == 0
    assert set(server.message_ids()) == {email.message_id for email in emails}
    assert not server.repeats() & settled
    # In each process: one mail with each thread, another that it took while outcomes were being
    # written, and those outcomes.
    assert len(server.repeats()) <= processes * (2 * THREADS + SETTLE_AT)
    assert_all_sent(emails)


def test_a_killed_worker_process_is_replaced_and_the_run_goes_on(
    project: Project, server: SMTPServer
) -> None:
    emails = queue(100)
    run = project.start_and_hold(processes=2)
    victim = Worker.objects.exclude(pid=run.pid).first()
    assert victim
    held = set(Email.objects.held_by(victim.pk).values_list("message_id", flat=True))
    in_flight = held & set(server.message_ids())
    os.kill(victim.pid, SIGKILL)
    wait_until(lambda: Worker.objects.exclude(pk=victim.pk).count() == 2, "another one has taken its place")
    wait_until(lambda: not Email.objects.held_by(victim.pk), "the mail of the killed one is free")
    server.let_go()
    finished = run.finish()

    assert finished.code == 1
    assert "CommandError: 1 worker processes died; see the log." in finished.complaints
    assert f"Worker process {victim.pid} died with exit code {-SIGKILL}." in finished.errors
    assert finished.summary == (100, 100, 0, 0)
    assert set(server.message_ids()) == {email.message_id for email in emails}
    assert len(in_flight) == THREADS
    assert server.repeats() == in_flight
    assert_all_sent(emails)


def test_workers_whose_supervisor_is_killed_finish_what_is_in_flight_and_release_the_rest(
    project: Project, server: SMTPServer
) -> None:
    emails = queue(100)
    run = project.start_and_hold(processes=2)
    run.send_signal(SIGKILL)
    wait_until(lambda: Email.objects.held().count() == 2 * THREADS, "all that is not in flight is released")
    server.let_go()
    wait_until(lambda: not run.group(), "the workers have ended by themselves")

    assert not Worker.objects.exists()
    assert not Email.objects.held().exists()
    assert sent() == set(server.message_ids())
    assert len(sent()) == ANSWERED + 2 * THREADS

    assert project.run("send_queued_mail").code == 0
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)


def test_mail_for_now_whose_sender_is_killed_goes_with_the_next_run(
    project: Project, server: SMTPServer
) -> None:
    server.hold_after(0)
    web_server = project.start(
        "shell",
        "--command",
        "from post_office import mail; mail.send('ann@example.com', 'shop@example.com', priority='now')",
    )
    server.wait_until_accepted(1)
    web_server.kill_group()
    server.let_go()

    assert project.run("send_queued_mail").summary == (1, 1, 0, 0)
    email = Email.objects.get()
    assert server.message_ids() == {email.message_id: 2}  # it was in flight
    assert_all_sent([email])


def test_a_run_that_slept_too_long_neither_writes_nor_sends_what_others_have_taken_over(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["LEASE_DURATION"] = 3
    emails = queue(60)
    sleeper = project.start_and_hold(processes=1)
    in_flight = set(server.message_ids()) - sent()
    sleeper.suspend()
    server.let_go()
    other = project.run("send_queued_mail", "--lockfile", "")
    assert other.summary.sent == 60 - ANSWERED
    assert_all_sent(emails)

    sleeper.signal_group(SIGCONT)
    woken = sleeper.finish()

    assert woken.code == 0
    assert woken.summary.sent == ANSWERED
    assert "another worker had taken it over; nothing is written" in woken.errors
    assert server.repeats() == in_flight
    assert_all_sent(emails)
