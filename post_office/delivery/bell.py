"""A bell: wakes a thread that waits for several things at once, one of which is to be woken."""

from __future__ import annotations

import socket


class Bell:
    """Can be waited for like a file. May be rung by any thread, and by a signal handler."""

    def __init__(self) -> None:
        self._ear, self._clapper = socket.socketpair()
        self._ear.setblocking(False)
        self._clapper.setblocking(False)

    def ring(self) -> None:
        try:
            self._clapper.send(b"!")
        except OSError:
            pass  # it rings already, or nobody waits any more

    def silence(self) -> None:
        """Let it be still until it is rung again."""
        try:
            while True:
                self._ear.recv(4096)
        except BlockingIOError:
            pass

    def fileno(self) -> int:
        return self._ear.fileno()

    def close(self) -> None:
        self._ear.close()
        self._clapper.close()
