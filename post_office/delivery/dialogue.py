"""What is said to an SMTP server before the content of a mail, and what it answers.

A server that offers PIPELINING (RFC 2920) hears many commands at once, and its answers are read
together: two round trips make a mail, however many recipients it has, and one where the first group
goes with the content of the mail before. Any other hears the next command when it has answered the last.
"""

from __future__ import annotations

import re
import smtplib
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence

Reply = tuple[int, bytes]

DATA = b"DATA\r\n"
# Bytes that are said at once, the least window of TCP that RFC 2920 knows of (section 3.1): a server must
# be able to take all of it, as it may wait for us to read its answers before it goes on reading.
AT_ONCE = 4096

# What stands in angle brackets as it is. Anything else is for smtplib to look at, which takes long.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


def mail_from(server: smtplib.SMTP, sender: str, size: int) -> bytes:
    """Return the command that begins a mail. Raises ValueError for what cannot be written as one."""
    option = f" SIZE={size}" if server.has_extn("size") else ""
    return _command(f"MAIL FROM:{_in_brackets(sender)}{option}")


def rcpt_to(recipient: str) -> bytes:
    """Return the command for one recipient. Raises ValueError for what cannot be written as one."""
    return _command(f"RCPT TO:{_in_brackets(recipient)}")


class Dialogue:
    """Commands on their way to a server, and its replies in the same order.

    Args:
        commands: Each is said when `hear` wants to know the answer, or earlier to a server that
            offers to take several at once.
    """

    def __init__(self, server: smtplib.SMTP, commands: Sequence[bytes]) -> None:
        self.server = server
        several = server.has_extn("pipelining")
        self._groups = _groups(commands) if several else iter([[command] for command in commands])
        self._unheard = 0

    def hear(self) -> Reply:
        """Return the next reply.

        Raises:
            SMTPServerDisconnected: There is none, or none that could be understood.
        """
        if not self._unheard:
            self.server.send(self.next_group())
        self._unheard -= 1
        return reply(self.server)

    def next_group(self) -> bytes:
        """Return the next commands, for a caller who says them; the next replies are then to these."""
        group = next(self._groups)
        self._unheard = len(group)
        return b"".join(group)

    def hear_out(self) -> list[Reply]:
        """Return the replies to what was said already. What was not is never said."""
        return [self.hear() for _ in range(self._unheard)]


def reply(server: smtplib.SMTP) -> Reply:
    """Return the server's next reply. After one that is none, nobody knows what an answer belongs to.

    Raises:
        SMTPServerDisconnected: The connection is closed, at least now.
    """
    began = time.monotonic()
    try:
        code, answer = server.getreply()
    except smtplib.SMTPResponseException as fault:
        raise smtplib.SMTPServerDisconnected(f"the answer has no end: {fault}") from fault
    except smtplib.SMTPServerDisconnected as fault:
        # To the system that waits, see below, this is the same as the end of a connection.
        limit = _time_limit(server)
        if limit and time.monotonic() - began >= limit:
            raise smtplib.SMTPServerDisconnected(f"timed out after {limit:g} seconds") from fault
        raise
    if code < 200:
        server.close()
        raise smtplib.SMTPServerDisconnected(f"the answer cannot be understood: {answer!r}")
    return code, answer


def say(server: smtplib.SMTP, said: bytes) -> int:
    """Say this. Returns how many of the bytes were on their way when the connection broke, else all of
    them."""
    sock, done = server.sock, 0
    if sock is None:
        return 0
    try:
        with memoryview(said) as rest:
            while done < len(rest):
                done += sock.send(rest[done:])
    except OSError:
        pass
    return done


def let_the_system_wait(server: smtplib.SMTP) -> None:
    """Leave the time limit of a connection to the operating system, where the connection is a plain socket.

    Python keeps it by asking, before each read and write, whether that is possible now: with many threads, to
    be called back twice as often takes longer than what there is to do.
    """
    sock, limit = server.sock, _time_limit(server)
    if type(sock) is not socket.socket or not limit or sys.platform == "win32":  # which counts otherwise
        return
    seconds, rest = divmod(limit, 1)
    timeval = struct.pack("ll", int(seconds), int(rest * 1_000_000))
    for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, direction, timeval)
    sock.settimeout(None)


def _time_limit(server: smtplib.SMTP) -> float | None:
    """Return for how many seconds it may be waited for; None for no limit, or that of all of Python's
    sockets."""
    limit: object = server.timeout
    return limit if isinstance(limit, (int, float)) else None


def _groups(commands: Sequence[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    for command in commands:
        if group and sum(map(len, group)) + len(command) > AT_ONCE:
            yield group
            group = []
        group.append(command)
    yield group


def _in_brackets(address: str) -> str:
    return f"<{address}>" if _PLAIN_ADDRESS.fullmatch(address) else smtplib.quoteaddr(address)


def _command(line: str) -> bytes:
    if "\r" in line or "\n" in line:
        raise ValueError(f"{line!r} would be more than one command.")
    return f"{line}\r\n".encode("ascii")
