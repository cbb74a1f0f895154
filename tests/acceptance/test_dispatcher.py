"""`run_dispatcher`: it stays, delivers what comes, replaces what dies, and leaves in order."""

import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Dispatcher, Email, Worker
from tests.acceptance.patience import PATIENCE, wait_until
from tests.acceptance.project import (
    THREADS,
    Finished,
    Project,
    Run,
    assert_all_sent,
    queue,
    sent,
    smtp_backend,
)
from tests.acceptance.smtp_server import SMTPServer
from tests.acceptance.test_database import cut_other_connections

Start = Callable[..., Run]


@pytest.fixture
def start(project: Project) -> Start:
    """Starts a dispatcher; returns when its workers look for mail."""
    # So that whoever waits for a lease waits for ever.
    project.post_office["LEASE_DURATION"] = 3600

    def start(*options: str, processes: int = 1) -> Run:
        run = project.start("run_dispatcher", "--processes", str(processes), *options)
        wait_until(
            lambda: Worker.objects.filter(dispatcher__pid=run.pid).count() == processes, "workers work"
        )
        return run

    return start


def end(run: Run) -> Finished:
    """Tell a dispatcher to stop, and check that it leaves in order."""
    run.send_signal(SIGTERM)
    finished = run.finish()
    assert finished.code == 0
    assert not Worker.objects.exists()
    assert not Email.objects.held().exists()
    return finished


def send(recipient: str = "ann@example.com", **arguments: object) -> Email:
    return mail.send(recipient, "shop@example.com", subject="News", message="Nothing new.", **arguments)


def test_it_delivers_what_is_there_and_what_comes_and_says_what_it_did(
    start: Start, server: SMTPServer
) -> None:
    before = queue(20)
    run = start(processes=2)
    server.wait_until_accepted(20)
    later = queue(10)
    server.wait_until_accepted(30)
    wait_until(lambda: len(sent()) == 30, "all is settled")
    row = Dispatcher.objects.get()
    assert (row.command, row.pid, row.ended_at) == ("run_dispatcher", run.pid, None)

    finished = end(run)

    assert finished.complaints == []
    assert_all_sent([*before, *later])
    row.refresh_from_db()
    assert (row.sent, row.failed, row.requeued) == (30, 0, 0)
    assert row.ended_at is not None


def test_it_is_woken_at_the_commit(project: Project, start: Start, server: SMTPServer) -> None:
    """On PostgreSQL; it would look by itself after an hour only."""
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL has notifications.")
    project.post_office["POLL_INTERVAL"] = 3600
    run = start()
    wait_until(lambda: listeners() == 1, "it listens")
    delays = []
    for number in range(20):
        with transaction.atomic():
            send()
            send()  # one notification is for all
            assert len(server.accepted) == 2 * number
        committed = time.monotonic()
        server.wait_until_accepted(2 * number + 1)
        delays.append(time.monotonic() - committed)
        server.wait_until_accepted(2 * number + 2)
        wait_until(lambda: not Email.objects.held().exists(), "it is at rest")
    end(run)
    print(f"from commit to acceptance: median {1000 * statistics.median(delays):.1f} ms")  # noqa: T201
    # Under 20 on a machine with nothing else to do, which a machine that runs tests may not be.
    assert statistics.median(delays) < 0.5


def listeners() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("how", ["foreign code", "scheduled", "without notifications"])
def test_it_looks_by_itself(project: Project, start: Start, server: SMTPServer, how: str) -> None:
    project.post_office["NOTIFY"] = how != "without notifications"
    run = start("--interval", "0.1")
    if how == "foreign code":
        email = mail.send("ann@example.com", "shop@example.com", commit=False)
        Email.objects.bulk_create([email])
    else:
        send(scheduled_time=timezone.now() + timedelta(seconds=0.2))
    server.wait_until_accepted(1)
    wait_until(lambda: len(sent()) == 1, "it is settled")
    end(run)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(start: Start, server: SMTPServer) -> None:
    run = start("--interval", "0.1", processes=2)
    server.hold_after(0)
    emails = queue(40)
    server.wait_until_accepted(2 * THREADS)
    victim = Worker.objects.earliest("started_at")
    os.kill(victim.pid, SIGKILL)
    wait_until(lambda: Worker.objects.exclude(pk=victim.pk).count() == 2, "another one has taken its place")
    in_flight = set(server.message_ids())
    server.let_go()
    wait_until(lambda: len(sent()) == 40, "all is sent")
    finished = end(run)

    died = f"Worker process {victim.pid} died with exit code {-SIGKILL}."
    assert any(f"{died} Another one takes its place in 0 s" in line for line in finished.complaints)
    assert server.repeats() <= in_flight
    assert len(server.repeats()) <= THREADS
    assert_all_sent(emails)


def test_workers_that_cannot_work_are_replaced_after_growing_whiles(project: Project) -> None:
    project.post_office["SENDING_ORDER"] = ["no such column"]
    queue(1)
    run = project.start("run_dispatcher")
    wait_until(lambda: run.said("Another one takes its place in 1 seconds."), "the second one has died")
    for seconds in (0, 1):
        assert run.said(f"Another one takes its place in {seconds} seconds.")
    assert end(run).code == 0


def test_workers_of_a_killed_supervisor_end_by_themselves(start: Start, server: SMTPServer) -> None:
    run = start(processes=2)
    server.hold_after(0)
    queue(40)
    server.wait_until_accepted(THREADS)
    run.send_signal(SIGKILL)
    wait_until(lambda: Email.objects.held().count() <= 2 * THREADS, "what is not in flight is released")
    server.let_go()
    wait_until(lambda: not run.group(), "the workers have ended")
    assert not Worker.objects.exists()
    assert not Email.objects.held().exists()
    assert sent() == set(server.message_ids())


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT])
def test_the_first_signal_drains(start: Start, server: SMTPServer, signal: int) -> None:
    run = start()
    server.hold_after(0)
    queue(40)
    server.wait_until_accepted(THREADS)
    run.signal_group(signal)  # type: ignore[arg-type]
    wait_until(lambda: Email.objects.held().count() == THREADS, "what is not in flight is released")
    assert not run.has_ended()
    server.let_go()
    finished = run.finish()

    assert finished.code == 0
    assert finished.complaints == []
    assert sent() == set(server.message_ids())
    assert len(sent()) == THREADS
    assert not Worker.objects.exists()
    assert Email.objects.filter(status=STATUS.queued, worker=None, claims=0).count() == 40 - THREADS


def test_the_second_signal_ends_it_at_once(project: Project, start: Start, server: SMTPServer) -> None:
    run = start()
    server.hold_after(0)
    emails = queue(20)
    server.wait_until_accepted(THREADS)
    run.send_signal(SIGTERM)
    wait_until(lambda: run.said("A second signal ends it at once."), "it drains")
    # Those that come together count as one.
    wait_until(lambda: run.said("Told to stop at once") or run.send_signal(SIGTERM), "it is told again")
    finished = run.finish()

    assert finished.code == 1
    wait_until(lambda: not run.group(), "its workers have ended, too")
    assert not sent()
    in_flight = set(server.message_ids())
    server.let_go()
    assert project.run("send_queued_mail").summary.sent == 20
    assert server.repeats() == in_flight
    assert_all_sent(emails)


@pytest.mark.parametrize(
    ("options", "processes"), [(["--max-mails-per-worker", "10"], 2), (["--max-memory", "1"], 1)]
)
def test_worn_workers_are_relieved_without_a_gap(
    start: Start, server: SMTPServer, options: list[str], processes: int
) -> None:
    run = start("--interval", "0.1", *options, processes=processes)
    first = set(Worker.objects.values_list("pid", flat=True))
    server.seconds_per_mail = 0.02
    fewest = processes

    def are_gone() -> bool:
        nonlocal fewest
        pids = set(Worker.objects.values_list("pid", flat=True))
        fewest = min(fewest, len(pids))
        return not pids & first

    wait_until(lambda: queue(2) and are_gone(), "the first ones are relieved")
    wait_until(lambda: len(sent()) == Email.objects.count(), "all is sent")
    finished = end(run)

    assert finished.complaints == []
    assert fewest >= processes
    assert not server.repeats()


def test_it_serves_only_the_backends_and_priorities_that_it_is_told(
    project: Project, start: Start, server: SMTPServer
) -> None:
    project.post_office["BACKENDS"] = {"default": smtp_backend(server), "bulk": smtp_backend(server)}
    send("not@example.com", backend="")  # "default"
    for priority in ("high", "medium", "low"):
        send(f"bulk-{priority}@example.com", priority=priority)
    Email.objects.filter(to__contains="bulk").update(backend_alias="bulk")
    unnumbered = send("bulk-none@example.com")
    Email.objects.filter(pk=unnumbered.pk).update(backend_alias="bulk", priority=None)

    run = start("--interval", "0.1", "--backends", "bulk", "--priorities", "high", "low")
    server.wait_until_accepted(3)
    end(run)
    served = {"bulk-high@example.com", "bulk-low@example.com", "bulk-none@example.com"}
    assert set(server.recipients()) == served

    run = start("--backends", "default")
    server.wait_until_accepted(4)
    end(run)
    assert server.recipients()[3:] == ["not@example.com"]

    run = start("--priorities", "medium")
    server.wait_until_accepted(5)
    end(run)
    assert server.recipients()[4:] == ["bulk-medium@example.com"]


def test_urgent_mail_is_on_the_wire_within_seconds_behind_a_newsletter(
    start: Start, server: SMTPServer
) -> None:
    server.seconds_per_mail = 0.1
    Email.objects.bulk_create(
        Email(to="reader@example.com", from_email="shop@example.com", status=STATUS.queued, priority=0)
        for _ in range(3000)
    )
    run = start()
    server.wait_until_accepted(2 * THREADS)
    queued_at = time.monotonic()
    send("urgent@example.com", priority="high")
    wait_until(lambda: "urgent@example.com" in server.recipients(), "the urgent mail is there")
    took = time.monotonic() - queued_at
    end(run)
    assert len(server.accepted) < 1000
    assert took < 4


def test_it_goes_on_after_its_connections_were_cut(start: Start, server: SMTPServer) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost.")
    run = start("--interval", "0.1")
    for number in range(2):
        cut_other_connections()
        send()
        server.wait_until_accepted(number + 1)
        wait_until(lambda number=number: len(sent()) == number + 1, "it is settled")  # type: ignore[misc]
    if connection.vendor == "postgresql":
        wait_until(lambda: listeners() == 1, "it listens again")
    finished = end(run)
    about = ("The database did not let us", "are not heard", "could not show that it lives")
    assert [line for line in finished.complaints if not any(words in line for words in about)] == []


def test_it_waits_for_a_database_that_is_away_and_asks_for_it_rarely(
    start: Start, server: SMTPServer
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL can be told to refuse new connections to one database.")
    run = start("--interval", "0.1")
    worker = Worker.objects.get()
    with database_away():
        wait_until(lambda: errors(run) >= 4, "it has tried four times")
        # After half a second each at first, then longer.
        assert errors(run) <= 5
    send()
    server.wait_until_accepted(1)
    wait_until(lambda: len(sent()) == 1, "it is settled")
    assert Worker.objects.get() == worker
    finished = end(run)
    assert "died" not in finished.errors


def errors(run: Run) -> int:
    """Return how often a worker has said that it did not reach the database."""
    return run.errors.read_text().count("The database did not let us")


@contextmanager
def database_away() -> Iterator[None]:
    """Cut the connections to the test's database, but for that of the test, and let nobody connect."""
    import psycopg

    at = connection.settings_dict
    others = {"host": at["HOST"], "port": at["PORT"], "user": at["USER"], "password": at["PASSWORD"]}
    allow = f"ALTER DATABASE {connection.ops.quote_name(str(at['NAME']))} ALLOW_CONNECTIONS"
    with psycopg.connect(dbname="postgres", autocommit=True, **others) as server:
        server.execute(f"{allow} false")
        try:
            cut_other_connections()
            yield
        finally:
            server.execute(f"{allow} true")


def test_it_talks_to_a_service_manager(
    project: Project, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = f"\0{tmp_path}"  # too long a path for a socket, but not for a name in abstract
        manager.bind(address[:100])
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + address[1:100])
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        run = start()
        said = [manager.recv(100)]
        while b"READY=1" not in said or said[-1] != b"WATCHDOG=1":
            said.append(manager.recv(100))
        end(run)
        while b"STOPPING=1" not in said:
            said.append(manager.recv(100))
    assert said.count(b"READY=1") == said.count(b"STOPPING=1") == 1
    assert set(said) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--processes", "0"], "--processes: 0 is less than 1."),
        (["--threads", "0"], "--threads: 0 is less than 1."),
        (["--interval", "0"], "--interval: 0.0 is less than 0.01."),
        (["--max-memory", "0"], "--max-memory: 0 is less than 1."),
        (["--max-mails-per-worker", "0"], "--max-mails-per-worker: 0 is less than 1."),
        (["--backends", "bulk"], "--backends: bulk is none of default."),
    ],
)
def test_what_cannot_be_is_refused(project: Project, options: list[str], complaint: str) -> None:
    finished = project.run("run_dispatcher", *options)
    assert finished.code == 1
    assert finished.complaints == [f"CommandError: {complaint}"]


class OrphaningBackend(BaseEmailBackend):
    """Leaves a process behind whose parent has ended, as programs for sending mail may."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)
        return len(email_messages)


def test_as_the_first_process_of_a_container_it_reaps_orphans_and_leaves_in_order(project: Project) -> None:
    project.starter = ["unshare", "--pid", "--fork", "--mount-proc"]
    try:
        subprocess.run([*project.starter, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        pytest.skip(f"no namespace of processes can be made here: {fault}")
    project.post_office["BACKENDS"] = {"default": f"{__name__}.OrphaningBackend"}
    queue(3)
    container = project.start("run_dispatcher")
    wait_until(lambda: len(sent()) == 3, "all is sent")
    assert Dispatcher.objects.get().pid == 1
    (first,) = children(container.pid)
    # Python's tracker of resources, and the worker.
    wait_until(lambda: len(children(first)) == 2, "the orphans are reaped")

    os.kill(first, SIGTERM)
    assert container.finish().code == 0
    assert not Worker.objects.exists()


def children(pid: int) -> list[int]:
    """Return the processes of which this one is the parent, also those that have ended and wait for it."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
