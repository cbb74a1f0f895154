"""An SMTP server that says what a test wrote down for it, for what no decent server does.

It serves one connection, in a thread, with the function that the test gives it. What that function
raises is raised again at the end of the block.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from tests.acceptance.patience import PATIENCE

HOST = "127.0.0.1"


class Client:
    """The client, as the server sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def greet(self, *extensions: str) -> None:
        """Answer EHLO with these extensions."""
        self.say("220 scripted")
        self.hear()
        self.say("250-scripted", *(f"250-{extension}" for extension in extensions), "250 8BITMIME")

    def hear(self, commands: int = 1) -> list[str]:
        """Return the next commands; "" where the client has gone."""
        return [self._file.readline().decode().rstrip("\r\n") for _ in range(commands)]

    def hear_at_once(self) -> list[str]:
        """Return the commands that came together with the first of them."""
        heard = self._file.peek().decode()
        return self.hear(heard.count("\r\n"))

    def hear_content(self) -> bytes:
        """Return what comes up to the dot that ends a mail."""
        lines: list[bytes] = []
        while (line := self._file.readline()) not in (b".\r\n", b""):
            lines.append(line)
        return b"".join(lines)

    def say(self, *lines: str) -> None:
        self._connection.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def close(self) -> None:
        self._file.close()
        self._connection.close()


class ScriptedServer:
    """Use it as a context manager; it listens from the start of the block.

    Args:
        script: Serves the one client.
        context: Of a server that speaks TLS from the first byte on.
    """

    def __init__(self, script: Callable[[Client], Any], context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._fault: BaseException | None = None
        self._connection: socket.socket | None = None
        self._socket = socket.create_server((HOST, 0))
        self._socket.settimeout(PATIENCE)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="scripted SMTP server", daemon=True)

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
            connection.settimeout(PATIENCE)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._connection = connection
            client = Client(connection)
            try:
                self._script(client)
            finally:
                client.close()
        except BaseException as fault:
            self._fault = fault

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is not None:
            # There is nothing to wait for.
            for each in (self._socket, self._connection):
                if each is not None:
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        if self._fault is not None and fault is None:
            raise self._fault


def take_one_and_part_badly(client: Client) -> None:
    """Take a mail, and answer QUIT with more than a line may have."""
    client.greet()
    for answer in ("250 ok", "250 ok", "354 go on"):
        client.hear()
        client.say(answer)
    client.hear_content()
    client.say("250 taken")
    client.hear()
    client.say("221 " + 10_000 * "x")
