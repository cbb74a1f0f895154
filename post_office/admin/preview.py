"""What a mail shows, for readers whom it must not harm.

The HTML of a mail never stands in a page of the admin. It is a document of its own, in a sandbox
without scripts, forms, plugins and an origin. A mail that does not render shows why instead.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone, translation
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from ..conf import conf
from ..exceptions import TemplateGone
from ..models import Email
from ..rendering import attachments as files
from ..rendering import templates
from ..rendering.templates import Rendered

Result = TypeVar("Result")

# Remote images and fonts load, as in a mail program; nothing runs and nothing is sent anywhere.
DOCUMENT_POLICY = (
    "sandbox; default-src 'none'; img-src data: https: http:; "
    "style-src 'unsafe-inline'; font-src https: data:"
)
# An SVG opened by its address is a document, too.
IMAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"

_CID = re.compile(r"cid:([^\s\"'<>()]+)", re.IGNORECASE)
_IMAGE_TYPE = re.compile(r"image/[\w.+-]+")


@dataclass(frozen=True, kw_only=True)
class Unrenderable:
    """Why a mail cannot be shown."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the HTML of a mail shows."""

    mimetype: str
    content: bytes


def look(email: Email) -> Rendered | Unrenderable:
    """Return the texts of a mail as its reader gets them. Rendered once per instance."""
    memory = email.__dict__
    if "_look" not in memory:
        memory["_look"] = _attempt(lambda: templates.render_on_delivery(email))
    shown: Rendered | Unrenderable = memory["_look"]
    return shown


def subject(email: Email) -> str | Unrenderable:
    """Return the subject of a mail alone, without loading or rendering its bodies."""

    def render() -> str:
        template = email.template
        if template is None:
            raise TemplateGone(email.template_name)
        return templates.render(
            subject=template.subject,
            message="",
            html_message="",
            context=templates.stored_context(email),
            language=template.language,
            engine=conf.TEMPLATE_ENGINE,
        ).subject

    return email.subject if email.context is None else _attempt(render)


def document(email: Email) -> HttpResponse:
    """Return the mail as a document that may stand in a frame of the admin."""
    response = HttpResponse(_html(email))
    response.headers["Content-Security-Policy"] = DOCUMENT_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    # Browsers refuse to open a sandboxed document that asks for isolation from its opener.
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def image_response(image: Image) -> HttpResponse:
    """Return an image of a mail under an address of its own."""
    response = HttpResponse(image.content, content_type=image.mimetype)
    response.headers["Content-Security-Policy"] = IMAGE_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def find_image(email: Email, cid: str) -> Image | None:
    """Return the image with this Content-ID, from the render or from the stored attachments."""
    return next((image for known, image in _images(email, {cid}) if known == cid), None)


def _html(email: Email) -> SafeString:
    shown = look(email)
    if isinstance(shown, Unrenderable):
        return _page(_("This email cannot be shown"), shown.reason)
    if not shown.html_message:
        return _page(shown.subject, shown.message)
    wanted = {unquote(cid) for cid in _CID.findall(shown.html_message)}
    images = dict(_images(email, wanted)) if wanted else {}

    def embed(match: re.Match[str]) -> str:
        image = images.get(unquote(match[1]))
        if image is None:
            return match[0]
        return f"data:{image.mimetype};base64,{base64.b64encode(image.content).decode()}"

    return mark_safe(_CID.sub(embed, shown.html_message))


def _page(title: str, text: str) -> SafeString:
    return format_html(
        '<!DOCTYPE html><html><head><meta charset="utf-8"><title>{}</title>'
        "<style>body {{ margin: 1rem; font: 14px/1.5 sans-serif; }} pre {{ white-space: pre-wrap; }}</style>"
        "</head><body><pre>{}</pre></body></html>",
        title,
        text,
    )


def _images(email: Email, wanted: set[str]) -> Iterator[tuple[str, Image]]:
    shown = look(email)
    if isinstance(shown, Rendered):
        for image in shown.images:
            if image.cid in wanted:
                yield image.cid, Image(mimetype=image.mimetype, content=image.content)
    for attachment in files.of(email):
        headers = {name.lower(): str(value) for name, value in dict(attachment.headers or {}).items()}
        cid = headers.get("content-id", "").strip("<> ")
        if cid not in wanted or not _IMAGE_TYPE.fullmatch(attachment.mimetype):
            continue
        content = _attempt(lambda attachment=attachment: files.read(attachment))  # type: ignore[misc]
        if isinstance(content, bytes):
            yield cid, Image(mimetype=attachment.mimetype, content=_decoded(content, headers))


def _decoded(content: bytes, headers: dict[str, str]) -> bytes:
    """Undo the encoding of files that earlier versions stored as they stand in a message."""
    if headers.get("content-transfer-encoding", "").lower() == "base64":
        return base64.b64decode(content)
    return content


def _attempt(do: Callable[[], Result]) -> Result | Unrenderable:
    """Do it as a worker would, whose language and time zone are not those of the reader."""
    with translation.override(settings.LANGUAGE_CODE), timezone.override(None):
        try:
            return do()
        except Exception as fault:  # templates and storages raise whatever they like
            return Unrenderable(reason=f"{type(fault).__name__}: {fault}")
