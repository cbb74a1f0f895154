"""Who may get mail from here: the brakes of an environment that holds real addresses and is not to use them.

OVERRIDE_RECIPIENTS sends everything to somebody else; ALLOWED_DOMAINS lets some real recipients have
their mail all the same. Whoever is left out stands in a header.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..addresses import bare_address, join_mailboxes
from ..conf import conf
from ..exceptions import NoAllowedRecipient


def is_restricted() -> bool:
    """Return whether there are recipients that get no mail from here."""
    return conf.OVERRIDE_RECIPIENTS is not None or conf.ALLOWED_DOMAINS is not None


@dataclass(frozen=True, kw_only=True)
class Recipients:
    """Whom a mail is for: its mailboxes by "to", "cc" and "bcc", and the envelope where it names others."""

    shown: dict[str, list[str]]
    envelope: list[str] | None

    def everybody(self) -> list[str]:
        mailboxes = [each for kind in self.shown.values() for each in kind]
        return mailboxes if self.envelope is None else self.envelope


def restricted(meant: Recipients) -> tuple[Recipients, dict[str, str]]:
    """Return the recipients that may be, and headers that name those of before; none where all may.

    Raises:
        NoAllowedRecipient: None is left.
    """
    if all(map(_is_allowed, meant.everybody())):
        return meant, {}
    shown = {kind: list(filter(_is_allowed, mailboxes)) for kind, mailboxes in meant.shown.items()}
    envelope = None if meant.envelope is None else list(filter(_is_allowed, meant.envelope))
    for instead in conf.OVERRIDE_RECIPIENTS or ():
        for mailboxes in (shown["to"], *([] if envelope is None else [envelope])):
            if instead not in mailboxes:
                mailboxes.append(instead)
    left = Recipients(shown=shown, envelope=envelope)
    if not left.everybody():
        raise NoAllowedRecipient(meant.everybody())
    originals = {
        f"X-Original-{kind.capitalize()}": join_mailboxes(mailboxes)
        for kind, mailboxes in meant.shown.items()
        if mailboxes
    }
    return left, originals


def _is_allowed(mailbox: str) -> bool:
    if conf.ALLOWED_DOMAINS is None:
        return False
    domain = bare_address(mailbox).rpartition("@")[2].lower()
    return domain in {allowed.lower() for allowed in conf.ALLOWED_DOMAINS}
