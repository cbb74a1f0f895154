"""Mail held by a worker on another host: a run waits until it knows whether that one lives."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from post_office.models import STATUS, Email, Worker
from tests.acceptance.project import Project, assert_all_sent, queue
from tests.acceptance.smtp_server import SMTPServer

WAITING = "Mail is held by silent workers; waiting to see whether they live: elsewhere:4711"


@pytest.fixture
def emails(project: Project) -> list[Email]:
    return queue(10)


@pytest.fixture
def stranger(emails: list[Email]) -> Worker:
    """A worker of another host, which holds some of the mail."""
    now = timezone.now()
    worker = Worker.objects.create(
        host="elsewhere", boot="another boot", pid=4711, pid_started=1, started_at=now, beat_at=now
    )
    held = [email.pk for email in emails[:4]]
    Email.objects.filter(pk__in=held).update(worker=worker, claimed_at=now, claims=1)
    return worker


@pytest.fixture
def beats(stranger: Worker) -> Iterator[None]:
    """The stranger shows that it lives."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.1):
            Worker.objects.filter(pk=stranger.pk).update(beat=F("beat") + 1)
        connection.close()

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_waits_for_a_silent_worker_and_then_delivers_its_mail(
    project: Project, server: SMTPServer, emails: list[Email], stranger: Worker, processes: int
) -> None:
    project.post_office["LEASE_DURATION"] = 3

    finished = project.run("send_queued_mail", "--processes", str(processes))

    assert finished.code == 0
    assert WAITING in finished.errors
    assert "Worker elsewhere:4711 has been silent for" in finished.errors
    assert finished.summary == (10, 10, 0, 0)
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert_all_sent(emails)


@pytest.mark.usefixtures("beats")
def test_a_worker_that_lives_keeps_its_mail_and_the_run_ends(
    project: Project, server: SMTPServer, emails: list[Email], stranger: Worker
) -> None:
    finished = project.run("send_queued_mail")

    assert finished.code == 0
    assert finished.complaints == []
    assert finished.summary == (6, 6, 0, 0)
    assert set(server.message_ids()) == {email.message_id for email in emails[4:]}
    held = Email.objects.held_by(stranger.pk).filter(status=STATUS.queued, claims=1)
    assert set(held.values_list("pk", flat=True)) == {email.pk for email in emails[:4]}
    assert Worker.objects.get().pk == stranger.pk
