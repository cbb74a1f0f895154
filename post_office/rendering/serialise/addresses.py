"""Addresses as Django's SMTP backend hands them to smtplib, without asking it about each anew.

Those of plain words are what they are. What Django says of others is remembered for a while; its
refusals are not.
"""

from __future__ import annotations

from functools import lru_cache

from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

from ...compat import smtp_address
from .words import is_bare_address

# Longer ones are not remembered.
LONGEST = 320


def known_address(mailbox: str, encoding: str, backend: SMTPBackend) -> str:
    """Return what `smtp_address` returns for Django's own backend, or raise what it raises."""
    if type(mailbox) is not str or type(encoding) is not str or len(mailbox) > LONGEST:
        return smtp_address(mailbox, encoding, backend)
    return mailbox if is_bare_address(mailbox) else _remembered(mailbox, encoding)


@lru_cache(maxsize=2048)
def _remembered(mailbox: str, encoding: str) -> str:
    return smtp_address(mailbox, encoding)
