"""A server with every bad habit, see `rude_server`: in the end each mail is what it should be, with the
attempts that it took, the last word of each recipient, and a log that says how it came.

Who has a mail has it once; twice only where the server took it and did not say so, and nobody asked that the
mail be held for that.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from post_office import mail
from post_office.enums import ANSWER
from post_office.models import STATUS, Email, Log
from tests.acceptance.project import Project, smtp_backend
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import kept
from tests.torture.rude_server import RudeServer, address, is_refused_at_first, is_refused_for_good

SIZE = 3000
DISPATCHERS, PROCESSES = 2, 2
AWAY = 60.0  # seconds
TIMEOUT = 3  # seconds after which a server that does not answer is given up
# Every so many mails one is to arrive at most once.
HELD = 7


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A mail, and what it is to come to."""

    email: Email
    readers: Sequence[int]

    @property
    def good(self) -> list[str]:
        return [address(reader) for reader in self.readers if not is_refused_for_good(reader)]

    @property
    def refused(self) -> list[str]:
        return [address(reader) for reader in self.readers if is_refused_for_good(reader)]

    @property
    def waits_for_somebody(self) -> bool:
        return any(map(is_refused_at_first, self.readers))


def run(project: Project, size: int = SIZE, away: float = AWAY) -> Figures:
    with RudeServer() as server:
        project.server = server
        backend = smtp_backend(server)
        backend["OPTIONS"]["timeout"] = TIMEOUT
        project.post_office |= {
            "BACKENDS": {"default": backend},
            "RETRY_INTERVAL": 1,
            "RETRY_BACKOFF": 1,
            "BACKEND_PAUSE": 1,
            "BACKEND_MAX_PAUSE": 5,
        }
        mails = queue(size)
        watch = Watch(server)
        with kept(project, DISPATCHERS, PROCESSES) as keeper:
            keeper.wait_for(lambda: len(server.accepted), size // 2, "mails arrive")
            server.go_away()
            threading.Event().wait(away)
            server.come_back()
            finished = Email.objects.filter(status__in=[STATUS.sent, STATUS.failed])
            keeper.wait_for(finished.count, size, "mails are sent or failed")
        assert keeper.restarts == 0
        return check(mails, server, watch)


def queue(size: int) -> list[Expected]:
    """Queue mails to one recipient and to three in turn, some of which are to arrive at most once."""
    readers = [[3 * number + more for more in range(1 + number % 2 * 2)] for number in range(size)]
    common = {"sender": "shop@example.com", "subject": "News", "message": "Nothing new."}
    emails = mail.send_many(
        {
            "recipients": [address(reader) for reader in each],
            "on_unknown": "hold" if number % HELD == 0 else "resend",
            **common,
        }
        for number, each in enumerate(readers)
    )
    return [Expected(email=email, readers=each) for email, each in zip(emails, readers, strict=True)]


def check(mails: Sequence[Expected], server: RudeServer, watch: Watch) -> Figures:
    copies = Counter(
        (each.message_id, recipient) for each in server.accepted for recipient in each.recipients
    )
    rows = Email.objects.in_bulk([each.email.pk for each in mails])
    logs: dict[int, list[Log]] = {}
    for log in Log.objects.order_by("pk"):
        logs.setdefault(log.email_id, []).append(log)
    tally: Counter[str] = Counter()
    for each in mails:
        row = rows[each.email.pk]
        times = [copies[str(row.message_id), recipient] for recipient in each.good]
        try:
            tally[check_one(each, row, times, logs[row.pk], server)] += 1
        except AssertionError as fault:
            facts = (each.readers, row.status, row.number_of_retries, row.answers, times, row.on_unknown)
            told = [(log.status, log.attempt, log.message[:200]) for log in logs.get(row.pk, ())]
            raise AssertionError(f"{fault}: {facts} {told}") from fault
        assert not any(copies[str(row.message_id), recipient] for recipient in each.refused)
    assert sum(copies.values()) == sum(
        copies[str(each.email.message_id), recipient] for each in mails for recipient in each.good
    ), "somebody has what is not for them"
    return Figures(
        mails=len(mails),
        once=tally["once"],
        repeated=tally["repeated"],
        lost=tally["lost"],
        allowed=(
            f"repeats of mail taken without an answer ({sum(server.unanswered.values())}); refused for good, "
            f"so failed: {tally['refused']}; held, as it is unknown: {tally['held']}"
        ),
        seconds=watch.seconds,
    )


def check_one(each: Expected, row: Email, times: list[int], logs: list[Log], server: RudeServer) -> str:
    """Check what became of a mail; return how it counts.

    Args:
        times: How often each recipient got it that was not refused for good.
    """
    unanswered = server.unanswered[str(row.message_id)]
    unread = sum(server.unread[address(reader)] for reader in each.readers)
    nobody_knows = unanswered + server.untaken[str(row.message_id)] + unread
    broken_off = sum(server.broken_off[address(reader)] for reader in each.readers)
    check_attempts(each, row, logs, broken_off)
    assert row.worker_id is None
    assert row.claims == 0
    if not each.good:
        assert row.status == STATUS.failed
        assert [(log.code, log.exception_type) for log in logs[-1:]] == [(550, "SMTPRecipientsRefused")]
        return "refused"
    if row.on_unknown == "hold":
        assert max(times) <= 1, "it was to arrive at most once"
        if row.status == STATUS.failed:
            assert nobody_knows, "the server said what became of it"
            assert "unknown whether this mail was sent" in logs[-1].message
            return "held"
    assert row.status == STATUS.sent
    check_answers(each, row, logs)
    assert max(times) <= 1 + unanswered, "it was repeated without need"
    if min(times) == 0:
        return "lost"
    return "once" if max(times) == 1 else "repeated"


def check_attempts(each: Expected, row: Email, logs: list[Log], broken_off: int) -> None:
    """Check that the attempts are counted one by one, and none without a fault of the server's."""
    retries = row.number_of_retries or 0
    attempts = [log.attempt for log in logs if log.attempt is not None]
    assert sorted(set(attempts)) == list(range(1, retries + 2)), "the log tells of each attempt"
    put_off = 1 if each.waits_for_somebody and row.status == STATUS.sent else 0
    # Where it broke off after it had put somebody off, nobody heard that.
    least = 0 if broken_off else put_off
    # As it goes away it cuts connections of which it has read nothing yet: only the client knows of that.
    cut = max(broken_off, sum("The connection broke" in log.message for log in logs))
    assert least <= retries <= put_off + cut, f"{retries} retries, and {broken_off} broken off"


def check_answers(each: Expected, row: Email, logs: list[Log]) -> None:
    """Check that the mail knows who refused it, and that its log names them."""
    if not each.refused:
        assert row.answers is None
        return
    said = {mailbox: answer["state"] for mailbox, answer in row.answers.items()}
    assert said == {
        **dict.fromkeys(each.good, ANSWER.accepted),
        **dict.fromkeys(each.refused, ANSWER.refused),
    }
    assert all(row.answers[mailbox]["code"] == 550 for mailbox in each.refused)
    assert all(any(mailbox in log.message for log in logs) for mailbox in each.refused)
