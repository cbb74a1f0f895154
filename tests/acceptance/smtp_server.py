"""A real SMTP server on a free port of this host, which tests can make slow, unwilling or rude.

It runs in a thread of the test's process and records each mail when the last byte has arrived, before
it answers: a client that is killed in between has handed the mail over all the same.
"""

import asyncio
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from functools import cached_property
from types import TracebackType
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.acceptance.patience import PATIENCE

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A mail as the server took it."""

    sender: str
    recipients: list[str]
    content: bytes
    # From which port the client was connected, which tells connections apart.
    port: int

    @property
    def message(self) -> Message:
        return message_from_bytes(self.content)

    @cached_property
    def message_id(self) -> str:
        return self.message["Message-ID"]


class SMTPServer:
    """Use it as a context manager; it listens from the start of the block.

    Attributes:
        accepted: Mails in the order in which they arrived.
        arrivals: When each of them did, in seconds since the epoch.
        refusals: Recipient to answer, such as "550 No such user".
        refusals_of_senders, refusals_of_content: The same for the sender; for the mail, by recipient.
        hang_ups: Recipient to how many times the connection is cut instead of an answer to the mail.
        hang_ups_before_data: The same, but instead of an answer to the recipient.
        taken_without_answer: The same as `hang_ups`, but the mail is taken.
        mails_per_connection: After so many it says 421 and closes; None for no limit.
        resets: How often a client said RSET.
        seconds_per_mail: How long an answer takes.
        connections: How many were made.
        most_connections_at_once: How many there were at the same time.
    """

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.arrivals: list[float] = []
        self.refusals: dict[str, str] = {}
        self.refused: list[str] = []
        self.refusals_of_senders: dict[str, str] = {}
        self.refusals_of_content: dict[str, str] = {}
        self.hang_ups: Counter[str] = Counter()
        self.hang_ups_before_data: Counter[str] = Counter()
        self.taken_without_answer: Counter[str] = Counter()
        self.mails_per_connection: int | None = None
        self.resets = 0
        self.seconds_per_mail = 0.0
        self.connections = 0
        self.most_connections_at_once = 0
        self._open: set[asyncio.BaseTransport] = set()
        self._mails_over: Counter[asyncio.BaseTransport] = Counter()
        self._server: asyncio.Server | None = None
        self._changed = threading.Condition()
        self._hold_after: int | None = None
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]

    # --- for the test -------------------------------------------------------------------------

    def wait_until_accepted(self, count: int) -> None:
        """Return when so many mails have arrived in all; fail when they do not."""
        __tracebackhide__ = True
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.accepted) >= count, PATIENCE):
                raise AssertionError(f"{len(self.accepted)} of {count} mails came in {PATIENCE} seconds")

    def hold_after(self, count: int) -> None:
        """Take each mail after the first `count`, but answer none of them until `let_go()`."""
        self._hold_after = count

    def let_go(self) -> None:
        """Answer what is held, and everything from now on."""
        self._hold_after = None
        self._loop.call_soon_threadsafe(self._released.set)

    def go_away(self) -> None:
        """End all connections and take no new ones, until `come_back()`."""
        asyncio.run_coroutine_threadsafe(self._go_away(), self._loop).result()

    def come_back(self) -> None:
        """Listen again, on the same port; nothing where it is there."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def message_ids(self) -> Counter[str]:
        """Return how often each mail has arrived."""
        return Counter(mail.message_id for mail in list(self.accepted))

    @property
    def connections_now(self) -> int:
        """How many are open at this moment."""
        return len(self._open)

    def repeats(self) -> set[str]:
        """Return the Message-IDs that arrived more than once."""
        return {message_id for message_id, times in self.message_ids().items() if times > 1}

    def recipients(self) -> list[str]:
        """Return the first recipient of each mail, in the order of their arrival."""
        return [mail.recipients[0] for mail in list(self.accepted)]

    def __enter__(self) -> "SMTPServer":
        ready = threading.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(ready),), name="SMTP server", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    # --- in the thread ------------------------------------------------------------------------

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._released, self._ended = asyncio.Event(), asyncio.Event()
        await self._listen()
        ready.set()
        await self._ended.wait()
        await self._go_away()

    async def _listen(self) -> None:
        if self._server is not None and self._server.is_serving():
            return
        listener = self._socket if self._socket.fileno() >= 0 else socket.create_server((HOST, self.port))
        self._server = await self._loop.create_server(lambda: _Conversation(self), sock=listener)

    async def _go_away(self) -> None:
        if self._server is None or not self._server.is_serving():
            return
        self._server.close()
        for transport in list(self._open):
            self.aborted(transport)
            transport.abort()
        await self._server.wait_closed()

    def aborted(self, transport: asyncio.BaseTransport) -> None:
        """Take note that a connection is cut, whatever it was about."""

    def opened(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(transport)
        self.connections += 1
        self.most_connections_at_once = max(self.most_connections_at_once, len(self._open))

    def closed(self, transport: asyncio.BaseTransport) -> None:
        self._open.discard(transport)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        mails = self._mails_over[server.transport]
        if self.mails_per_connection is not None and mails >= self.mails_per_connection:
            await server.push("421 4.7.0 Enough for one connection")
            await self._hang_up(server)
        if answer := self.refusals_of_senders.get(address):
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.resets += 1
        return "250 OK"

    async def _hang_up(self, server: SMTP) -> None:
        """End the connection; the end of it ends this, too."""
        server.transport.close()
        await asyncio.Event().wait()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hang_ups_before_data[address] > 0:
            self.hang_ups_before_data[address] -= 1
            await self._hang_up(server)
        if answer := self.refusals.get(address):
            self.refused.append(address)
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        for address in envelope.rcpt_tos:
            if self.hang_ups[address] > 0:
                self.hang_ups[address] -= 1
                await self._hang_up(server)
            if answer := self.refusals_of_content.get(address):
                return answer
        self._mails_over[server.transport] += 1
        self._record(envelope, session)
        for address in envelope.rcpt_tos:
            if self.taken_without_answer[address] > 0:
                self.taken_without_answer[address] -= 1
                await self._hang_up(server)
        if self._hold_after is not None and len(self.accepted) > self._hold_after:
            await self._released.wait()
        await asyncio.sleep(self.seconds_per_mail)
        return "250 OK"

    def _record(self, envelope: Envelope, session: Session) -> Accepted:
        accepted = Accepted(
            sender=str(envelope.mail_from),
            recipients=[str(address) for address in envelope.rcpt_tos],
            content=envelope.original_content or b"",
            port=session.peer[1],
        )
        with self._changed:
            self.arrivals.append(time.time())
            self.accepted.append(accepted)
            self._changed.notify_all()
        return accepted


class _Conversation(SMTP):
    """One connection to the server."""

    def __init__(self, owner: SMTPServer) -> None:
        super().__init__(owner, hostname="localhost", enable_SMTPUTF8=True)
        self._owner = owner
        self._mine: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._mine = transport
        self._owner.opened(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.closed(self._mine)
        super().connection_lost(error)
