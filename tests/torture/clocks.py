"""The clock of a host steps forward by an hour, back, back by another hour and forward again: every mail goes
at once, once, and nobody is taken for dead.

The clock is that of the application, which queues the mail, and of all dispatchers. It steps in the middle of
delivery; and once when the mail server has gone away while it is ahead, as what was noted of that by a wrong
clock must not hold mail for an hour.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from post_office.models import STATUS, BackendState, Email
from tests.acceptance.patience import wait_until
from tests.acceptance.project import Project
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import Keeper, kept

SIZE = 1000
DISPATCHERS, PROCESSES = 2, 2
HOUR = 3600
STEPS = (HOUR, 0, -HOUR, 0)
# Seconds. A wall clock that is asked for the age of a beat makes dead of the living at the first step.
LEASE = 20
PAUSE = 2


class Clock:
    """A wall clock that can be set, for the programs that a project starts.

    Only with a C compiler, and where programs take a library that is loaded before all others.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("There is no C compiler, which makes the clock.")
        self._file = folder / "clock"
        self.set(0)
        library = folder / "clock.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", library, Path(__file__).with_name("clock.c")], check=True
        )
        self.starter = ["env", f"LD_PRELOAD={library}", f"CLOCK_FILE={self._file}"]

    def set(self, seconds: int) -> None:
        """Let it be so many seconds ahead, from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("l", seconds))


def run(project: Project, size: int = SIZE) -> Figures:
    server = project.server
    clock = Clock(project.folder)
    project.starter = clock.starter
    project.post_office |= {"LEASE_DURATION": LEASE, "BACKEND_PAUSE": PAUSE, "BACKEND_MAX_PAUSE": PAUSE}
    share = size // len(STEPS)
    watch = Watch(server)
    with kept(project, DISPATCHERS, PROCESSES) as keeper:
        for number, step in enumerate(STEPS):
            if step < STEPS[number - 1] == HOUR:
                keeper.wait_for(Email.objects.filter(status=STATUS.sent).count, share * number, "all is sent")
                let_server_be_missed(project)
            clock.set(step)
            server.come_back()
            let_application_queue(project, share)
            # In the middle of these the clock steps again.
            keeper.wait_for(lambda: len(server.accepted), share * number + share // 2, "mails arrive")
        emails = list(Email.objects.all())
        keeper.wait_for(Email.objects.filter(status=STATUS.sent).count, len(emails), "mails are sent")
        figures = watch.figures(emails, "each mail once, at once, and nobody taken for dead")
        check_that_nobody_died(keeper)
    assert (figures.once, figures.repeated, figures.lost) == (len(emails), 0, 0), figures
    assert keeper.restarts == 0
    assert not Email.objects.exclude(number_of_retries=None).exists()
    return figures


def let_application_queue(project: Project, count: int) -> None:
    finished = project.run(
        "shell", "--command", f"from tests.acceptance.project import queue; queue({count})"
    )
    assert finished.code == 0, finished.errors


def let_server_be_missed(project: Project) -> None:
    """Let a mail come while the server is away; return when that is known."""
    project.server.go_away()
    let_application_queue(project, 1)
    wait_until(BackendState.objects.filter(out_of_order_until__isnull=False).exists, "it is missed")


def check_that_nobody_died(keeper: Keeper) -> None:
    for run in keeper.runs:
        for words in ("is gone; its mail is freed", "has been silent", "taken for dead", "died with"):
            assert not run.said(words), run.errors.read_text()
