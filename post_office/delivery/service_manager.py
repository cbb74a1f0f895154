"""What a service manager wants to know, as systemd's sd_notify(3) and sd_watchdog_enabled(3) define it:
datagrams on the Unix socket that it names in the environment. Without one, nothing is said.
"""

from __future__ import annotations

import logging
import os
import socket
import time

logger = logging.getLogger("post_office")


class ServiceManager:
    """Tells the service manager how the program is doing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._watched_every = _watchdog_interval()
        self._next_sign = 0.0
        self._said: set[str] = set()

    def ready(self) -> None:
        self._say_once("READY=1")

    def stopping(self) -> None:
        self._say_once("STOPPING=1")

    def sign_of_life(self) -> None:
        """To be called often; keeps the watchdog still where there is one."""
        if self._watched_every and time.monotonic() >= self._next_sign:
            # Twice as often as it is expected, as the manual advises.
            self._next_sign = time.monotonic() + self._watched_every / 2
            self._say("WATCHDOG=1")

    def _say_once(self, state: str) -> None:
        if state not in self._said:
            self._said.add(state)
            self._say(state)

    def _say(self, state: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is one in Linux's abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(state.encode(), address)
        except OSError as fault:
            logger.warning("The service manager at %s was not told %s: %s", self._address, state, fault)


def _watchdog_interval() -> float:
    """Return within how many seconds a sign of life is expected from this process; 0 where it is not."""
    expected_of = os.environ.get("WATCHDOG_PID", "")
    if expected_of not in ("", str(os.getpid())):
        return 0
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return 0
