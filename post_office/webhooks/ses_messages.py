"""What Amazon SES says of a mail, in both its dialects, as events.

A notification of an identity has a "notificationType", an event of a configuration set an
"eventType"; else they are alike (docs.aws.amazon.com/ses: notification contents, event publishing).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..enums import RecipientDeliveryStatus as Status
from ..events import ESPEvent
from .payload import Fields, moment

logger = logging.getLogger("post_office")

BOUNCES = {"Transient": Status.SOFT_BOUNCED, "Undetermined": Status.UNDETERMINED_BOUNCED}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a message says of one recipient."""

    status: Status
    recipient: str
    diagnostic: str = ""


def kind_of(message: Fields) -> str:
    """Return what is reported, such as "Bounce", in either dialect; empty for what is no report."""
    return message.text("eventType") or message.text("notificationType")


def events(message: Fields) -> Iterator[ESPEvent]:
    """Yield what a message reports, one event for each recipient. Raises `Malformed`."""
    kind, mail = kind_of(message), message.part("mail")
    if kind not in PARTS:
        logger.debug("SES reports %r, which is of no interest here.", kind)
        return
    name, read = PARTS[kind]
    part = message.part(name)
    original = mail.part("commonHeaders")
    when = part.text("timestamp") or mail.text("timestamp")
    for told in read(part, mail):
        yield ESPEvent(
            raw_event=_raw_event(kind, part),
            delivery_status=told.status,
            recipient=told.recipient,
            message_id=mail.text("messageId") or None,
            timestamp=moment(when),
            subject=original.text("subject") or None,
            to_addresses=mail.texts("destination"),
            header_message_id=original.text("messageId") or _header(mail, "message-id"),
            event_id=_event_id(kind, part, mail, when),
            diagnostic=told.diagnostic,
        )


def _raw_event(kind: str, part: Fields) -> str:
    return f"Bounce:{part.text('bounceType')}" if kind == "Bounce" else kind


def _header(mail: Fields, name: str) -> str | None:
    """Return a header of the mail as it was handed to SES; its own Message-ID is `messageId`."""
    for header in mail.parts("headers"):
        if header.text("name").lower() == name:
            return header.text("value") or None
    return None


def _event_id(kind: str, part: Fields, mail: Fields, when: str) -> str:
    """Return the id of a report. Only bounces and complaints have one; of the others, it is what
    both dialects say alike, so that a report that comes in both is one."""
    told = part.text("feedbackId") or ":".join(
        [mail.text("messageId"), kind, when, *filter(None, [part.text("link")])]
    )
    return f"ses:{told}"


def _bounce(bounce: Fields, mail: Fields) -> Iterator[Told]:
    status = BOUNCES.get(bounce.text("bounceType"), Status.HARD_BOUNCED)
    for recipient in bounce.parts("bouncedRecipients"):
        diagnostic = recipient.text("diagnosticCode") or recipient.text("status")
        yield Told(
            status=status,
            recipient=recipient.text("emailAddress"),
            diagnostic=diagnostic or bounce.text("bounceSubType"),
        )


def _complaint(complaint: Fields, mail: Fields) -> Iterator[Told]:
    feedback = complaint.text("complaintFeedbackType")
    # Somebody took the mail out of a folder for spam: the contrary of a complaint (RFC 6430).
    if feedback == "not-spam":
        return
    for recipient in complaint.parts("complainedRecipients"):
        yield Told(
            status=Status.SPAM_COMPLAINT,
            recipient=recipient.text("emailAddress"),
            diagnostic=feedback or complaint.text("complaintSubType"),
        )


def _delivery(delivery: Fields, mail: Fields) -> Iterator[Told]:
    for recipient in delivery.texts("recipients"):
        yield Told(status=Status.DELIVERED, recipient=recipient, diagnostic=delivery.text("smtpResponse"))


def _delay(delay: Fields, mail: Fields) -> Iterator[Told]:
    for recipient in delay.parts("delayedRecipients"):
        yield Told(
            status=Status.DEFERRED,
            recipient=recipient.text("emailAddress"),
            diagnostic=recipient.text("diagnosticCode") or delay.text("delayType"),
        )


def _of_the_whole(status: Status, *keys: str) -> Callable[[Fields, Fields], Iterator[Told]]:
    """Return a reader of what SES says of a mail and all who get it; the first of the keys has the words."""

    def read(part: Fields, mail: Fields) -> Iterator[Told]:
        words = next(filter(None, map(part.text, keys)), "")
        for recipient in mail.texts("destination"):
            yield Told(status=status, recipient=recipient, diagnostic=words)

    return read


def _of_somebody(status: Status, key: str) -> Callable[[Fields, Fields], Iterator[Told]]:
    """Return a reader of what one of those did who got the mail. With several, SES cannot tell who."""

    def read(part: Fields, mail: Fields) -> Iterator[Told]:
        recipients = mail.texts("destination")
        somebody = recipients[0] if len(recipients) == 1 else ""
        yield Told(status=status, recipient=somebody, diagnostic=part.text(key))

    return read


def _subscription(subscription: Fields, mail: Fields) -> Iterator[Told]:
    """Tell who left a list. To join one is no news of a mail."""
    new, old = subscription.part("newTopicPreferences"), subscription.part("oldTopicPreferences")
    left = _left(new) - _left(old)
    if new.value.get("unsubscribeAll") is True or left:
        unsubscribed = _of_somebody(Status.UNSUBSCRIBED, "source")
        yield from unsubscribed(subscription, mail)


def _left(preferences: Fields) -> set[str]:
    topics = preferences.parts("topicSubscriptionStatus")
    return {topic.text("topicName") for topic in topics if topic.text("subscriptionStatus") == "OptOut"}


# What SES reports: where the message has its details, and who reads them. A rejected mail (a virus) and one
# that could not be rendered never left, which is no fault of the address: so it is no hard bounce.
PARTS: dict[str, tuple[str, Callable[[Fields, Fields], Iterator[Told]]]] = {
    "Send": ("send", _of_the_whole(Status.ACCEPTED)),
    "Delivery": ("delivery", _delivery),
    "DeliveryDelay": ("deliveryDelay", _delay),
    "Open": ("open", _of_somebody(Status.OPENED, "userAgent")),
    "Click": ("click", _of_somebody(Status.CLICKED, "link")),
    "Bounce": ("bounce", _bounce),
    "Reject": ("reject", _of_the_whole(Status.UNDETERMINED_BOUNCED, "reason")),
    "Rendering Failure": ("failure", _of_the_whole(Status.UNDETERMINED_BOUNCED, "errorMessage")),
    "Complaint": ("complaint", _complaint),
    "Subscription": ("subscription", _subscription),
}
