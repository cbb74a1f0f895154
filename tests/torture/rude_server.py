"""An SMTP server with every bad habit, which remembers what it did to each mail.

It cuts the connection at every fiftieth mail, before it has the mail or after; says 421 after twenty mails
over one connection; does not answer at all, before the mail or after; refuses every tenth recipient the first
time and every hundredth each time; and goes away.
"""

import asyncio
from collections import Counter
from email import message_from_bytes

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.acceptance.smtp_server import SMTPServer

DOMAIN = "example.com"


def address(number: int) -> str:
    return f"reader{number}@{DOMAIN}"


def is_refused_for_good(number: int) -> bool:
    return number % 100 == 0


def is_refused_at_first(number: int) -> bool:
    return number % 10 == 0 and not is_refused_for_good(number)


class RudeServer(SMTPServer):
    """Has these habits from the first mail on.

    Attributes:
        unanswered: By Message-ID, how often it took a mail, and the client may not have heard of it.
        untaken: How often it had a mail, did not take it and did not say so.
        broken_off: By recipient, how often it broke off or fell silent in a mail to this one.
        unread: By recipient, how often it went away when it may have had all of a mail, and not looked at it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mails_per_connection = 20
        self.unanswered: Counter[str] = Counter()
        self.untaken: Counter[str] = Counter()
        self.broken_off: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self._mails = 0
        self._numbers: dict[Envelope, int] = {}
        self._refused_once: set[str] = set()
        # By connection, the recipients of the mail that is being sent over it; the last mail taken, whose
        # answer the client may not have heard; and whether another was begun since, as that may come behind
        # it.
        self._asked: dict[asyncio.BaseTransport, list[str]] = {}
        self._last: dict[asyncio.BaseTransport, tuple[str, list[str]]] = {}
        self._begun: set[asyncio.BaseTransport] = set()

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if server.transport in self._begun:
            self._last.pop(server.transport, None)
        self._begun.add(server.transport)
        self._asked[server.transport] = []
        answer = await super().handle_MAIL(server, session, envelope, address, options)
        self._mails += 1
        self._numbers[envelope] = self._mails
        return answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        number = self._numbers[envelope]
        if server.transport.is_closing():
            # What came in one breath is still read after it went away; nobody hears of it.
            self.broken_off[address] += 1
            await asyncio.Event().wait()
        self._asked[server.transport].append(address)
        if number % 50 == 0:
            self._break_off(server)
            await self._hang_up(server)
        if number % 250 == 10:
            self._break_off(server)
            await asyncio.Event().wait()
        reader = int(address.removeprefix("reader").partition("@")[0])
        if is_refused_for_good(reader):
            return "550 5.1.1 No such user"
        if is_refused_at_first(reader) and address not in self._refused_once:
            self._refused_once.add(address)
            return "451 4.2.0 Not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        number = self._numbers.pop(envelope)
        # It was told to go on with this one, behind the answer to the last.
        self._last.pop(server.transport, None)
        if number % 100 == 75 or server.transport.is_closing():
            heard = message_from_bytes(envelope.original_content or b"")
            self.untaken[heard["Message-ID"]] += 1
            self._break_off(server)
            await self._hang_up(server)
        self._mails_over[server.transport] += 1
        taken = self._record(envelope, session)
        self._last[server.transport] = taken.message_id, list(taken.recipients)
        self._begun.discard(server.transport)
        if number % 100 == 25 or number % 250 == 40:
            self.unanswered[taken.message_id] += 1
            del self._last[server.transport]
            self._break_off(server)
            if number % 100 == 25:
                await self._hang_up(server)
            await asyncio.Event().wait()
        return "250 OK"

    def aborted(self, transport: asyncio.BaseTransport) -> None:
        asked = self._asked.pop(transport, [])
        self.broken_off.update(asked)
        if transport in self._last:
            taken, recipients = self._last.pop(transport)
            self.unanswered[taken] += 1
            if asked != recipients:
                self.broken_off.update(recipients)
        if transport in self._begun:
            self.unread.update(asked)

    def _break_off(self, server: SMTP) -> None:
        self.broken_off.update(self._asked.pop(server.transport, []))
