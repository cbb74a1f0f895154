"""The rows by which operators see which programs deliver."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from post_office import mail
from post_office.models import Dispatcher, Worker
from post_office.queue import dispatchers, liveness
from post_office.queue.outcomes import Settled

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NOW = timezone.now()


def stranger(**columns: object) -> Dispatcher:
    """A dispatcher on another host, last seen an hour ago."""
    seen = {"started_at": NOW - HOUR, "beat_at": NOW - HOUR, **columns}
    return Dispatcher.objects.create(
        command="run_dispatcher", host="elsewhere", boot="other", pid=4711, **seen
    )


def queue(count: int) -> None:
    mail.send_many([{"recipients": "ann@example.com", "sender": "me@example.com"}] * count)


def test_a_run_leaves_a_row_that_says_what_it_did() -> None:
    queue(3)
    call_command("send_queued_mail", "--max-mails", "2", stdout=StringIO(), verbosity=0)
    (row,) = Dispatcher.objects.all()
    assert (row.command, row.sent, row.failed, row.requeued) == ("send_queued_mail", 2, 0, 0)
    assert row.pid == liveness.this_process().pid
    assert row.ended_at is not None
    assert not dispatchers.is_alive(row, timezone.now())


def test_no_row_is_made_for_a_delivery_inside_another_program() -> None:
    queue(1)
    assert mail.send_queued() == (1, 0, 0)
    assert not Dispatcher.objects.exists()


def test_a_run_delivers_no_more_than_it_is_told_to() -> None:
    queue(5)
    said = StringIO()
    call_command("send_queued_mail", "-m", "3", stdout=said, verbosity=0)
    assert said.getvalue().startswith("3 attempted, 3 sent")
    call_command("send_queued_mail", stdout=said, verbosity=0)
    assert "2 attempted, 2 sent" in said.getvalue()


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(CommandError, match=r"--max-mails: 0 is less than 1\."):
        call_command("send_queued_mail", "--max-mails", "0")


def test_a_program_on_another_host_lives_while_it_or_a_worker_of_it_beats() -> None:
    silent = stranger()
    assert not dispatchers.is_alive(silent, NOW)
    assert dispatchers.is_alive(stranger(beat_at=NOW), NOW)
    assert not dispatchers.is_alive(stranger(beat_at=NOW, ended_at=NOW), NOW)
    Worker.objects.create(host="elsewhere", pid=4712, started_at=NOW, beat_at=NOW, dispatcher=silent)
    assert dispatchers.is_alive(silent, NOW)


def test_a_program_on_this_host_is_dead_when_its_process_is_gone() -> None:
    row = dispatchers.start("run_dispatcher", NOW)
    assert dispatchers.is_alive(row, NOW)
    row.pid_started = (row.pid_started or 0) + 1  # then it was another process with this number
    assert not dispatchers.is_alive(row, NOW)


def test_rows_are_removed_a_while_after_the_end() -> None:
    kept = [
        stranger(ended_at=NOW - dispatchers.KEEP_ENDED + timedelta(minutes=1)),
        stranger(beat_at=NOW - dispatchers.KEEP_DEAD + timedelta(minutes=1)),
        stranger(beat_at=NOW - 10 * dispatchers.KEEP_DEAD),  # a run that is long, and whose worker beats
    ]
    Worker.objects.create(host="elsewhere", pid=4712, started_at=NOW, beat_at=NOW, dispatcher=kept[2])
    stranger(ended_at=NOW - dispatchers.KEEP_ENDED - timedelta(minutes=1))
    stranger(beat_at=NOW - dispatchers.KEEP_DEAD - timedelta(minutes=1))
    started = dispatchers.start("run_dispatcher", NOW)
    assert set(Dispatcher.objects.all()) == {*kept, started}


def test_a_row_that_was_removed_comes_back_with_the_next_beat() -> None:
    row = dispatchers.start("run_dispatcher", NOW)
    Dispatcher.objects.all().delete()
    dispatchers.beat(row, Settled(sent=1), NOW)
    dispatchers.beat(row, Settled(sent=2, failed=1), NOW + HOUR)
    found = Dispatcher.objects.get()
    assert (found.pk, found.sent, found.failed, found.beat) == (row.pk, 2, 1, 1)
    assert found.beat_at == NOW + HOUR
