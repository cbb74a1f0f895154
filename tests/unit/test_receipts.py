"""What backends leave on a message that they took."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.mail import EmailMessage

from post_office.delivery.receipts import provider_id

TOLD: list[tuple[str, Any, str | None]] = [
    ("one id", "010001-abc", "010001-abc"),
    ("one id for all recipients", {"010001-abc"}, "010001-abc"),
    ("the longest id that can be kept", "x" * 255, "x" * 255),
    ("an id for each recipient", {"one", "two"}, None),
    ("no ids at all", set(), None),
    ("an id that is too long", "x" * 256, None),
    ("an id in a set that is too long", {"x" * 256}, None),
    ("nothing", None, None),
    ("an empty id", "", None),
    ("a number", 17, None),
    ("bytes", b"010001-abc", None),
]
CASES = [pytest.param(told, kept, id=what) for what, told, kept in TOLD]


@pytest.mark.parametrize(("told", "kept"), CASES)
def test_anymail_leaves_a_status(told: Any, kept: str | None) -> None:
    message = EmailMessage()
    message.anymail_status = SimpleNamespace(message_id=told)  # type: ignore[attr-defined]
    assert provider_id(message) == kept


@pytest.mark.parametrize(("told", "kept"), [case for case in CASES if not isinstance(case.values[0], set)])
def test_django_ses_leaves_a_header(told: Any, kept: str | None) -> None:
    message = EmailMessage()
    message.extra_headers["message_id"] = told
    assert provider_id(message) == kept


def test_an_anymail_status_without_an_id_hides_no_other() -> None:
    message = EmailMessage(headers={"message_id": "010001-abc"})
    message.anymail_status = SimpleNamespace(message_id=None)  # type: ignore[attr-defined]
    assert provider_id(message) == "010001-abc"


def test_most_backends_leave_nothing() -> None:
    assert provider_id(EmailMessage(headers={"Message-ID": "<ours@example.com>"})) is None


def test_a_backend_may_have_spoilt_the_headers() -> None:
    message = EmailMessage()
    message.extra_headers = None  # type: ignore[assignment]
    assert provider_id(message) is None
