"""Django's mail backend: `send_mail()` and `EmailMessage.send()` put mail into the queue."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from email.message import Message
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from . import compose, mail
from .exceptions import CannotStore
from .rendering.attachments import Upload


class EmailBackend(BaseEmailBackend):
    """Queues messages as they are: subject and bodies are no templates here.

    Usable as EMAIL_BACKEND = "post_office.EmailBackend" and as BACKEND in MAILERS.

    Args:
        fail_silently: Do not raise when a message cannot be queued.
        using: Alias of the backend that is to deliver; the default one otherwise.
        priority: Of the mail; DEFAULT_PRIORITY otherwise.
    """

    queues_in_post_office = True

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        using: str = "",
        priority: str | int | None = None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if username or password:
            warnings.warn(
                "auth_user and auth_password are not kept with queued mail. Configure a backend with this "
                "login in POST_OFFICE['BACKENDS'] and name it in `using`.",
                stacklevel=2,
            )
        self.fail_silently = fail_silently
        self.using = using
        self.priority = priority

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        """Queue messages, all or none. Returns how many have recipients and are accepted."""
        try:
            messages = [message for message in email_messages or () if message.recipients()]
            drafts = [self._draft(message) for message in messages]
            if drafts:
                mail.queue(drafts)
        except Exception:
            if not self.fail_silently:
                raise
            return 0
        return len(drafts)

    def _draft(self, message: EmailMessage) -> compose.Draft:
        message.message()  # raises for what Django itself would refuse
        text, html = _bodies(message)
        return compose.verbatim(
            sender=message.from_email,
            recipients=message.to,
            cc=message.cc,
            bcc=message.bcc,
            subject=str(message.subject),
            message=text,
            html_message=html,
            headers=_headers(message),
            priority=self.priority,
            backend=self.using,
            uploads=tuple(_upload(attachment) for attachment in message.attachments),
        )


def _headers(message: EmailMessage) -> dict[str, Any] | None:
    headers = dict(message.extra_headers)
    if message.reply_to and "reply-to" not in {name.lower() for name in headers}:
        headers["Reply-To"] = ", ".join(str(mailbox) for mailbox in message.reply_to)
    return headers or None


def _bodies(message: EmailMessage) -> tuple[str, str]:
    """Return the text and the HTML of a message."""
    if message.encoding is not None and str(message.encoding).lower() not in ("utf-8", "utf8"):
        raise CannotStore(f"its encoding is {message.encoding!r}")
    if message.content_subtype not in ("plain", "html"):
        raise CannotStore(f"its body is text/{message.content_subtype}")
    texts = {f"text/{message.content_subtype}": str(message.body)}
    for content, mimetype in getattr(message, "alternatives", None) or ():
        if mimetype != "text/html" or mimetype in texts:
            raise CannotStore(f"it has an alternative of type {mimetype}")
        texts[mimetype] = content.decode() if isinstance(content, bytes) else str(content)
    return texts.get("text/plain", ""), texts.get("text/html", "")


def _upload(attachment: Any) -> Upload:
    if isinstance(attachment, Message):
        return _upload_of_part(attachment)
    name, content, mimetype = attachment
    if isinstance(content, EmailMessage):
        content = content.message()
    if isinstance(content, Message):
        content = content.as_bytes()
    if isinstance(content, str):
        content = content.encode()
    return Upload(name=name or "", content=bytes(content), mimetype=mimetype or "")


def _upload_of_part(part: Message) -> Upload:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        raise CannotStore(f"it has an attachment of type {part.get_content_type()}")
    # The content is encoded again when it is sent.
    ours = ("content-transfer-encoding", "mime-version")
    return Upload(
        name=part.get_filename() or "",
        content=content,
        mimetype=part.get_content_type(),
        headers={name: str(value) for name, value in part.items() if name.lower() not in ours},
    )
