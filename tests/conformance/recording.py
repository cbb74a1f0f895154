"""What arrives for a message: bytes and envelope on the wire, and what a provider's backend can read.

`directly` hands a message to Django's own SMTP backend, `through_the_queue` lets it wait in the queue
before. The backend is the same, with a list in the place of a server, so that two `Seen` are equal when
nothing was lost.

Left out of a comparison is what is new each time a message is serialised: boundaries, and the Date and
Message-ID that Django makes up. One difference is meant, and a direct message is serialised accordingly:
queued mail keeps the long tokens of headers whole, which Django 6 turns into encoded words. What builds
itself is left as it is: a message of a class that overrides `message()`, and one that is attached to another.
"""

from __future__ import annotations

import copy
import email
import email.policy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from email.charset import Charset
from email.message import Message
from typing import Any

from django.core.mail import DNS_NAME, EmailMessage
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.db import transaction

import post_office
from post_office.compat import HAS_MODERN_EMAIL
from post_office.models import Attachment, Email
from post_office.rendering.folding import keep_tokens_whole
from tests.conformance.round_trip import announced, deliver

BACKENDS = {"recorder": {"BACKEND": f"{__name__}.Recorder", "OPTIONS": {"host": "localhost"}}}

# What Django documents, and what Anymail reads from a message.
ATTRIBUTES = (
    *("subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers", "attachments"),
    *("alternatives", "content_subtype", "encoding"),
    *("tags", "metadata", "esp_extra", "template_id", "merge_data", "merge_global_data", "merge_metadata"),
    *("merge_headers", "send_at", "track_opens", "track_clicks", "envelope_sender"),
)

_BOUNDARY = re.compile(rb"={15}\d+==")
_MADE_UP_ID = re.compile(rb"(?mi)^Message-ID:\s+<[\d.]+@%s>\r?\n" % re.escape(str(DNS_NAME).encode()))
# Dates that tests give lie before.
_TODAY = re.compile(rb"(?m)^Date: \w{3}, \d\d \w{3} 20(?:2[6-9]|[3-9]\d) .*\r?\n")
# Without a subject, a message that is attached has one space more or less.
_NO_SUBJECT = re.compile(rb"(?m)^Subject: *(\r?)$")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One message as a server and as a provider's backend see it."""

    sender: str
    recipients: list[str]
    content: bytes
    dates_and_ids: tuple[int, int]
    attributes: dict[str, Any]


def directly(message: EmailMessage) -> Seen:
    """Send a message without a queue. Raises what Django raises."""
    Recorder.seen.clear()
    Recorder(alias="recorder", host="localhost").send_messages([as_if_queued(message)])
    return Recorder.last()


def through_the_queue(message: EmailMessage) -> Seen:
    """Queue a message, deliver its row, and leave nothing behind.

    Raises what is raised when it is queued; and `NotDelivered`.
    """
    Recorder.seen.clear()
    with transaction.atomic():
        try:
            with announced() as queued:
                accepted = post_office.EmailBackend(using="recorder").send_messages([message])
        except Exception:
            assert (Email.objects.count(), Attachment.objects.count()) == (0, 0), "half queued"
            raise
        assert (accepted, len(queued)) == (1, 1)
        deliver(queued[0])
        transaction.set_rollback(True)
    return Recorder.last()


class Recorder(SMTPBackend):
    """Django's SMTP backend without a server. Keeps what it would have sent."""

    seen: list[Seen] = []

    @classmethod
    def last(cls) -> Seen:
        (seen,) = cls.seen
        cls.seen.clear()
        return seen

    def open(self) -> bool:
        self.connection = self
        return False

    def close(self) -> None:
        self.connection = None

    def _send(self, message: EmailMessage) -> bool:
        self.attributes = attributes_of(message)
        return super()._send(message)

    def sendmail(self, sender: str, recipients: list[str], content: bytes) -> None:
        top = email.message_from_bytes(content)
        self.seen.append(
            Seen(
                sender=sender,
                recipients=recipients,
                content=normalised(content),
                dates_and_ids=(len(top.get_all("Date", [])), len(top.get_all("Message-ID", []))),
                attributes=self.attributes,
            )
        )


def normalised(content: bytes) -> bytes:
    """Return a serialised message without what is new each time."""
    for made_up in (_MADE_UP_ID, _TODAY):
        content = made_up.sub(b"", content)
    content = _NO_SUBJECT.sub(rb"Subject:\1", content)
    return _BOUNDARY.sub(b"=boundary=", content)


def attributes_of(message: EmailMessage) -> dict[str, Any]:
    """Return what a backend can read, in a form that can be compared."""
    found = {name: comparable(getattr(message, name)) for name in ATTRIBUTES if hasattr(message, name)}
    found.setdefault("alternatives", [])  # an EmailMessage has none, and may arrive as one that can have some
    found["attachments"] = [_attachment(item) for item in message.attachments]
    found["extra_headers"] = [
        (name, comparable(value))
        for name, value in message.extra_headers.items()
        if not (name == "Message-ID" and normalised(f"Message-ID: {value}\n".encode()) == b"")
    ]
    return found | {"recipients": comparable(message.recipients())}


def _attachment(item: Any) -> Any:
    if isinstance(item, Message):
        return normalised(item.as_bytes())
    name, content, mimetype = item
    if str(mimetype).startswith("message/"):
        content = None  # may be an object of three kinds; the bytes on the wire tell whether it is the same
    return [comparable(name), comparable(content), comparable(mimetype)]


def comparable(value: Any) -> Any:
    """Return a value so that equal ones have the same meaning for any backend.

    Lazy strings and addresses are used as strings, and any bytes-like content as bytes. But 1 is not True.
    """
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    if isinstance(value, Mapping):
        return [(comparable(key), comparable(item)) for key, item in value.items()]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Charset):
        return ("Charset", str(value), value.body_encoding, value.header_encoding)
    if value is None or isinstance(value, (bool, int, float, date)):
        return (type(value).__name__, str(value))
    return str(value)


# --- how queued mail is meant to differ ----------------------------------------------------------

# Where Django 6 begins to break a word of a header: before the end of a line of 78 characters.
LONG = 60


def as_if_queued(message: EmailMessage) -> Any:
    """Return a message, or one in its place that is serialised in the way that is meant for queued mail."""
    builds_itself = type(message).message is not EmailMessage.message
    if HAS_MODERN_EMAIL and not builds_itself and _has_long_tokens(message):
        message = copy.copy(message)
        message.attachments = [_serialised(item) for item in message.attachments]
        return WithWholeTokens(message)
    return message


def _serialised(attachment: Any) -> Any:
    """Return an attachment in which a message was serialised before, as Django does it."""
    if isinstance(attachment, Message) or not isinstance(attachment[1], (EmailMessage, Message)):
        return attachment
    name, content, mimetype = attachment
    built = content.message(policy=email.policy.SMTP) if isinstance(content, EmailMessage) else content
    return name, email.message_from_bytes(built.as_bytes(), policy=email.policy.SMTP), mimetype


def _has_long_tokens(message: EmailMessage) -> bool:
    values = [message.subject, *message.extra_headers.values()]
    for part in message.attachments:
        values += part.values() if isinstance(part, Message) else []
    return any(len(token) > LONG for value in values for token in str(value).split())


class WithWholeTokens:
    """A message whose headers are folded as those of queued mail, see `post_office.rendering.folding`."""

    def __init__(self, message: EmailMessage) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def message(self, **kwargs: Any) -> Any:
        built = self._message.message(**kwargs)
        keep_tokens_whole(built)
        return built
