"""A worker's end of the pipe to its supervisor.

The supervisor says "look" when there is new mail, and "stop"; the end of the pipe, which is the
supervisor's own, means "stop", too. What a worker has to say goes the other way. A new process imports
this before Django is set up.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

LOOK = "look"
STOP = "stop"
# What a worker that stays says first: it is one of those that look for mail.
READY = "ready"


class Line:
    """What the supervisor says to this process.

    Args:
        poll_interval: Seconds for which a worker that stays waits for a call before it looks by itself.
    """

    def __init__(self, pipe: Connection, poll_interval: float) -> None:
        self.poll_interval = poll_interval
        self._pipe = pipe
        self._stopped = False
        self._called = False

    def stop(self) -> None:
        """Take a signal for the supervisor's word."""
        self._stopped = True

    def should_stop(self) -> bool:
        self._listen(0)
        return self._stopped

    def was_called(self) -> bool:
        """Return whether there was a call since it was last asked or waited for."""
        self._listen(0)
        called, self._called = self._called, False
        return called

    def wait(self) -> None:
        """Return at a call, even one of a moment ago, at the word to stop, or after the interval."""
        if not self._called:
            self._listen(self.poll_interval)
        self._called = False

    def report(self, message: object) -> None:
        """Tell the supervisor."""
        try:
            self._pipe.send(message)
        except OSError:
            self._stopped = True

    def _listen(self, seconds: float) -> None:
        try:
            while not self._stopped and self._pipe.poll(seconds):
                if self._pipe.recv() == STOP:
                    self._stopped = True
                else:
                    self._called = True
                seconds = 0
        except (EOFError, OSError):
            self._stopped = True
