"""From an email to Django's message, in two steps.

`gather` needs the database: it renders and lists the attachments. `assemble` needs none: it reads
the files and builds the message, so it can run in a thread that sends. `build_message` does both.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from email.message import Message
from email.utils import format_datetime
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives

from ..addresses import join_mailboxes
from ..compat import mime_part, relate
from ..conf import conf
from ..models import Attachment, Email
from . import attachments as files
from .inline import is_inline_image
from .templates import Rendered, render_on_delivery


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a message is made of; complete without the database."""

    rendered: Rendered
    from_email: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    headers: dict[str, str]
    message_id: str | None
    attachments: list[Attachment]


class BuiltMessage(EmailMultiAlternatives):
    """A message whose inline images stand beside its HTML in multipart/related (RFC 2387).

    The images are among `attachments`, where backends for provider APIs look for them.
    """

    def message(self, **kwargs: Any) -> Any:
        images = [part for part in self.attachments if _is_related(part)]
        if not images:
            return super().message(**kwargs)
        # A shallow copy without them, as a message may be serialised more than once.
        plain = copy.copy(self)
        plain.attachments = [part for part in self.attachments if not _is_related(part)]
        message = super(BuiltMessage, plain).message(**kwargs)
        relate(message, [part for part in images if isinstance(part, Message)])
        return message


def build_message(email: Email) -> BuiltMessage:
    """Return the message of an email, as it would be sent now."""
    return assemble(gather(email))


def gather(email: Email) -> Parts:
    """Render an email and collect what belongs to it. May query the database.

    Raises whatever a template raises, and `TemplateGone`.
    """
    recipients = {"to": list(email.to), "cc": list(email.cc), "bcc": list(email.bcc)}
    headers = dict(email.headers) if isinstance(email.headers, dict) else {}
    if email.expires_at:
        headers.setdefault("Expires", format_datetime(email.expires_at))
    if conf.OVERRIDE_RECIPIENTS is not None:
        recipients, originals = _overridden(recipients)
        headers.update(originals)
    return Parts(
        rendered=render_on_delivery(email),
        from_email=email.from_email,
        headers=headers,
        message_id=email.message_id,
        attachments=files.of(email),
        **recipients,
    )


def assemble(parts: Parts, *, with_message_id: bool = True) -> BuiltMessage:
    """Build the message, reading the attached files. Uses no database.

    Raises:
        AttachmentGone: A stored file has vanished.
    """
    rendered = parts.rendered
    headers = dict(parts.headers)
    if with_message_id and parts.message_id and "message-id" not in {name.lower() for name in headers}:
        headers["Message-ID"] = parts.message_id
    message = BuiltMessage(
        subject=rendered.subject,
        body=rendered.message or rendered.html_message,
        from_email=parts.from_email,
        to=parts.to,
        cc=parts.cc,
        bcc=parts.bcc,
        headers=headers or None,
    )
    if rendered.html_message and rendered.message:
        message.attach_alternative(rendered.html_message, "text/html")
    elif rendered.html_message:
        message.content_subtype = "html"
    for image in rendered.images:
        message.attachments.append(image.as_part())
    for attachment in parts.attachments:
        _attach(message, attachment)
    return message


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    content = files.read(attachment)
    if not attachment.headers:
        message.attach(attachment.name or None, content, attachment.mimetype or None)
        return
    headers: dict[str, str] = attachment.headers
    encoded = "content-transfer-encoding" in {name.lower() for name in headers}
    # Stored with an encoding of its own: the file holds the encoded form already.
    payload = content.decode("ascii", "surrogateescape") if encoded else content
    part = mime_part(attachment.mimetype, payload, headers.items(), filename=attachment.name)
    message.attachments.append(part)


def _overridden(recipients: dict[str, list[str]]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Replace all recipients, and keep the originals in headers."""
    originals = {
        f"X-Original-{kind.capitalize()}": join_mailboxes(mailboxes)
        for kind, mailboxes in recipients.items()
        if mailboxes
    }
    return {"to": list(conf.OVERRIDE_RECIPIENTS or ()), "cc": [], "bcc": []}, originals


def _is_related(part: Any) -> bool:
    return isinstance(part, Message) and is_inline_image(dict(part.items()))
