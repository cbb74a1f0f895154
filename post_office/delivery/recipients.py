"""Recipients told apart: who has the mail, who refused it for good, and who is asked again.

Kept in `Email.answers` from the first refusal on, by bare address. A mail that everybody took has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..enums import ANSWER
from ..queue.outcomes import Report
from .faults import Fault, Kind

Answers = dict[str, dict[str, Any]]


def done_with(answers: Answers | None) -> frozenset[str]:
    """Return the addresses that are not asked again: they have the mail, or refused it for good."""
    return frozenset(mailbox for mailbox, said in (answers or {}).items() if said["state"] != ANSWER.deferred)


def some_have_it(answers: Answers | None) -> bool:
    return any(said["state"] == ANSWER.accepted for said in (answers or {}).values())


def heard(before: Answers | None, accepted: Iterable[str], refused: Mapping[str, Fault]) -> Answers | None:
    """Return what is known of all recipients after an attempt; None when all of them have the mail."""
    answers = {
        **(before or {}),
        **{mailbox: {"state": ANSWER.accepted} for mailbox in accepted},
        **{mailbox: _refusal(fault) for mailbox, fault in refused.items()},
    }
    everybody = all(said["state"] == ANSWER.accepted for said in answers.values())
    return None if everybody else answers


def taken(before: Answers | None) -> Answers | None:
    """Return what is known when everybody who was asked has the mail; None when that is all of them."""
    asked = [mailbox for mailbox, said in (before or {}).items() if said["state"] == ANSWER.deferred]
    return heard(before, asked, {})


def given_up(answers: Answers | None) -> Answers | None:
    """Return answers in which nobody is to be asked again."""
    if answers is None:
        return None
    return {
        mailbox: {**said, "state": ANSWER.refused} if said["state"] == ANSWER.deferred else said
        for mailbox, said in answers.items()
    }


def report_of(refused: Mapping[str, Fault]) -> Report:
    """Name those who refused; the mildest answer stands for all."""
    mildest = min(refused.values(), key=lambda fault: fault.code or 0)
    names = [f"{mailbox} ({_said(fault)})" for mailbox, fault in refused.items()]
    return Report(
        message=f"Refused for {', '.join(names)}",
        exception_type=mildest.exception_type,
        code=mildest.code,
        answer=mildest.answer,
    )


def _refusal(fault: Fault) -> dict[str, Any]:
    state = ANSWER.refused if fault.kind is Kind.PERMANENT else ANSWER.deferred
    return {"state": state, "code": fault.code, "answer": fault.answer}


def _said(fault: Fault) -> str:
    return " ".join(str(part) for part in (fault.code, fault.answer) if part) or "no reason given"
