"""The servers that take the mail: Postfix's `smtp-sink`, and one of our own that takes its time.

`smtp-sink` is a small C program that accepts everything, thousands of mails in a second. It is fetched as
part of Debian's package, which is unpacked and not installed, so that no mail server starts. Where there is
none, the sink of our own serves, in Python and slower; the results name the one that was used.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .plan import CACHE, HERE, say

HOST = "127.0.0.1"
# Connections that may wait to be taken.
BACKLOG = "256"
# How often a count is looked at: often enough to be exact, and seldom enough to cost nothing.
LOOK_EVERY = 0.01
SECONDS_TO_START = 60


@dataclass
class Sink:
    """A server that runs.

    Attributes:
        name: For people.
        counters: The file to which it writes how many mails it has taken, anew after each.
    """

    name: str
    port: int
    counters: Path
    process: subprocess.Popen[bytes]

    def taken(self) -> int:
        """Return how many mails it has taken since it started."""
        with self.counters.open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 200, 0))
            found = re.findall(rb"mesg=(\d+)\r", file.read())
        return int(found[-1]) if found else 0

    def watch(self, goes_on: Callable[[], bool]) -> Flow:
        """Watch mail arrive as long as it `goes_on`."""
        start = time.monotonic()
        moments = [(start, self.taken())]
        while goes_on():
            time.sleep(LOOK_EVERY)
            now, taken = time.monotonic(), self.taken()
            if taken != moments[-1][1]:
                moments.append((now, taken))
        ended = time.monotonic()
        if (taken := self.taken()) != moments[-1][1]:
            moments.append((ended, taken))
        return Flow(moments=moments, ended=ended)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """When mail arrived: moments at which there were more mails, and how many; the start first."""

    moments: list[tuple[float, int]]
    ended: float

    @property
    def mails(self) -> int:
        return self.moments[-1][1] - self.moments[0][1]

    @property
    def rate(self) -> float:
        """Mails per second from the first to the last: a program's start is left out, as it is paid once."""
        (first, before), (last, after) = self.moments[1], self.moments[-1]
        return (after - before) / (last - first)

    @property
    def seconds(self) -> float:
        """How long the whole program took."""
        return self.ended - self.moments[0][0]


@contextmanager
def running(**options: float) -> Iterator[Sink]:
    """Run a sink: `smtp-sink` where it can be had and nothing is asked of it.

    Args:
        options: Of our own, see `own_sink`: `delay`, in seconds.
    """
    port = _free_port()
    folder = CACHE / "sinks"
    folder.mkdir(parents=True, exist_ok=True)
    counters = folder / f"{port}.counters"
    program = None if options else smtp_sink()
    if program is None:
        name = "a sink of our own in Python"
        given = [f"--{name}={value}" for name, value in options.items()]
        command: list[str | Path] = [sys.executable, HERE / "own_sink.py", *given, str(port)]
        libraries = None
    else:
        name = "Postfix's smtp-sink"
        # It insists on another user when it is root that starts it.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [program, *user, "-c", f"{HOST}:{port}", BACKLOG]
        libraries = program.parents[1] / "lib" / "postfix"
    environment = {**os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})}
    with counters.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stdin=subprocess.DEVNULL, env=environment)
    try:
        _wait_until_it_listens(port, process)
        yield Sink(name, port, counters, process)
    finally:
        process.terminate()
        process.wait()
        counters.unlink()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(LOOK_EVERY)
    raise RuntimeError("The sink does not start.")


@cache
def smtp_sink() -> Path | None:
    """Return the program, fetched where it is not here yet; None where that is impossible."""
    if found := shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return Path(found)
    folder = CACHE / "postfix"
    program = folder / "usr" / "sbin" / "smtp-sink"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _run(["apt-get", "download", "postfix"], folder)
            (package,) = folder.glob("postfix_*.deb")
            _run(["dpkg", "-x", package.name, "."], folder)
        except (OSError, ValueError, subprocess.CalledProcessError) as fault:
            say(f"Postfix's smtp-sink cannot be had ({fault}): a sink of our own takes its place.")
            return None
    return program


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)
