"""Counts what became of the mail, beside what the scenario expects, and shows both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parseaddr

from demo import inspection
from demo.inspection import Arrived
from demo.scenario import NO_SUCH_USER, TRY_LATER, Fate, Planned
from demo.stage import Run
from post_office.models import PRIORITY, STATUS, Email, Log
from post_office.querysets import EmailQuerySet

FAULTS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Number:
    """Something that was counted.

    Attributes:
        name: As one text, or as several columns of a table.
        detail: For the reader; it is not compared.
    """

    name: str | tuple[str, ...]
    expected: int
    found: int
    detail: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,) if isinstance(self.name, str) else self.name

    def __str__(self) -> str:
        return f"{', '.join(self.columns)}: {self.found} instead of {self.expected}"


def show(plan: Sequence[Planned], runs: Sequence[Run], outbox: Sequence[Arrived], said: Counter[str]) -> bool:
    """Print the tables, and what is not as expected. Returns whether everything is.

    Args:
        said: How often the server gave each of its refusals.
    """
    arrived = list(arrivals(plan, outbox))
    others = list(fates(plan))
    faulty = list(faults(plan, outbox))
    unseen = [
        *deliveries(plan, outbox),
        Number(name="faults in mails", expected=0, found=len(faulty)),
        *refusals(plan, said),
        *commands(plan, runs),
        *rows(plan),
    ]
    print_table(("template", "language", "parts", "expected", "arrived"), arrived)
    print_table(("what became of the others", "expected", "found"), others)

    numbers = [*arrived, *others, *unseen]
    off = [number for number in numbers if number.expected != number.found]
    for fault in faulty[:FAULTS_SHOWN]:
        print(f"FAULTY  {fault}")
    for number in off:
        print(f"OFF     {number}")
    if not off:
        print(
            f"All {len(numbers)} numbers are as expected. Each mail came once, in the right language and with"
        )
        print("all its bodies; images are found by their Content-ID, attachments are equal byte for byte.")
    return not off


# --- what is counted --------------------------------------------------------------------------


def arrivals(plan: Sequence[Planned], outbox: Sequence[Arrived]) -> Iterator[Number]:
    """Count what lies in the outbox, by template, language and parts."""
    expected = Counter(
        (planned.kind.template, planned.kind.language, planned.kind.parts)
        for planned in plan
        if planned.fate.reaches_outbox
    )
    found = Counter(mail.kind for mail in outbox)
    for kind in expected | found:
        yield Number(name=kind, expected=expected[kind], found=found[kind])


def fates(plan: Sequence[Planned]) -> Iterator[Number]:
    """Count what did not simply arrive, with the reason that the log or the row gives."""
    expected = Counter(planned.fate for planned in plan)
    retried = Email.objects.filter(status=STATUS.sent, number_of_retries__gt=0)
    refused = Email.objects.filter(status=STATUS.failed)
    expired = Email.objects.filter(status=STATUS.expired)
    waiting = Email.objects.filter(status=STATUS.queued).order_by("scheduled_time")
    for name, fate, emails, detail in (
        ("retried, then sent", Fate.RETRIED, retried, answers_to(retried)),
        ("refused", Fate.REFUSED, refused, answers_to(refused)),
        ("expired", Fate.EXPIRES, expired, [f"since {email.expires_at:%H:%M} UTC" for email in expired]),
        (
            "still waiting",
            Fate.WAITS,
            waiting,
            [f"until {waiting[0].due_at:%Y-%m-%d %H:%M} UTC"] if waiting else [],
        ),
    ):
        yield Number(name=name, expected=expected[fate], found=len(emails), detail=", ".join(detail))


def answers_to(emails: EmailQuerySet) -> list[str]:
    logs = Log.objects.filter(email__in=emails, code__isnull=False).select_related("email")
    return [f"{parseaddr(log.email.to[0])[1]}: {log.code} {log.answer}" for log in logs]


def deliveries(plan: Sequence[Planned], outbox: Sequence[Arrived]) -> Iterator[Number]:
    """Count what would break the promise of each mail exactly once."""
    expected = {planned.address for planned in plan if planned.fate.reaches_outbox}
    found = Counter(mail.address for mail in outbox)
    yield Number(name="mails that never arrived", expected=0, found=len(expected - found.keys()))
    yield Number(name="mails that should not have arrived", expected=0, found=len(found.keys() - expected))
    yield Number(name="mails that arrived again", expected=0, found=found.total() - len(found))
    sent = set(Email.objects.filter(status=STATUS.sent).values_list("message_id", flat=True))
    arrived = {str(mail.message["Message-ID"]) for mail in outbox}
    yield Number(
        name="Message-IDs of sent mail that arrived", expected=len(expected), found=len(sent & arrived)
    )


def faults(plan: Sequence[Planned], outbox: Sequence[Arrived]) -> Iterator[str]:
    """Say which mails differ from what was planned, and in what."""
    by_address = {planned.address: planned for planned in plan}
    for mail in outbox:
        if mail.address in by_address:
            for fault in inspection.faults(mail, by_address[mail.address]):
                yield f"{mail.file} to {mail.address}: {fault}"


def refusals(plan: Sequence[Planned], said: Counter[str]) -> Iterator[Number]:
    """Count what the server refused, and what the log says of it."""
    fate = Counter(planned.fate for planned in plan)
    for answer, expected in ((TRY_LATER, fate[Fate.RETRIED]), (NO_SUCH_USER, fate[Fate.REFUSED])):
        code = answer[:3]
        logged = Log.objects.filter(code=code, answer=answer[4:])
        yield Number(name=f"answers {code} of the server", expected=expected, found=said[answer])
        yield Number(name=f"answers {code} in the log", expected=expected, found=logged.count())


def commands(plan: Sequence[Planned], runs: Sequence[Run]) -> Iterator[Number]:
    """Count what the runs of send_queued_mail said they did.

    All together: on a slow machine the first may last until the retry is due.
    """
    fate = Counter(planned.fate for planned in plan if planned.priority != "now")
    expected = {
        "sent": fate[Fate.ARRIVES] + fate[Fate.RETRIED],
        "failed": fate[Fate.REFUSED],
        "requeued": fate[Fate.RETRIED],
    }
    expected = {"attempted": sum(expected.values()), **expected}
    for word, number in expected.items():
        found = sum(run.numbers.get(word, 0) for run in runs)
        yield Number(name=f"mails that send_queued_mail calls {word}", expected=number, found=found)
    yield Number(
        name="runs of send_queued_mail that failed", expected=0, found=sum(run.code != 0 for run in runs)
    )


def rows(plan: Sequence[Planned]) -> Iterator[Number]:
    """Count what the database holds in the end."""
    priorities = Counter(planned.priority for planned in plan)
    for name, value in PRIORITY._asdict().items():
        emails = Email.objects.filter(priority=value)
        yield Number(name=f"mails with priority {name}", expected=priorities[name], found=emails.count())
    arriving = sum(planned.fate.reaches_outbox for planned in plan)
    sent = Email.objects.filter(status=STATUS.sent)
    yield Number(name="mails that are sent", expected=arriving, found=sent.count())
    deliveries = Log.objects.filter(status=STATUS.sent)
    yield Number(name="deliveries in the log", expected=arriving, found=deliveries.count())
    unsettled = Email.objects.filter(status=STATUS.requeued) | Email.objects.filter(worker__isnull=False)
    yield Number(name="mails that are requeued or held", expected=0, found=unsettled.count())


# --- how it is shown --------------------------------------------------------------------------


def print_table(headings: Sequence[str], numbers: Sequence[Number]) -> None:
    """Print numbers below their headings; the last two columns are what was expected and found."""
    lines = [headings, *((*number.columns, str(number.expected), str(number.found)) for number in numbers)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    details = ["", *(number.detail for number in numbers)]
    for line, detail in zip(lines, details, strict=True):
        names = [word.ljust(width) for word, width in zip(line[:-2], widths[:-2], strict=True)]
        counts = [word.rjust(width) for word, width in zip(line[-2:], widths[-2:], strict=True)]
        print("  ".join([*names, *counts, detail]).rstrip())
    print()
