"""From an email to Django's message, in two steps.

`gather` needs the database: it renders and lists the attachments. `assemble` needs none: it reads
the files and builds the message, so it can run in a thread that sends. `build_message` does both.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.charset import Charset
from email.message import Message
from email.utils import format_datetime
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import EmailAlternative

from ..addresses import bare_address
from ..compat import relate
from ..given import beyond_columns, edited_since
from ..models import Attachment, Email
from . import attachments as files
from . import source as sources
from .folding import keep_tokens_whole
from .inline import is_inline_image
from .parts import is_whole, restored
from .restriction import Recipients, is_restricted, restricted
from .templates import Rendered, render_on_delivery
from .verbatim import usual_layout


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a message is made of; complete without the database.

    Attributes:
        given: What a message of Django's held beyond the rest of this, see `given`.
        recipients: The envelope, where it is not `to`, `cc` and `bcc`.
        changed: Headers to change in a message that stands as bytes, by the name of a column or a header.
    """

    rendered: Rendered
    from_email: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    headers: dict[str, Any]
    message_id: str | None
    attachments: list[Attachment]
    attributes: dict[str, Any]
    given: dict[str, Any]
    recipients: list[str] | None
    changed: dict[str, Any]


class BuiltMessage(EmailMultiAlternatives):
    """A message that goes out as it was composed, or as it was handed to Django's backend.

    Images of templates stand beside the HTML in multipart/related (RFC 2387). They are among
    `attachments`, where backends for provider APIs look for them.
    """

    # How many mails deep this one was queued by the delivery of another.
    _hops: int = 0
    _related: tuple[Any, ...] = ()
    _recipients: list[str] | None = None
    _source: bytes | None = None

    def message(self, **kwargs: Any) -> Any:
        if self._source is not None:
            return sources.parsed(self._source, **kwargs)
        message = self._with_related(**kwargs) if self._related else super().message(**kwargs)
        keep_tokens_whole(message)
        return message

    def recipients(self) -> list[str]:
        return super().recipients() if self._recipients is None else list(self._recipients)

    def leave_out(self, addresses: Collection[str]) -> None:
        """Take these out of the envelope. The headers go on saying whom the mail is for."""
        self._recipients = [
            mailbox for mailbox in self.recipients() if bare_address(str(mailbox)) not in addresses
        ]

    def take_out(self, addresses: Collection[str]) -> None:
        """Take these out of the headers, too: backends for provider APIs make their envelope of them."""
        self.leave_out(addresses)
        for kind in ("to", "cc", "bcc"):
            mailboxes = getattr(self, kind)
            setattr(self, kind, [item for item in mailboxes if bare_address(str(item)) not in addresses])

    def _with_related(self, **kwargs: Any) -> Message:
        # A shallow copy without the images, as a message may be serialised more than once.
        plain = copy.copy(self)
        plain.attachments = [part for part in self.attachments if not self._is_related(part)]
        message: Message = super(BuiltMessage, plain).message(**kwargs)
        relate(message, [part for part in self.attachments if self._is_related(part)])
        return message

    def _is_related(self, part: Any) -> bool:
        return any(part is image for image in self._related)


def build_message(email: Email) -> BuiltMessage:
    """Return the message of an email, as it would be sent now."""
    return assemble(gather(email))


# --- with the database --------------------------------------------------------------------------


def gather(email: Email, attachments: list[Attachment] | None = None) -> Parts:
    """Render an email and collect what belongs to it. May query the database.

    Args:
        attachments: Its attachments, where they are known already.

    Raises whatever a template raises, and `TemplateGone`.
    """
    given = beyond_columns(email)
    recipients = Recipients(
        shown={kind: list(given.get(kind, getattr(email, kind))) for kind in ("to", "cc", "bcc")},
        envelope=given.get("recipients"),
    )
    headers = _headers(email, given)
    changed: dict[str, Any] = edited_since(email, ("subject", "from_email", "to", "cc"))
    if is_restricted():
        recipients, originals = restricted(recipients)
        headers.update(originals)
        if originals:
            changed |= {"to": recipients.shown["to"], "cc": recipients.shown["cc"], **originals}
    return Parts(
        rendered=render_on_delivery(email),
        from_email=given.get("from_email", email.from_email),
        headers=headers,
        message_id=email.message_id,
        attachments=files.of(email) if attachments is None else attachments,
        attributes=_attributes(email, given),
        given=given,
        recipients=recipients.envelope,
        changed=changed,
        **recipients.shown,
    )


def _headers(email: Email, given: dict[str, Any]) -> dict[str, Any]:
    if "headers" in given:
        return dict(given["headers"]["extra_headers"])
    headers = dict(email.headers) if isinstance(email.headers, dict) else {}
    if email.expires_at:
        headers.setdefault("Expires", format_datetime(email.expires_at))
    return headers


def _attributes(email: Email, given: dict[str, Any]) -> dict[str, Any]:
    columns = {name: getattr(email, name) for name in ("tags", "metadata") if getattr(email, name)}
    exact = {name: given[name] for name in ("tags", "metadata") if name in given}
    return {**columns, **exact, **given.get("attributes", {})}


# --- without it ---------------------------------------------------------------------------------


def assemble(parts: Parts, *, with_message_id: bool = True) -> BuiltMessage:
    """Build the message, reading the attached files. Uses no database.

    Raises:
        AttachmentGone: A stored file has vanished.
    """
    given = parts.given
    headers = dict(parts.headers)
    if with_message_id and parts.message_id and "message-id" not in {name.lower() for name in headers}:
        headers["Message-ID"] = parts.message_id
    message = BuiltMessage(
        subject=given.get("subject", parts.rendered.subject),
        from_email=parts.from_email,
        to=parts.to,
        cc=parts.cc,
        bcc=parts.bcc,
        reply_to=given["headers"]["reply_to"] if "headers" in given else None,
        headers=headers or None,
    )
    if "encoding" in given:
        message.encoding = _encoding(given["encoding"])
    _fill(message, parts.rendered, given.get("layout"))
    _attach(message, parts)
    for name, value in parts.attributes.items():
        setattr(message, name, value)
    message._recipients = parts.recipients
    message._hops = given.get("hops", 0)
    return message


def _encoding(encoding: Any) -> Any:
    if isinstance(encoding, str):
        return encoding
    charset = Charset(encoding["input_charset"])
    vars(charset).update(encoding)
    return charset


def _fill(message: BuiltMessage, rendered: Rendered, layout: dict[str, Any] | None) -> None:
    """Set the body and its alternatives."""
    if layout is None:
        subtype, body, *alternatives = usual_layout(rendered.message, rendered.html_message)
    else:
        subtype = layout["subtype"]
        body, *alternatives = [
            [_content(reference, rendered), mimetype] for reference, mimetype in layout["contents"]
        ]
    message.content_subtype, message.body = subtype, body[0]
    message.alternatives = [EmailAlternative(content, mimetype) for content, mimetype in alternatives]


def _content(reference: dict[str, Any], rendered: Rendered) -> Any:
    if "column" in reference:
        return getattr(rendered, reference["column"])
    if "message" in reference:
        return message_from_bytes(
            reference["message"], policy=policy.default if reference["modern"] else policy.compat32
        )
    return reference["value"]


def _attach(message: BuiltMessage, parts: Parts) -> None:
    images = [image.as_part() for image in parts.rendered.images]
    message.attachments.extend(images)
    for attachment in parts.attachments:
        content = files.read(attachment)
        if is_whole(attachment):
            message._source = sources.edited(content, {**parts.changed, **_own_id(parts, content)})
            continue
        item = restored(attachment, content)
        message.attachments.append(item)
        if attachment.as_given is None and is_inline_image(attachment.headers):
            images.append(item)
    message._related = tuple(images)


def _own_id(parts: Parts, source: bytes) -> dict[str, str]:
    """Return the Message-ID where the source has another: it is that of the mail of which this is a copy."""
    given = sources.message_id_of(source)
    if not (parts.message_id and given) or given.startswith(parts.message_id):  # the column may be too short
        return {}
    return {"Message-ID": parts.message_id}
