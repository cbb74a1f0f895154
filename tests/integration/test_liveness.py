"""Who lives and who is dead: processes of this host, and workers that live for a few mails."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from post_office import mail
from post_office.models import Email, Worker
from post_office.queue import claims, liveness
from post_office.queue.liveness import ProcessIdentity
from tests.acceptance.patience import wait_until
from tests.faults import failing

NOBODY, SOMEBODY = 65534, 65533
BEAT = r"UPDATE .post_office_worker. SET .beat. .*beat_at"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of our own, which lives until its input ends, and is waited for by nobody meanwhile."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def identity(pid: int) -> ProcessIdentity:
    here = liveness.this_process()
    if not here.boot:
        pytest.skip("This system tells nothing of boots and processes.")
    return replace(here, pid=pid, pid_started=liveness._process_started(pid))


def test_a_process_that_has_ended_is_gone_also_while_its_parent_has_not_noticed(
    child: subprocess.Popen[bytes],
) -> None:
    known = identity(child.pid)
    assert not known.is_gone()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert known.is_gone()
    child.wait()
    assert known.is_gone()


def test_another_process_with_the_same_number_is_not_the_one_that_was() -> None:
    here = identity(os.getpid())
    assert not here.is_gone()
    assert replace(here, pid_started=1).is_gone()


@contextmanager
def process_of_another_user() -> Iterator[int]:
    """A process that we may not signal."""
    if os.geteuid() != 0:
        yield 1  # the first one is root's
        return
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=NOBODY) as process:
        os.seteuid(SOMEBODY)
        try:
            yield process.pid
        finally:
            os.seteuid(0)
            process.kill()


def test_a_process_of_another_user_may_live() -> None:
    with process_of_another_user() as pid:
        with pytest.raises(PermissionError):
            os.kill(pid, 0)
        assert not identity(pid).is_gone()
        assert replace(identity(pid), pid_started=1).is_gone()


def test_where_the_system_tells_nothing_nobody_is_known_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows, which have no /proc."""

    def refuse(path: Any) -> str:
        raise FileNotFoundError(path)

    gone = replace(liveness.this_process(), pid=2**22 - 1)
    monkeypatch.setattr(Path, "read_text", refuse)
    here = liveness.this_process()
    assert (here.boot, here.pid_started) == ("", None)
    assert not replace(gone, boot=here.boot, pid_started=None).is_gone()


@pytest.fixture
def quick_beats(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LEASE_DURATION": timedelta(seconds=0.12)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick_beats")
def test_a_worker_for_a_few_mails_beats_while_its_caller_is_busy() -> None:
    with liveness.short_lived_worker(timezone.now()) as worker:
        wait_until(lambda: Worker.objects.get(pk=worker.pk).beat >= 3, "it has beaten three times")
    assert not Worker.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick_beats")
def test_it_goes_on_beating_after_the_database_was_away(caplog: pytest.LogCaptureFixture) -> None:
    with failing(BEAT, times=2) as failed, liveness.short_lived_worker(timezone.now()) as worker:
        wait_until(lambda: Worker.objects.get(pk=worker.pk).beat >= 1, "it beats again")
        assert len(failed) == 2
    assert f"Worker {worker} could not show that it lives: the database is away" in caplog.text


@pytest.mark.django_db
def test_what_it_holds_when_its_caller_breaks_is_left_to_the_lease() -> None:
    email = mail.send("ann@example.com", "me@example.com")

    def claim_and_break() -> None:
        with liveness.short_lived_worker(timezone.now()) as worker:
            claims.claim_one(email, worker, timezone.now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        claim_and_break()
    assert Email.objects.get().worker_id == Worker.objects.get().pk
