"""One mail's SMTP transaction over the open connection of Django's own SMTP backend (RFC 5321).

Django's `send_messages` cannot say which recipients a server refused, nor whether a connection broke
before the server had the whole mail or after. This does the same, byte for byte where the mail is
concerned, and hears each answer. For that backend only: a subclass may have changed what sending means.
"""

from __future__ import annotations

import logging
import re
import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

from ..addresses import bare_address
from ..rendering.serialise import serialise
from .dialogue import DATA, Dialogue, mail_from, rcpt_to, reply, say

if TYPE_CHECKING:
    from typing_extensions import TypeIs

logger = logging.getLogger("post_office")

SERVICE_CLOSES = 421  # RFC 5321, section 3.8: the server closes the connection with it
GO_AHEAD = 354  # the answer to DATA
DOT = b".\r\n"

# What a server said of the recipients that it refused: {mailbox: (code, text)}.
Refusals = dict[str, tuple[int, bytes]]

# What is said right behind a mail's content: the beginning of the next mail. It is asked for when the server
# wants the content.
Behind = Callable[[smtplib.SMTP], bytes]


def nothing(server: smtplib.SMTP) -> bytes:
    """Say nothing behind a mail."""
    return b""


class Interrupted(smtplib.SMTPServerDisconnected):
    """The connection broke before the server had the whole mail, so it has not taken it."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(f"The connection broke before the server had the whole mail: {fault}")


class Unanswered(smtplib.SMTPException):
    """The server had the whole mail, and did not say whether it took it."""

    def __init__(self, fault: object) -> None:
        super().__init__(f"The server had the whole mail, and did not say whether it took it: {fault}")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What goes over the wire: the envelope and the bytes.

    `recipients` are pairs: the address by which we know a recipient, and as the server is told it.
    """

    sender: str
    recipients: list[tuple[str, str]]
    content: bytes


def hears_each_answer(backend: BaseEmailBackend) -> TypeIs[SMTPBackend]:
    """Return whether mail of this backend goes by `transmit`: it is Django's own, and reports faults."""
    return type(backend) is SMTPBackend and not backend.fail_silently


def letter(message: EmailMessage, backend: SMTPBackend) -> Letter:
    """Return what Django's backend would send. Raises ValueError for an address that it refuses."""
    sender, recipients, content = serialise.with_envelope(message, backend)
    known = [bare_address(str(mailbox)) for mailbox in message.recipients()]
    return Letter(sender=sender, recipients=list(zip(known, recipients, strict=True)), content=content)


def transmit(
    letter: Letter, backend: SMTPBackend, behind: Behind = nothing, *, begun: Dialogue | None = None
) -> Refusals:
    """Hand one mail to the server. Returns the recipients that it refused while it took the others.

    After a refusal the connection is ready for the next mail, but for answer 421.

    Args:
        behind: Begins the next mail, over a connection that stays open.
        begun: Where this mail was begun behind another: what was said of it.

    Raises:
        SMTPSenderRefused, SMTPRecipientsRefused, SMTPDataError: The server took it for nobody.
        Interrupted: Neither did it here.
        Unanswered: That is not known.
    """
    # As Django does: a connection is for one thread at a time, and one that was not open is closed again.
    with backend._lock:
        opened = backend.open()
        server = cast(smtplib.SMTP, backend.connection)
        try:
            return _transmit(letter, server, nothing if opened else behind, begun)
        finally:
            if opened:
                close(backend)


def _transmit(letter: Letter, server: smtplib.SMTP, behind: Behind, begun: Dialogue | None) -> Refusals:
    try:
        refused = _envelope(begun or opening(letter, server), letter)
        next_mail = behind(server)
        _content(server, letter.content, next_mail)
    except smtplib.SMTPServerDisconnected as fault:
        raise Interrupted(fault) from fault
    _acceptance(server, is_last=not next_mail)
    return refused


def opening(letter: Letter, server: smtplib.SMTP) -> Dialogue:
    """Return the dialogue that leads to the content of a mail, of which nothing is said yet.

    Raises ValueError for an address that cannot be said.
    """
    server.ehlo_or_helo_if_needed()
    recipients = [rcpt_to(address) for _, address in letter.recipients]
    return Dialogue(server, [mail_from(server, letter.sender, len(letter.content)), *recipients, DATA])


def abandon(dialogue: Dialogue) -> None:
    """Leave a mail that was begun and is not to go: a server that waits for its content can only be left."""
    dialogue.server.close()


def close(backend: BaseEmailBackend) -> None:
    """Close a backend. A fault in that is logged only: what was sent is sent."""
    try:
        backend.close()
    except Exception as fault:
        logger.debug("Closing a connection failed: %s", fault)


def _envelope(dialogue: Dialogue, letter: Letter) -> Refusals:
    """Say whom the mail is from and for, until the server wants its content."""
    code, answer = dialogue.hear()
    if not _is_success(code):
        _give_up(dialogue, smtplib.SMTPSenderRefused(code, answer, letter.sender), code)
    refused: Refusals = {}
    accepted: set[str] = set()
    for mailbox, _ in letter.recipients:
        code, answer = dialogue.hear()
        if _is_success(code):
            accepted.add(mailbox)
        else:
            refused[mailbox] = code, answer
        if code == SERVICE_CLOSES:
            _give_up(dialogue, smtplib.SMTPRecipientsRefused(refused), code)
    if not accepted:
        _give_up(dialogue, smtplib.SMTPRecipientsRefused(refused), code)
    code, answer = dialogue.hear()
    if code != GO_AHEAD:
        _give_up(dialogue, smtplib.SMTPDataError(code, answer), code)
    # One mailbox may stand in To and in Cc.
    return {mailbox: refusal for mailbox, refusal in refused.items() if mailbox not in accepted}


def _content(server: smtplib.SMTP, content: bytes, next_mail: bytes) -> None:
    """Send the bytes with the dot that ends them (RFC 5321, section 4.5.2), and the beginning of the next
    mail.

    Raises SMTPServerDisconnected where the dot cannot have reached the server. What fails behind it is for
    the server's answer to tell.
    """
    if content.startswith(b".") or b"\n." in content:
        content = re.sub(rb"(?m)^\.", b"..", content)
    mail = content + (DOT if content.endswith(b"\r\n") else b"\r\n" + DOT)
    if say(server, mail + next_mail) < len(mail):
        server.close()
        raise smtplib.SMTPServerDisconnected("it did not take all of it")


def _acceptance(server: smtplib.SMTP, *, is_last: bool) -> None:
    try:
        code, answer = reply(server)
    except smtplib.SMTPException as fault:
        server.close()
        raise Unanswered(fault) from fault
    if code >= 400:
        refusal = smtplib.SMTPDataError(code, answer)
        if is_last or code == SERVICE_CLOSES:
            _give_up(Dialogue(server, []), refusal, code)
        raise refusal  # the next mail is on its way
    if not _is_success(code):
        server.close()
        raise Unanswered(f"it answered {code}")


def _is_success(code: int) -> bool:
    return 200 <= code < 300


def _give_up(dialogue: Dialogue, refusal: Exception, code: int) -> NoReturn:
    """End the transaction, and raise the refusal."""
    if code == SERVICE_CLOSES:
        dialogue.server.close()
    else:
        try:
            _reset(dialogue)
        except smtplib.SMTPServerDisconnected:
            pass  # the next command will find out
    raise refusal


def _reset(dialogue: Dialogue) -> None:
    """Make the connection ready for another mail, after the replies to what was said already.

    A server that refused all recipients may want the content all the same: it gets none (RFC 2920,
    section 3.1). One that refused the sender, and has recipients now, could deliver that nothing.
    """
    codes = [code for code, _ in dialogue.hear_out()]
    if SERVICE_CLOSES in codes or (GO_AHEAD in codes and any(map(_is_success, codes))):
        dialogue.server.close()
    elif GO_AHEAD in codes:
        dialogue.server.send(DOT)
        reply(dialogue.server)
    else:
        dialogue.server.rset()
