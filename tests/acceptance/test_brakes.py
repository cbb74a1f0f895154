"""Brakes that all dispatchers heed, with real processes and a server that goes away."""

import socket
import time

from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, BackendState, Email, Log, Worker
from tests.acceptance.patience import wait_until
from tests.acceptance.project import Project, queue, sent, smtp_backend
from tests.acceptance.smtp_server import HOST, SMTPServer


def nothing_is_held() -> bool:
    return not Email.objects.held().exists()


def test_a_pause_stands_in_every_dispatcher_within_a_second(project: Project, server: SMTPServer) -> None:
    server.seconds_per_mail = 0.3
    queue(600)
    runs = [project.start("send_queued_mail", "--lockfile", "", "--processes", "2") for _ in range(2)]
    server.wait_until_accepted(40)
    assert project.run("mail_pause", "--by", "ann").output == "All mail is paused.\n"
    paused_at = time.time()
    for run in runs:
        finished = run.finish()
        assert finished.code == 0
        assert "All mail is paused by ann since " in finished.output
    arrived = [at for at in server.arrivals if at > paused_at + 1]
    assert not arrived
    assert nothing_is_held()
    assert 40 <= len(server.accepted) < 600
    assert len(sent()) == len(server.accepted)
    # What waited is as it was.
    assert Email.objects.filter(status=STATUS.queued, claims=0, number_of_retries=None).count() == 600 - len(
        server.accepted
    )

    assert project.run("mail_resume").code == 0
    server.seconds_per_mail = 0
    assert project.run("send_queued_mail").code == 0
    assert not Email.objects.unfinished().exists()
    assert not server.repeats()


def test_one_worker_of_all_probes_a_server_that_was_away(project: Project, server: SMTPServer) -> None:
    emails = queue(60)
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))  # and never listens, so every connection is refused
        options = {"host": HOST, "port": deaf.getsockname()[1]}
        project.post_office["BACKENDS"] = {"default": {"BACKEND": "smtp", "OPTIONS": options}}
        assert project.run("send_queued_mail", "--processes", "2").summary == (0, 0, 0, 0)
    state = BackendState.objects.get(alias="default")
    assert state.faults == 1
    # Nobody tries before its time.
    project.post_office["BACKENDS"] = {"default": smtp_backend(server)}
    assert project.run("send_queued_mail").summary == (0, 0, 0, 0)
    assert server.connections == 0

    project.post_office["LEASE_DURATION"] = 6  # and so a beat every half second
    mail.resume("default")
    server.hold_after(0)
    runs = [project.start("send_queued_mail", "--lockfile", "", "--processes", "2") for _ in range(2)]
    server.wait_until_accepted(1)
    wait_until(lambda: BackendState.objects.get().probing_until > timezone.now(), "one worker probes")
    # The others wait for what it finds out; it is one mail on one connection until then.
    wait_until(
        lambda: Worker.objects.filter(beat__gt=1).count() == 4, "all workers have been at it for a while"
    )
    assert (len(server.accepted), server.connections) == (1, 1)
    server.let_go()
    assert sum(run.finish().summary.sent for run in runs) == 60
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert BackendState.objects.get().out_of_order_until is None
    assert not Log.objects.exclude(status=STATUS.sent).exclude(attempt=None).exists()
