"""Under which addresses a mail is found, where its index does not tell: that of mail with several
recipients, with display names, or with copies.

Mail to one bare address needs nothing of this, which keeps queueing it as quick as it is. The rows are
written in the transaction that writes the mail. What foreign code writes past `save()` has none; a search
in parts of texts finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import router

from .addresses import bare_address, split_mailboxes
from .indexes import LONGEST

if TYPE_CHECKING:
    from .models import Addressee, Email

# What makes a mailbox more than an address, or its case another matter for databases than for Python.
MORE = frozenset('<>"(), \t\r\n')
BATCH = 5000


def normalised(mailbox: str) -> str:
    """Return the address of a mailbox as it is compared: bare and in lower case."""
    return bare_address(mailbox).lower()


def is_found_alone(email: Email) -> bool:
    """Return whether the index on the column of recipients finds this mail."""
    return _is_found_alone(*map(_listed, (email.to, email.cc, email.bcc)))


def addresses_of(to: Any, cc: Any, bcc: Any) -> list[str]:
    """Return the addresses under which a mail has to be noted: none where the index finds it."""
    to, cc, bcc = map(_listed, (to, cc, bcc))
    if _is_found_alone(to, cc, bcc):
        return []
    addresses = (normalised(mailbox) for mailbox in (*to, *cc, *bcc))
    return [address for address in dict.fromkeys(addresses) if 0 < len(address) <= LONGEST]


def note(emails: Iterable[Email], using: str) -> None:
    """Note new mail, in the transaction that wrote it."""
    model = _model()
    rows = [
        model(email=email, address=address)
        for email in emails
        for address in addresses_of(email.to, email.cc, email.bcc)
    ]
    if rows:
        # What a database takes for the same address finds the mail just as well.
        model.objects.using(using).bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)


def renew(email: Email) -> None:
    """Note a mail anew whose recipients may have changed."""
    using = email._state.db or router.db_for_write(type(email))
    addresses = addresses_of(email.to, email.cc, email.bcc)
    _model().objects.using(using).filter(email=email.pk).exclude(address__in=addresses).delete()
    note([email], using)


def _listed(given: Any) -> Sequence[str]:
    return split_mailboxes(given) if isinstance(given, str) else given or ()


def _model() -> type[Addressee]:
    # Models come later than this.
    return apps.get_model("post_office", "Addressee")


def _is_found_alone(to: Sequence[str], cc: Sequence[str], bcc: Sequence[str]) -> bool:
    return len(to) == 1 and not cc and not bcc and _is_bare(to[0])


def _is_bare(mailbox: str) -> bool:
    return mailbox.isascii() and len(mailbox) <= LONGEST and MORE.isdisjoint(mailbox)
