"""SparkPost: batches of events, from somebody who knows a user name and a password (HTTP Basic)."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from ..enums import RecipientDeliveryStatus as Status
from ..events import ESPEvent
from .base import BaseWebhookHandler, configuration
from .payload import Fields, moment, moment_of_epoch, read_json

logger = logging.getLogger("post_office")

# Where an event stands in its wrapper, by its class.
CLASSES = ("message_event", "track_event", "unsubscribe_event", "relay_event")
STATUSES = {
    "injection": Status.ACCEPTED,
    "delivery": Status.DELIVERED,
    "delay": Status.DEFERRED,
    "open": Status.OPENED,
    "initial_open": Status.OPENED,
    "click": Status.CLICKED,
    "spam_complaint": Status.SPAM_COMPLAINT,
    "list_unsubscribe": Status.UNSUBSCRIBED,
    "link_unsubscribe": Status.UNSUBSCRIBED,
}
BOUNCES = ("bounce", "out_of_band", "policy_rejection")
# Classes of bounces. What is in neither set passes: a full mailbox, a greylist, an answer by a machine.
UNDETERMINED = {"1"}
HARD = {"10", "25", "30", *map(str, range(80, 91))}


class SparkPostWebhookHandler(BaseWebhookHandler):
    """Receive the batches that SparkPost sends."""

    def verify_signature(self, request: HttpRequest) -> bool:
        """Return whether the request has the user name and password of the settings."""
        config = configuration("SPARKPOST")
        if not config.get("VERIFY_SIGNATURE", True):
            return True
        username, password = config.get("USERNAME"), config.get("PASSWORD")
        if not username or not password:
            logger.error(
                "Reports of SparkPost are refused. Set USERNAME and PASSWORD in POST_OFFICE['WEBHOOKS']"
                "['SPARKPOST'] to those of the webhook."
            )
            return False
        given = _credentials(request.headers.get("Authorization", ""))
        return given is not None and constant_time_compare(given, f"{username}:{password}".encode())

    def parse_events(self, request: HttpRequest) -> list[ESPEvent]:
        """Return the events of a batch that tell of a mail."""
        return [event for fields in _batch(read_json(request.body)) if (event := _event(fields))]


def _credentials(header: str) -> bytes | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def _batch(payload: Any) -> Iterator[Fields]:
    """Yield the events in a batch, or in an answer of SparkPost's events API."""
    for item in payload if isinstance(payload, list) else [payload]:
        wrapper = Fields(item)
        yield from wrapper.parts("results")
        # Empty in the ping by which SparkPost tries a new webhook.
        inner = wrapper.part("msys")
        yield from (inner.part(name) for name in CLASSES if name in inner)


def _event(fields: Fields) -> ESPEvent | None:
    kind, recipient = fields.text("type"), fields.text("rcpt_to")
    status = _bounce(fields) if kind in BOUNCES else STATUSES.get(kind)
    if status is None or not recipient:
        logger.debug("SparkPost reports %r of %r, which is of no interest here.", kind, recipient)
        return None
    event_id = fields.text("event_id")
    when = fields.text("timestamp")
    return ESPEvent(
        raw_event=kind,
        delivery_status=status,
        recipient=recipient,
        message_id=fields.text("message_id") or None,
        timestamp=moment_of_epoch(when) or moment(when),
        subject=fields.text("subject") or None,
        to_addresses=[recipient],
        header_message_id=_header_message_id(fields),
        transmission_id=fields.text("transmission_id") or None,
        event_id=f"sparkpost:{event_id}" if event_id else None,
        diagnostic=_diagnostic(fields),
    )


def _bounce(fields: Fields) -> Status:
    bounce_class = fields.text("bounce_class")
    if bounce_class in UNDETERMINED:
        return Status.UNDETERMINED_BOUNCED
    return Status.HARD_BOUNCED if bounce_class in HARD or not bounce_class else Status.SOFT_BOUNCED


def _diagnostic(fields: Fields) -> str:
    keys = ("raw_reason", "reason", "fbtype", "target_link_url", "user_agent")
    return next(filter(None, map(fields.text, keys)), "")


def _header_message_id(fields: Fields) -> str | None:
    """Return our Message-ID, which SparkPost does not repeat unless the mail's metadata has it."""
    metadata: Mapping[str, Any] = fields.part("rcpt_meta").value
    for name, value in metadata.items():
        if str(name).lower().replace("_", "-") == "message-id" and isinstance(value, str):
            return value
    return None
