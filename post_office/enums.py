"""The closed sets that are stored. Their values are in databases: never change one."""

from typing import NamedTuple

from django.db.models import IntegerChoices
from django.utils.translation import gettext_lazy as _


class Priority(NamedTuple):
    low: int = 0
    medium: int = 1
    high: int = 2
    now: int = 3


class Status(NamedTuple):
    sent: int = 0
    failed: int = 1
    queued: int = 2
    requeued: int = 3
    expired: int = 4
    canceled: int = 5


class Answer(NamedTuple):
    """What a server said of one recipient; `deferred` is asked again."""

    accepted: str = "accepted"
    refused: str = "refused"
    deferred: str = "deferred"


# What becomes of mail that may have been sent: sent again, or failed. Kept in `Email.on_unknown`.
RESEND, HOLD = "resend", "hold"
UNKNOWN_POLICIES = (RESEND, HOLD)

PRIORITY = Priority()
STATUS = Status()
ANSWER = Answer()

PRIORITY_CHOICES = [
    (PRIORITY.low, _("low")),
    (PRIORITY.medium, _("medium")),
    (PRIORITY.high, _("high")),
    (PRIORITY.now, _("now")),
]
STATUS_CHOICES = [
    (STATUS.sent, _("sent")),
    (STATUS.failed, _("failed")),
    (STATUS.queued, _("queued")),
    (STATUS.requeued, _("requeued")),
    (STATUS.expired, _("expired")),
    (STATUS.canceled, _("canceled")),
]

# Mail in one of these is still to be sent; in one of those, its story is over.
OPEN = (STATUS.queued, STATUS.requeued)
FINISHED = (STATUS.sent, STATUS.failed, STATUS.expired, STATUS.canceled)


class RecipientDeliveryStatus(IntegerChoices):
    """What a provider reported of a recipient. How grave each is: `post_office.events.STATUS_PRIORITY`."""

    ACCEPTED = 10, _("Accepted")
    DELIVERED = 20, _("Delivered")
    OPENED = 30, _("Opened")
    CLICKED = 40, _("Clicked")
    DEFERRED = 50, _("Deferred")
    SOFT_BOUNCED = 60, _("Soft Bounced")
    UNDETERMINED_BOUNCED = 65, _("Undetermined Bounced")
    HARD_BOUNCED = 70, _("Hard Bounced")
    SPAM_COMPLAINT = 80, _("Spam Complaint")
    UNSUBSCRIBED = 90, _("Unsubscribed")
