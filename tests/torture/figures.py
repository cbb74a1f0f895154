"""What a scenario came to: how often each mail arrived, beside what was allowed."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from post_office.models import Email
from tests.acceptance.smtp_server import SMTPServer


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is told of a scenario.

    Attributes:
        mails: How many were to be delivered.
        once: How many of them arrived once.
        repeated: How many arrived more than once.
        lost: How many should have arrived, and did not.
        allowed: What of this was allowed, and what else was measured, in words.
    """

    mails: int
    once: int
    repeated: int
    lost: int
    allowed: str
    seconds: float


class Watch:
    """Measures the time of a scenario, and counts what arrived from its start on."""

    def __init__(self, server: SMTPServer) -> None:
        self._server = server
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def figures(self, emails: Sequence[Email], allowed: str) -> Figures:
        arrived = self._server.message_ids()
        times = [arrived[str(email.message_id)] for email in emails]
        assert not arrived.keys() - message_ids(emails), "nothing arrives that was not queued"
        return Figures(
            mails=len(emails),
            once=sum(count == 1 for count in times),
            repeated=sum(count > 1 for count in times),
            lost=sum(count == 0 for count in times),
            allowed=allowed,
            seconds=self.seconds,
        )


def message_ids(emails: Iterable[Email]) -> set[str]:
    return {str(email.message_id) for email in emails}
