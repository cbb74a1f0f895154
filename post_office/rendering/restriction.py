"""Who may get mail from here: the brakes of an environment that holds real addresses and is not to use them.

OVERRIDE_RECIPIENTS sends everything to somebody else; ALLOWED_DOMAINS lets some real recipients have
their mail all the same. Whoever is left out stands in a header.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..addresses import bare_address, join_mailboxes
from ..conf import conf
from ..exceptions import NoAllowedRecipient


def is_restricted() -> bool:
    """Return whether there are recipients that get no mail from here."""
    return conf.OVERRIDE_RECIPIENTS is not None or conf.ALLOWED_DOMAINS is not None


def restricted(
    recipients: dict[str, list[str]], envelope: Sequence[str] | None = None
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the recipients that may be, and headers that name those of before.

    Args:
        recipients: "to", "cc" and "bcc".
        envelope: The recipients of a message that names others in its envelope; they count instead.

    Raises:
        NoAllowedRecipient: None is left.
    """
    meant = {"to": list(envelope), "cc": [], "bcc": []} if envelope is not None else recipients
    allowed = {kind: [each for each in meant[kind] if _is_allowed(each)] for kind in meant}
    if allowed == meant:
        return allowed, {}
    if conf.OVERRIDE_RECIPIENTS is not None:
        allowed["to"] += [each for each in conf.OVERRIDE_RECIPIENTS if each not in allowed["to"]]
    elif not any(allowed.values()):
        raise NoAllowedRecipient([each for kind in meant.values() for each in kind])
    originals = {
        f"X-Original-{kind.capitalize()}": join_mailboxes(mailboxes)
        for kind, mailboxes in recipients.items()
        if mailboxes
    }
    return allowed, originals


def _is_allowed(mailbox: str) -> bool:
    if conf.ALLOWED_DOMAINS is None:
        return False
    domain = bare_address(mailbox).rpartition("@")[2].lower()
    return domain in {allowed.lower() for allowed in conf.ALLOWED_DOMAINS}
