"""Messages as bytes: those that Django would have made, without its work where the form is known."""

from __future__ import annotations

import logging
import os
import random
import re
import sys
from collections.abc import Callable
from email.charset import CHARSETS, QP
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings

from post_office import compat
from post_office.rendering.message import BuiltMessage
from post_office.rendering.serialise import Serialiser, serialise
from post_office.rendering.serialise.addresses import known_address
from post_office.rendering.serialise.dialect import Dialect, a_boundary
from post_office.rendering.serialise.drift import what_differs
from post_office.rendering.serialise.layout import written
from tests.conformance.common import Shape, common_shapes, everyday, odd_shapes, unusual

# Some thousands find what is rare; they are others in each run.
EXAMPLES = os.environ.get("MESSAGE_EXAMPLES")
ID = {"Message-ID": "<1@example.com>"}

many = settings(
    derandomize=not EXAMPLES,
    max_examples=int(EXAMPLES or 80),
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow],
)


def without_chance(source: bytes) -> bytes:
    """Return bytes without what is made anew in each serialisation."""
    for number, boundary in enumerate(dict.fromkeys(re.findall(rb"={15}\d{19}==", source))):
        source = source.replace(boundary, b"boundary %d" % number)
    # Of a message within the message.
    source = re.sub(rb"(?mi)^(Message-ID: +)<[\d.]+@[^>]+>", rb"\1<made up>", source)
    return re.sub(rb"(?m)^Date: (.*)\r\n", _day, source)


def _day(match: re.Match[bytes]) -> bytes:
    """Return a date in its form, but for one of now."""
    date = parsedate_to_datetime(match[1].decode())
    is_now = abs(timezone.now().timestamp() - date.timestamp()) < 600
    return b"Date: now %b\r\n" % match[1][-5:] if is_now else match[0]


def outcome(make: Callable[[], bytes]) -> Any:
    """Return the bytes, or the kind of exception and what it says."""
    try:
        return without_chance(make())
    except Exception as fault:
        return type(fault), str(fault)


def sample(**changes: Any) -> BuiltMessage:
    arguments: dict[str, Any] = {
        "subject": "News",
        "body": "One line.\n",
        "from_email": "shop@example.com",
        "to": ["ann@example.com"],
    }
    return BuiltMessage(**{**arguments, **changes, "headers": {**ID, **changes.get("headers", {})}})


def own_dialect() -> Dialect:
    dialect = serialise.dialect()
    assert dialect is not None
    return dialect


def djangos_own() -> SMTPBackend:
    backend = compat.construct_backend(SMTPBackend, "default", {"host": "localhost"})
    assert isinstance(backend, SMTPBackend)
    return backend


def differences(ours: bytes, theirs: bytes) -> list[tuple[bytes, bytes]]:
    """Return the lines in which they differ."""
    pairs = zip(ours.split(b"\r\n"), theirs.split(b"\r\n"), strict=False)
    found = [pair for pair in pairs if pair[0] != pair[1]]
    return found if found or ours == theirs else [(ours, theirs)]


# --- byte for byte --------------------------------------------------------------------------------


def test_messages_of_the_common_shape_are_written_without_django() -> None:
    by_ourselves: list[bool] = []

    @many
    @given(common_shapes)
    def check(shape: Shape) -> None:
        theirs = compat.built_bytes(shape())
        try:
            ours = written(shape(), own_dialect())
        except Exception:
            by_ourselves.append(False)
        else:
            by_ourselves.append(True)
            assert differences(without_chance(ours), without_chance(theirs)) == []

    check()
    assert sum(by_ourselves) > 0.9 * len(by_ourselves)


@many
@given(odd_shapes)
def test_whatever_a_message_holds_it_is_what_django_makes_of_it(shape: Shape) -> None:
    assert outcome(lambda: serialise(shape())) == outcome(lambda: compat.built_bytes(shape()))


@many
@given(everyday | unusual)
def test_an_address_is_given_to_smtplib_as_django_would(mailbox: str) -> None:
    def told(address: Callable[..., str]) -> Any:
        return outcome(lambda: address(mailbox, "utf-8", djangos_own()).encode("utf-8", "surrogatepass"))

    assert told(known_address) == told(compat.smtp_address)
    assert told(known_address) == told(compat.smtp_address)  # from memory


URL = "https://example.com/unsubscribe?token=" + "0123456789abcdef" * 9
HTML = [("<p>One</p>\n<p>Two</p>", "text/html")]
EVERYDAY: dict[str, dict[str, Any]] = {
    "text": {},
    "text and HTML": {"alternatives": HTML},
    "no text": {"body": ""},
    "a subject with letters beyond ASCII": {"subject": "Grüße aus Köln und Umgebung"},
    "a subject in Cyrillic": {"subject": "Ваш заказ отправлен"},
    "a subject of many words": {"subject": "Words that make a long line " * 6 + "at last"},
    "a subject that needs a line": {"subject": "w" * 30 + " " + "w" * 44},
    "an empty subject": {"subject": ""},
    "names": {"from_email": "The Shop <shop@example.com>", "to": ['"Doe, J." <j@example.com>']},
    "names beyond ASCII": {"from_email": '"Jürgen Groß" <j@example.com>', "to": ["Zoé <z@example.com>"]},
    "many recipients": {"to": [f"Recipient {number} <{number}@example.com>" for number in range(20)]},
    "Cc and Reply-To": {"cc": ["bob@example.com"], "reply_to": ["Help <help@example.com>"]},
    "Reply-To among the headers": {"headers": {"Reply-To": "help@example.com"}},
    "From among the headers": {"headers": {"From": "Somebody Else <else@example.com>"}},
    "a domain beyond ASCII": {"from_email": "Ann <ann@bücher.example>"},
    "List-Unsubscribe": {"headers": {"List-Unsubscribe": f"<{URL}>, <mailto:stop@example.com>"}},
    "headers of its own": {"headers": {"X-Priority": "1 (Highest)", "X-Campaign": "März 2026", "x-odd": "é"}},
    "a date of its own": {"headers": {"Date": "Thu, 01 Jan 2026 00:00:00 -0000"}},
    "lines with dots and all ends": {"body": ".\r\n..\n.a\rb\n\nFrom me\n"},
    "8 bits": {"body": "Grüße\n", "alternatives": [("<p>Grüße</p>", "text/html")]},
    "long lines": {"body": "word = " * 40, "alternatives": [("<p class='a'>ü</p>" * 90, "text/html")]},
    "long lines in Cyrillic": {"body": "Ваш заказ отправлен. " * 40},
    "lines that end in blanks": {"body": ("a" * 90 + " \n") * 12 + "b\t"},
    "attached files": {
        "attachments": [
            ("offer.pdf", bytes(range(256)) * 40, "application/pdf"),
            ("Größe 1.csv", "a,b\r\n1,ü", "text/csv"),
            ("empty", b"", "application/octet-stream"),
        ]
    },
}


@pytest.mark.parametrize("arguments", EVERYDAY.values(), ids=EVERYDAY.keys())
def test_everyday_mail_is_written_without_django_as_is_one_with(arguments: dict[str, Any]) -> None:
    ours, theirs = written(sample(**arguments), own_dialect()), compat.built_bytes(sample(**arguments))
    assert differences(without_chance(ours), without_chance(theirs)) == []


def test_a_boundary_occurs_in_no_part() -> None:
    random.seed(20)
    first = a_boundary(random.randrange(sys.maxsize))
    random.seed(20)
    source = serialise(sample(body=f"--{first}--", alternatives=HTML))
    assert source.count(first.encode()) == 1
    assert b"boundary=" in source


# --- when Django is asked -------------------------------------------------------------------------


def test_a_message_id_is_made_up_where_there_is_none() -> None:
    message = sample()
    del message.extra_headers["Message-ID"]
    first, second = (re.findall(rb"(?m)^Message-ID: (<.+@.+>)\r$", serialise(message)) for _ in range(2))
    assert len(first) == len(second) == 1
    assert first != second


class Signed(BuiltMessage):
    def message(self, **kwargs: Any) -> Any:
        made = super().message(**kwargs)
        made["X-Signature"] = "signed"
        return made


def test_a_class_that_builds_messages_in_its_own_way_is_heard() -> None:
    assert b"X-Signature: signed\r\n" in serialise(Signed(subject="s", body="b", to=["ann@example.com"]))


def test_a_method_on_one_message_is_heard() -> None:
    message, other = sample(), sample(subject="Another")
    vars(message)["message"] = other.message
    assert without_chance(serialise(message)) == without_chance(serialise(other))


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16", "utf-8"])
def test_a_message_has_the_encoding_it_asks_for(encoding: str) -> None:
    def made() -> EmailMessage:
        message = sample(body="Grüße", subject="Grüße")
        message.encoding = encoding
        return message

    assert outcome(lambda: serialise(made())) == outcome(lambda: compat.built_bytes(made()))


# --- when Django or Python have changed -----------------------------------------------------------


def test_this_django_and_this_python_are_as_we_know_them() -> None:
    assert what_differs(own_dialect()) is None


def test_a_patched_class_of_djangos_is_noticed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own_way = Serialiser()
    assert b"X-Patched" not in own_way(sample())
    original = EmailMessage.message

    def patched(self: Any, **kwargs: Any) -> Any:
        made = original(self, **kwargs)
        made["X-Patched"] = "yes"
        return made

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "post_office"):
        patch.setattr(EmailMessage, "message", patched)
        for _ in range(3):
            assert b"X-Patched: yes\r\n" in own_way(sample())
    assert [record.message for record in caplog.records] == [
        "Messages are built by Django alone, which is slower: a message with a text differs."
    ]
    assert own_way.dialect() is not None


def test_a_changed_charset_of_pythons_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    own_way = Serialiser()
    own_way(sample())
    # as by email.charset.add_charset("utf-8", QP, QP, "utf-8"), which many programs call
    monkeypatch.setitem(CHARSETS, "utf-8", (QP, QP, "utf-8"))
    message = sample(subject="Ваш заказ", to=["Анна <anna@example.com>"])
    assert without_chance(own_way(message)) == without_chance(compat.built_bytes(message))


@pytest.mark.parametrize(
    ("name", "value"), [("DEFAULT_CHARSET", "iso-8859-1"), ("EMAIL_USE_LOCALTIME", True)]
)
def test_a_setting_of_djangos_is_heard(name: str, value: Any, settings: Any) -> None:
    serialise(sample())
    settings.TIME_ZONE = "Asia/Kolkata"
    setattr(settings, name, value)
    message = sample(body="Grüße", subject="Grüße")
    assert without_chance(serialise(message)) == without_chance(compat.built_bytes(message))
    assert serialise.dialect() is None


@pytest.mark.skipif(not compat.HAS_MODERN_EMAIL, reason="Django 5.2 has no method for that")
def test_a_backend_that_prepares_addresses_in_its_own_way_is_heard() -> None:
    backend = djangos_own()
    vars(backend)["prep_address"] = lambda address: f"relay+{address}"
    sender, recipients, _ = serialise.with_envelope(sample(), backend)
    assert (sender, recipients) == ("relay+shop@example.com", ["relay+ann@example.com"])


def test_a_recipient_that_django_refuses_is_refused_each_time() -> None:
    message = sample(to=["ann@example.com", "a@b.example, c@d.example"])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"c@d\.example"):
            serialise.with_envelope(message, djangos_own())
