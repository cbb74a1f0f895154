"""What a run shows to the person or the program that started it, and what it keeps in the log."""

import os
import pty

import pytest

from post_office import mail
from post_office.models import STATUS, Log
from tests.acceptance.project import SUMMARY, Project, queue
from tests.acceptance.smtp_server import SMTPServer


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_ends_with_what_it_did_and_says_nothing_else_to_a_program(
    project: Project, server: SMTPServer, processes: int
) -> None:
    queue(30)
    finished = project.run("send_queued_mail", "--processes", str(processes))

    assert SUMMARY.fullmatch(finished.output.rstrip("\n"))
    assert finished.summary == (30, 30, 0, 0)
    assert finished.errors == ""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_terminal_shows_how_far_a_run_is(project: Project, server: SMTPServer, processes: int) -> None:
    queue(30)
    ours, theirs = pty.openpty()
    run = project.start("send_queued_mail", "--processes", str(processes), errors_to=theirs)
    os.close(theirs)
    shown = read_to_the_end(ours).split("\r")
    finished = run.finish()

    assert finished.code == 0
    assert finished.summary == (30, 30, 0, 0)
    assert shown[0] == ""
    counts = [int(line.partition("] ")[2].partition("/")[0]) for line in shown[1:] if line.startswith("[")]
    assert counts == sorted(set(counts))
    assert counts[-1] == 30
    assert f"[{'#' * 30}] 30/30 " in shown


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("level", "logged"), [(0, []), (1, [STATUS.failed]), (2, [STATUS.sent, STATUS.failed])]
)
def test_the_log_keeps_as_much_as_the_command_line_asks_for(
    project: Project, server: SMTPServer, processes: int, level: int, logged: list[int]
) -> None:
    for name in ("reader", "unknown"):
        mail.send(f"{name}@example.com", "shop@example.com", subject="News", message="Nothing new.")
    server.refusals = {"unknown@example.com": "550 5.1.1 Who?"}

    finished = project.run("send_queued_mail", "--processes", str(processes), "--log-level", str(level))

    assert finished.summary == (2, 1, 1, 0)
    assert sorted(Log.objects.values_list("status", flat=True)) == logged


def read_to_the_end(terminal: int) -> str:
    """Return what is written to a terminal until its last user closes it."""
    chunks = []
    try:
        while chunk := os.read(terminal, 4096):
            chunks.append(chunk)
    except OSError:
        pass  # Linux says EIO where others say the end
    os.close(terminal)
    return b"".join(chunks).decode()
