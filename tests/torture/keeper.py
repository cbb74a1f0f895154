"""Dispatchers, kept running as a service manager does it: what has ended is started again.

Like systemd with Restart=always: when the main process has ended, the rest of its group is told to stop, and
when nobody is left the program is started anew.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

from post_office.models import Email, Worker
from tests.acceptance.patience import PATIENCE
from tests.acceptance.project import Project, Run

BETWEEN_LOOKS = 0.2  # seconds; each look is work beside that which is watched


class Keeper:
    """So many dispatchers of so many processes.

    Attributes:
        restarts: How often one was started again.
    """

    def __init__(self, project: Project, dispatchers: int, processes: int, *options: str) -> None:
        self.restarts = 0
        self.processes = processes
        self._project = project
        self._command = ("run_dispatcher", "--processes", str(processes), *options)
        self.runs = [project.start(*self._command) for _ in range(dispatchers)]

    def tend(self) -> None:
        """Start again what has ended."""
        for number, run in enumerate(self.runs):
            if not run.has_ended():
                continue
            left = run.group()
            for pid in left:
                tell_to_stop(pid)
            if not left:
                self.runs[number] = self._project.start(*self._command)
                self.restarts += 1

    def wait_until_at_work(self) -> None:
        """Return when every process of every dispatcher looks for mail."""
        wanted = len(self.runs) * self.processes
        self.wait_for(lambda: sum(len(self.workers(run)) for run in self.runs), wanted, "processes at work")

    def workers(self, run: Run) -> set[int]:
        """Return the pids of a dispatcher's workers."""
        return set(Worker.objects.filter(dispatcher__pid=run.pid).values_list("pid", flat=True)) & run.group()

    def wait_for(self, count: Callable[[], int], wanted: int, what: str) -> None:
        """Return when a count is reached, however long it takes as long as it grows."""
        __tracebackhide__ = True
        last, since = -1, time.monotonic()
        while (reached := count()) < wanted:
            if reached > last:
                last, since = reached, time.monotonic()
            assert time.monotonic() - since < PATIENCE, f"{what}: {reached} of {wanted}, and no more come"
            self.tend()
            time.sleep(BETWEEN_LOOKS)

    def end(self) -> None:
        """Tell all to stop, and check that each leaves in order and leaves nothing behind."""
        self.tend()
        for run in self.runs:
            run.send_signal(SIGTERM)
        codes = [run.finish().code for run in self.runs]
        assert codes == [0] * len(self.runs), f"dispatchers ended with {codes}"
        assert not Worker.objects.exists(), "a worker has left its row behind"
        assert not Email.objects.held().exists(), "mail is still held"


@contextmanager
def kept(project: Project, dispatchers: int, processes: int, *options: str) -> Iterator[Keeper]:
    """Keep dispatchers running in the block; they are told to stop at its end."""
    keeper = Keeper(project, dispatchers, processes, *options)
    keeper.wait_until_at_work()
    yield keeper
    keeper.wait_until_at_work()
    keeper.end()


def tell_to_stop(pid: int) -> None:
    try:
        os.kill(pid, SIGTERM)
    except ProcessLookupError:
        pass  # it has ended meanwhile


def ports_of(pids: set[int], server_port: int) -> set[int]:
    """Return the ports of this host from which processes are connected to a server on it."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(os.readlink(descriptor))
            except OSError:
                pass  # it was closed meanwhile
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        # proc(5): number, local address and port, remote ones; the tenth is the inode of the socket.
        fields = line.split()
        local, remote = (int(fields[column].rpartition(":")[2], 16) for column in (1, 2))
        if remote == server_port and f"socket:[{fields[9]}]" in sockets:
            ports.add(local)
    return ports
