"""Attachments of Django's messages: taken apart for the storage, and put together again as they were.

Django knows four forms: a name with text, a name with bytes, a name with a whole message, and a MIME part
that stands as it is. `Attachment.as_given` says which it was where the other columns would not tell.
"""

from __future__ import annotations

import base64
import mimetypes
from email import message_from_bytes
from email.generator import BytesGenerator
from email.message import Message, MIMEPart
from email.mime.base import MIMEBase
from email.policy import Policy, compat32, default
from io import BytesIO
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.message import DEFAULT_ATTACHMENT_MIME_TYPE, EmailAttachment

from ..compat import HAS_MODERN_EMAIL, built, mime_part
from ..exceptions import UnreadableColumn
from ..headers import storable
from ..models import Attachment
from ..packing import Unreadable
from .attachments import Upload

# The form of what `upload_of_whole` keeps.
WHOLE = "whole message"
LONGEST = 255  # characters in the columns for names and types


# --- apart ------------------------------------------------------------------------------------


def upload_of(attachment: Any) -> Upload:
    """Return an item of `EmailMessage.attachments` as an upload."""
    if isinstance(attachment, Message):
        return _upload_of_part(attachment)
    name, content, mimetype = attachment
    form, stored = _form(content)
    usual = _is_usual(name, mimetype) and _usual(name, stored, mimetype) == (name, content, mimetype)
    if form in ("text", "bytes") and usual:
        return Upload(name=name or "", content=stored, mimetype=mimetype)
    return Upload(
        name=_name_column(name),
        content=stored,
        mimetype=storable(mimetype or "")[:LONGEST],
        as_given={"form": form, "name": name if name is None else str(name), "mimetype": mimetype},
    )


def _is_usual(name: Any, mimetype: Any) -> bool:
    """Return whether the columns give back this name and type."""
    fits = (name is None or name) and _name_column(name) == (name or "")
    return bool(fits and mimetype and storable(mimetype)[:LONGEST] == mimetype)


def upload_of_whole(source: bytes) -> Upload:
    """Return the bytes of a message that builds them in its own way, to be kept like an attachment."""
    return Upload(name="message.eml", content=source, mimetype="message/rfc822", as_given={"form": WHOLE})


def is_whole(attachment: Attachment) -> bool:
    """Return whether this is no attachment, but the message itself."""
    given = attachment.as_given
    return isinstance(given, dict) and given.get("form") == WHOLE


def _form(content: Any) -> tuple[str, bytes]:
    """Return the form of a content, and the bytes to store."""
    if isinstance(content, EmailMessage):
        content = built(content)
    if isinstance(content, Message):
        return _form_of_message(content)
    if isinstance(content, (bytes, bytearray, memoryview)):
        return "bytes", bytes(content)
    return "text", str(content).encode(errors="surrogatepass")


def _form_of_message(message: Message) -> tuple[str, bytes]:
    if HAS_MODERN_EMAIL and is_modern(message):
        return "modern message", source_of(message)
    # As the message around it will be serialised.
    return "message", source_of(message, compat32)


def is_modern(message: Message) -> bool:
    """Return whether a message is of the kind that Django builds from 6.0 on."""
    return isinstance(message, MIMEPart)


def source_of(message: Message, policy: Policy | None = None) -> bytes:
    """Return the bytes of a message or part, with "\\n" at the end of lines.

    Lines that begin with "From " are left alone.
    """
    lines = BytesIO()
    policy = (policy or message.policy).clone(linesep="\n")
    BytesGenerator(lines, mangle_from_=False, policy=policy).flatten(message)
    return lines.getvalue()


def _name_column(name: Any) -> str:
    return storable(str(name or ""))[:LONGEST]


def _upload_of_part(part: Message) -> Upload:
    content, form = _content_of_part(part)
    # The content is encoded again when it is sent.
    ours = ("content-transfer-encoding", "mime-version")
    headers = {
        storable(name): storable(str(value)) for name, value in part.items() if name.lower() not in ours
    }
    return Upload(
        name=_name_column(part.get_filename()),
        content=content,
        mimetype=storable(part.get_content_type())[:LONGEST],
        headers=headers,
        as_given=form,
    )


def _content_of_part(part: Message) -> tuple[bytes, dict[str, Any]]:
    """Return what to store of a MIME part: its content where that is enough, else its source."""
    modern = is_modern(part)
    headers = [(name, value) for name, value in part.raw_items()]
    payload = part.get_payload()
    storable_headers = modern or all(type(value) is str for _, value in headers)
    if not (isinstance(payload, str) and payload.isascii() and storable_headers):
        return source_of(part), {"form": "source", "modern": modern}
    kept = {"modern": modern, "headers": [[name, str(value)] for name, value in headers]}
    content = part.get_payload(decode=True)
    if isinstance(content, bytes) and _in_base64(content) == payload:
        return content, {"form": "content", **kept}
    return payload.encode(), {"form": "payload", **kept}


def _in_base64(content: bytes) -> str:
    return base64.encodebytes(content).decode()


# --- together ---------------------------------------------------------------------------------


def restored(attachment: Attachment, content: bytes) -> Any:
    """Return a stored attachment as an item of `EmailMessage.attachments`."""
    given = attachment.as_given
    if isinstance(given, Unreadable):
        raise UnreadableColumn("as_given of an attachment", given.fault) from given.fault
    if given is None:
        return _with_own_headers(attachment, content) if attachment.headers else _plain(attachment, content)
    if given["form"] in ("text", "bytes", "message", "modern message"):
        return _restored_triple(attachment, given, content)
    return _restored_part(given, content)


def _plain(attachment: Attachment, content: bytes) -> EmailAttachment:
    return _usual(attachment.name or None, content, attachment.mimetype or None)


def _usual(name: Any, content: bytes, mimetype: str | None) -> EmailAttachment:
    """Return what `EmailMessage.attach` makes of bytes: text where the type says so and it is UTF-8."""
    mimetype = mimetype or mimetypes.guess_type(name or "")[0] or DEFAULT_ATTACHMENT_MIME_TYPE
    if mimetype.startswith("text/"):
        try:
            return EmailAttachment(name, content.decode(), mimetype)
        except UnicodeDecodeError:
            mimetype = DEFAULT_ATTACHMENT_MIME_TYPE
    return EmailAttachment(name, content, mimetype)


def _with_own_headers(attachment: Attachment, content: bytes) -> Message:
    headers: dict[str, str] = attachment.headers or {}
    encoded = "content-transfer-encoding" in {name.lower() for name in headers}
    # Stored with an encoding of its own: the file holds the encoded form already.
    payload = content.decode("ascii", "surrogateescape") if encoded else content
    return mime_part(attachment.mimetype, payload, headers.items(), filename=attachment.name)


def _restored_triple(attachment: Attachment, given: dict[str, Any], content: bytes) -> EmailAttachment:
    # Whoever edits the columns is obeyed.
    name = given["name"] if _name_column(given["name"]) == attachment.name else attachment.name
    unedited = storable(given["mimetype"] or "")[:LONGEST] == attachment.mimetype
    mimetype = given["mimetype"] if unedited else attachment.mimetype
    form = given["form"]
    if form == "text":
        return EmailAttachment(name, content.decode(errors="surrogatepass"), mimetype)
    if form == "bytes":
        return EmailAttachment(name, content, mimetype)
    policy = default if form == "modern message" else compat32
    return EmailAttachment(name, message_from_bytes(content, policy=policy), mimetype)


class _LegacyPart(MIMEBase):
    """A part made by a parser: Django 5.2 takes nothing but MIMEBase for a part."""

    def __init__(self, policy: Any = compat32) -> None:
        Message.__init__(self, policy=policy)


def _restored_part(given: dict[str, Any], content: bytes) -> Message:
    modern = given["modern"]
    if given["form"] == "source":
        if modern:
            return message_from_bytes(content, MIMEPart, policy=default)
        return message_from_bytes(content, _LegacyPart, policy=compat32)
    part: Message = MIMEPart() if modern else _LegacyPart()
    for name, value in given["headers"]:
        if modern:
            part[name] = value
        else:
            part.set_raw(name, value)
    as_it_is = given["form"] == "payload"
    part.set_payload(content.decode() if as_it_is else _in_base64(content))
    return part
