"""How mail is searched for: at once by a whole address or Message-ID, else by reading all of it.

What somebody types tells which. The page says when a search had to read, and offers it where nothing was
found at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet

from ..addresses import bare_address
from ..models import Email

if TYPE_CHECKING:
    from ..querysets import EmailQuerySet

# In the query string, beside Django's own "q".
PARAMETER, PARTS = "search", "parts"
# Copies of a mail may have one Message-ID; so many of them are shown.
SAME_ID = 1000
_MESSAGE_ID = re.compile(r"<[^<>\s]+@[^<>\s]+>")


def is_exact(given: Mapping[str, str], term: str) -> bool:
    """Return whether the indexes answer this search."""
    return given.get(PARAMETER) != PARTS and may_be_exact(term)


def may_be_exact(term: str) -> bool:
    """Return whether this is a whole Message-ID or a whole address, bare or with a display name."""
    return bool(_MESSAGE_ID.fullmatch(term.strip())) or _address(term) is not None


def exactly(emails: QuerySet[Email], term: str) -> QuerySet[Email]:
    """Return those of these mails that have this Message-ID, or else this recipient."""
    typed, address = term.strip(), _address(term)
    identified = Email.objects.using(emails.db).filter(message_id__in=[typed, f"<{typed}>"])
    # By their keys, as no database knows that there are few.
    keys = list(identified.values_list("pk", flat=True)[:SAME_ID])
    if keys or address is None:
        return emails.filter(pk__in=keys)
    return cast("EmailQuerySet", emails).addressed_to(address)


def _address(term: str) -> str | None:
    address = bare_address(term)
    try:
        validate_email(address)
    except ValidationError:
        return None
    return address
