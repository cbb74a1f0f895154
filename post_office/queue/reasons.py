"""Reasons: why mail failed, as its log says, grouped. Reads only, and never more than the newest failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..enums import STATUS
from ..models import Email, Log

# Of so many of the mails that failed, the newest, the log is read.
LOOKED_AT = 500


@dataclass(frozen=True)
class Reason:
    """The kind of fault and the server's code; mails with the same fail for the same reason."""

    exception_type: str
    code: int | None = None

    @classmethod
    def parse(cls, key: str) -> Reason | None:
        """Return the reason with this key, or None where it is none."""
        exception_type, separator, code = key.rpartition(":")
        if not separator or not ((code.isascii() and code.isdecimal()) or not code):
            return None
        # What a column of small numbers cannot hold is no code.
        return cls(exception_type, int(code) if code else None) if len(code) < 5 else None

    @property
    def key(self) -> str:
        return f"{self.exception_type}:{'' if self.code is None else self.code}"

    @property
    def name(self) -> str:
        """Return it for people: "SMTPDataError 554"."""
        return " ".join(str(part) for part in (self.exception_type, self.code) if part) or "?"


@dataclass(frozen=True, kw_only=True)
class Failures:
    """How many of the mails that were looked at failed for a reason, and what was said last."""

    reason: Reason
    number: int
    message: str


def failures(looked_at: int = LOOKED_AT) -> tuple[list[Failures], bool]:
    """Return why mail failed, most frequent reasons first, and whether all failed mail was looked at.

    Two queries, whose cost is that of the mails looked at.
    """
    emails = Email.objects.primary().filter(status=STATUS.failed).order_by("-id")
    pks = list(emails.values_list("pk", flat=True)[: looked_at + 1])
    last: dict[int, Log] = {log.email_id: log for log in _logs(pks[:looked_at])}
    groups: dict[Reason, list[Log]] = {}
    for log in sorted(last.values(), key=lambda log: -log.pk):
        groups.setdefault(Reason(log.exception_type, log.code), []).append(log)
    found = [
        Failures(reason=reason, number=len(logs), message=logs[0].message) for reason, logs in groups.items()
    ]
    return sorted(found, key=lambda failures: -failures.number), len(pks) <= looked_at


def _logs(pks: Sequence[int]) -> Iterator[Log]:
    """Yield what the log says of the failed attempts of these mails, in order."""
    logs = Log.objects.using(Email.objects.primary().db).filter(email__in=pks, status=STATUS.failed)
    yield from logs.only("email", "exception_type", "code", "message").order_by("pk") if pks else ()
