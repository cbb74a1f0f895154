"""An SMTP server on a free port of this host, which keeps each mail it takes as a file."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


class MailServer:
    """Use it as a context manager; it listens, in a thread of its own, from the start of the block.

    Args:
        outbox: Folder for the mails; each becomes a file <n>.eml, byte for byte as it came.
        refuse: Recipient to answer, such as "550 No such user"; given each time.
        refuse_once: The same, given the first time only.

    Attributes:
        answers: How often each of the answers was given.
    """

    def __init__(self, outbox: Path, *, refuse: Mapping[str, str], refuse_once: Mapping[str, str]) -> None:
        self.outbox = outbox
        self.refuse = refuse
        self.refuse_once = dict(refuse_once)
        self.answers: Counter[str] = Counter()
        self._taken = 0

    def __enter__(self) -> MailServer:
        self.outbox.mkdir()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._conversation, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="SMTP server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        self._loop.close()

    def _conversation(self) -> SMTP:
        return SMTP(self, hostname="localhost", loop=self._loop)

    # --- called by aiosmtpd -----------------------------------------------------------------------

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.refuse.get(address) or self.refuse_once.pop(address, ""):
            self.answers[answer] += 1
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self._taken += 1
        (self.outbox / f"{self._taken:04}.eml").write_bytes(envelope.original_content or b"")
        return "250 OK"
