"""What providers report of mail that they took: one shape for all of them, and each report stored once.

A report finds its email by the Message-ID of its header, or by the id under which the provider knows
it. It becomes a row of the log, and makes the email's `recipient_delivery_status` graver or leaves it.
Providers send a report again when in doubt, several at a time, and in any order. So the database
decides what is new (a unique column) and what is graver (a case in the UPDATE), and no order
of arrival leads to another end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import IntegrityError, router, transaction
from django.db.models import Case, F, PositiveSmallIntegerField, Q, Value, When

from . import signals
from .enums import RecipientDeliveryStatus as Status
from .exact import exact_key
from .headers import storable
from .models import Email, Log

logger = logging.getLogger("post_office")

# From mild to grave: one total order, in which only what is graver replaces what is known. The numbers
# of the statuses are in databases and have another: there a deferral is above a delivery, but mail that
# was deferred and then arrived has arrived; and a complaint is graver than an unsubscription, as it is
# the one that providers punish.
STATUS_PRIORITY: dict[Status, int] = {
    status: rank
    for rank, status in enumerate(
        (
            Status.ACCEPTED,
            Status.DEFERRED,
            Status.DELIVERED,
            Status.OPENED,
            Status.CLICKED,
            Status.SOFT_BOUNCED,
            Status.UNDETERMINED_BOUNCED,
            Status.HARD_BOUNCED,
            Status.UNSUBSCRIBED,
            Status.SPAM_COMPLAINT,
        ),
        start=1,
    )
}

CHUNK = 500  # ids in one query


@dataclass
class ESPEvent:
    """One report about one recipient of one mail.

    Args:
        raw_event: The provider's own name for what happened, such as "Bounce:Permanent".
        delivery_status: A `RecipientDeliveryStatus`.
        recipient: The address; empty where the provider does not tell which of several it was.
        message_id: What the provider knows the mail by.
        timestamp: When it happened, by the provider's clock.
        subject: Of the mail, where the report repeats it.
        to_addresses: Of the mail, where the report repeats them.
        header_message_id: The Message-ID of the mail's header, where the report repeats it.
        transmission_id: What the provider calls the request that handed over the mail.
        event_id: What the provider calls this report: the same when it comes again. A report about
            several recipients may be as many events with one id.
        diagnostic: What there is to say about it, as in an answer of the recipient's server.
    """

    raw_event: str
    delivery_status: Status
    recipient: str
    message_id: str | None = None
    timestamp: datetime | None = None
    subject: str | None = None
    to_addresses: list[str] | None = None
    header_message_id: str | None = None
    transmission_id: str | None = None
    event_id: str | None = None
    diagnostic: str = ""


def record(events: Sequence[ESPEvent]) -> int:
    """Store what is new in these reports, each in a transaction of its own.

    A report of mail that is not here is logged and left out: its mail was cleaned up, or sent by
    somebody else through the same account. `signals.event_recorded` is sent for each that is new.

    Returns how many were new. Raises what the database raises; the same reports may be recorded
    again then.
    """
    known = _with_their_emails(events)
    # Within one transaction of the caller's, rows stay locked until its end: in the same order
    # everywhere, two of them never wait for each other.
    return sum([_record(pk, event) for pk, event in sorted(known, key=lambda pair: pair[0])])


# --- whose report -----------------------------------------------------------------------------


def _with_their_emails(events: Sequence[ESPEvent]) -> list[tuple[int, ESPEvent]]:
    """Pair each report with the key of its email; leave out what belongs to none."""
    emails = _keys_by_id({known_id for event in events for known_id in _ids(event)})
    found = []
    for event in events:
        pk = next((emails[known_id] for known_id in _ids(event) if known_id in emails), None)
        if pk is not None:
            found.append((pk, event))
        else:
            logger.info(
                "%r was reported of a mail that is not here: %s",
                event.raw_event,
                ", ".join(map(repr, _ids(event))) or "without any id",
            )
    return found


def _ids(event: ESPEvent) -> Iterator[str]:
    """Yield all that the mail of a report may be known by, the surest first."""
    for told in (event.header_message_id, event.message_id, event.transmission_id):
        if told:
            yield storable(told)
            # Some providers leave the brackets of a Message-ID out.
            if "@" in told and not told.startswith("<"):
                yield storable(f"<{told}>")


def _keys_by_id(ids: set[str]) -> dict[str, int]:
    """Return {Message-ID or provider's id: key of the email}; of several emails, the newest."""
    listed = sorted(ids)
    found: dict[str, int] = {}
    for start in range(0, len(listed), CHUNK):
        some = listed[start : start + CHUNK]
        # Two queries, as each has an index and a database uses one of them at a time.
        for column in ("provider_id", "message_id"):
            emails = Email.objects.primary().filter(**{f"{column}__in": some}).order_by("pk")
            found.update(emails.values_list(column, "pk"))
    return found


# --- storing ----------------------------------------------------------------------------------


def _record(pk: int, event: ESPEvent) -> bool:
    """Store a report. Returns False where it is stored already, or the email was deleted meanwhile."""
    using = router.db_for_write(Email)
    event_id = _event_id(event)
    try:
        with transaction.atomic(using=using):
            # The email before its log: InnoDB locks the email for the log's foreign key, and two that
            # both hold this shared lock would wait for each other to write the email.
            if not _make_graver(pk, event.delivery_status):
                return False
            Log.objects.using(using).create(
                email_id=pk,
                status=event.delivery_status,
                recipient=storable(event.recipient)[:255],
                message=storable(event.diagnostic),
                event_id=event_id,
            )
    except IntegrityError:
        if Log.objects.using(using).filter(event_id=event_id).exists():
            return False
        raise
    if signals.event_recorded.receivers:
        transaction.on_commit(lambda: _announce(pk, event), using=using)
    return True


def _make_graver(pk: int, status: Status) -> bool:
    """Write the status, unless what is known is as grave. Returns False where the email is gone.

    One UPDATE, so that no other comes between. It locks the row also where nothing changes: two who
    have the same report then wait for each other here, and not at the unique column of the log, where
    InnoDB may find that they wait for each other.

    `last_updated` stays: it is the queue's, which tells by it what it has changed itself.
    """
    milder = [other for other, rank in STATUS_PRIORITY.items() if rank < STATUS_PRIORITY[status]]
    unknown_or_milder = Q(recipient_delivery_status__isnull=True) | Q(recipient_delivery_status__in=milder)
    known = F("recipient_delivery_status")
    graver = Case(
        When(unknown_or_milder, then=Value(status)), default=known, output_field=PositiveSmallIntegerField()
    )
    return bool(Email.objects.primary().filter(pk=pk).update(recipient_delivery_status=graver))


def _announce(pk: int, event: ESPEvent) -> None:
    for email in Email.objects.primary().filter(pk=pk):
        signals.event_recorded.send_robust(sender=Email, email=email, event=event)


def _event_id(event: ESPEvent) -> str:
    """Return what is the same whenever this report comes, and different for every other."""
    if event.event_id:
        return exact_key(f"{event.event_id}:{event.recipient}")
    return exact_key(json.dumps(asdict(event), default=str, sort_keys=True))
