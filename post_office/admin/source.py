"""The message of a mail as it goes out: its headers, its bytes, and the files that it takes along.

Built as a delivery would build it, and as the reader of the admin must not be harmed by it: whatever is
not shown in the sandbox is handed over as a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.header import decode_header, make_header

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import compat
from ..models import Attachment, Email
from ..rendering import attachments as files
from ..rendering import message as messages
from ..rendering.parts import is_whole
from . import preview, sandbox
from .preview import Unrenderable

MOST_SHOWN = 256 * 1024  # bytes; the rest is downloaded
FILE_POLICY = "sandbox; default-src 'none'"

# They belong to how a message is packed, or are of the moment in which it is built.
_OF_PACKING = {"mime-version", "content-type", "content-transfer-encoding", "date"}
_MIMETYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069]+')


@dataclass(frozen=True, kw_only=True)
class Header:
    name: str
    value: str


def headers(email: Email) -> list[Header] | Unrenderable:
    """Return the headers as the reader's program gets them. Reads no attached file."""

    def build() -> list[Header]:
        parts = messages.gather(email)
        whole = [attachment for attachment in parts.attachments if is_whole(attachment)]
        built = compat.built(messages.assemble(replace(parts, attachments=whole)))
        return [
            Header(name=name, value=_decoded(str(value)))
            for name, value in built.items()
            if name.lower() not in _OF_PACKING
        ]

    return preview.attempt(build)


def of(email: Email) -> bytes | Unrenderable:
    """Return the bytes of the message, as they would be sent now."""
    return preview.attempt(lambda: compat.built(email.email_message()).as_bytes())


def document(email: Email) -> HttpResponse:
    """Return the source as text for a frame of the admin."""
    source = of(email)
    if isinstance(source, Unrenderable):
        return preview.does_not_render(source)
    shown = source[:MOST_SHOWN].decode(errors="replace").replace("\r\n", "\n")
    left = len(source) - MOST_SHOWN
    if left > 0:
        text = ngettext("… and %(count)d more byte.", "… and %(count)d more bytes.", left)
        shown += "\n\n" + text % {"count": left}
    return sandbox.notice(_("Source of this email"), shown)


def download(email: Email) -> HttpResponse | Unrenderable:
    """Return the source as a file that mail programs open (RFC 5322)."""
    source = of(email)
    if isinstance(source, Unrenderable):
        return source
    return file_response(f"email-{email.pk}.eml", source, "message/rfc822")


def attachment(email: Email, pk: int) -> HttpResponse | Unrenderable | None:
    """Return a file that goes out with this mail; None where there is none under this key."""
    found = next((each for each in files.of(email) if each.pk == pk), None)
    if found is None:
        return None
    content = preview.attempt(lambda: preview.content_of(found))
    if isinstance(content, Unrenderable):
        return content
    return file_response(found.name or f"attachment-{pk}", content, found.mimetype)


def file_response(name: str, content: bytes, mimetype: str) -> HttpResponse:
    """Return a file that the browser keeps, and neither shows nor runs."""
    if not _MIMETYPE.fullmatch(mimetype):
        mimetype = "application/octet-stream"
    response = HttpResponse(content, content_type=mimetype)
    # What a file may be called by its sender is no place on the disk of its reader.
    safe = _UNSAFE.sub("_", name).strip(". ") or "attachment"
    response.headers["Content-Disposition"] = content_disposition_header(True, safe)
    response.headers["Content-Security-Policy"] = FILE_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def use_of(attached: Attachment) -> str:
    """Return what a file is for, in words."""
    if is_whole(attached):
        return _("The message itself")
    own = {name.lower(): str(value) for name, value in dict(attached.headers or {}).items()}
    cid = own.get("content-id", "").strip("<> ")
    if not own.get("content-disposition", "").lower().startswith("inline"):
        return _("Attachment")
    return _("Inline image (cid:%(cid)s)") % {"cid": cid} if cid else _("Inline image")


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):  # no encoded words, or in a charset that nobody knows
        return value
