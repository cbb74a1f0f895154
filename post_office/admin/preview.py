"""What a mail shows, for readers whom it must not harm.

The HTML of a mail never stands in a page of the admin, see `sandbox`. A mail that does not render shows
why instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from ..models import Attachment, Email
from ..rendering import attachments as files
from ..rendering import templates
from ..rendering.parts import is_whole, restored
from ..rendering.templates import Rendered
from . import sandbox
from .sandbox import Image

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Unrenderable:
    """Why a mail cannot be shown."""

    reason: str


def look(email: Email) -> Rendered | Unrenderable:
    """Return the texts of a mail as its reader gets them. Rendered once per instance."""
    memory = email.__dict__
    if "_look" not in memory:
        memory["_look"] = attempt(lambda: templates.render_on_delivery(email))
    shown: Rendered | Unrenderable = memory["_look"]
    return shown


def subject(email: Email) -> str | Unrenderable:
    """Return the subject of a mail alone, without loading or rendering its bodies."""

    return attempt(lambda: templates.subject_on_delivery(email))


def document(request: HttpRequest, email: Email) -> HttpResponse:
    """Return the mail as a document that may stand in a frame of the admin."""
    shown = look(email)
    if isinstance(shown, Unrenderable):
        return does_not_render(shown)
    wanted = sandbox.content_ids(shown.html_message)
    return document_of(request, shown, dict(_images(email, wanted)) if wanted else {})


def document_of(
    request: HttpRequest, rendered: Rendered, attached: Mapping[str, Image] | None = None
) -> HttpResponse:
    """Return what was rendered as such a document: the HTML, or the text where there is none.

    Args:
        attached: Images beside those of the render, by their Content-ID.
    """
    if not rendered.html_message:
        return sandbox.notice(rendered.subject, rendered.message)
    own = {image.cid: Image(mimetype=image.mimetype, content=image.content) for image in rendered.images}
    return sandbox.document(request, rendered.html_message, {**(attached or {}), **own})


def does_not_render(fault: Unrenderable) -> HttpResponse:
    """Return a document that says why there is none."""
    return sandbox.notice(_("This email cannot be shown"), fault.reason)


def find_image(email: Email, cid: str) -> Image | None:
    """Return the image with this Content-ID, from the render or from the stored attachments."""
    return next((image for known, image in _images(email, {cid}) if known == cid), None)


def _images(email: Email, wanted: set[str]) -> Iterator[tuple[str, Image]]:
    shown = look(email)
    if isinstance(shown, Rendered):
        for image in shown.images:
            if image.cid in wanted:
                yield image.cid, Image(mimetype=image.mimetype, content=image.content)
    for attachment in files.of(email):
        headers = {name.lower(): str(value) for name, value in dict(attachment.headers or {}).items()}
        cid = headers.get("content-id", "").strip("<> ")
        if cid not in wanted or not sandbox.IMAGE_TYPE.fullmatch(attachment.mimetype):
            continue
        content = attempt(partial(content_of, attachment))
        if isinstance(content, bytes):
            yield cid, Image(mimetype=attachment.mimetype, content=content)


def content_of(attachment: Attachment) -> bytes:
    """Return an attached file as its reader gets it, however it is stored. Raises what a storage raises."""
    content = files.read(attachment)
    if is_whole(attachment):
        return content
    item = restored(attachment, content)
    if isinstance(item, Message):
        decoded = item.get_payload(decode=True)
        return decoded if isinstance(decoded, bytes) else item.as_bytes()
    held = item[1]
    if isinstance(held, Message):
        return held.as_bytes()
    return held.encode(errors="surrogatepass") if isinstance(held, str) else bytes(held)


def attempt(do: Callable[[], Result]) -> Result | Unrenderable:
    """Do it as a worker would, whose language and time zone are not those of the reader."""
    with translation.override(settings.LANGUAGE_CODE), timezone.override(None):
        try:
            return do()
        except Exception as fault:  # templates and storages raise whatever they like
            return Unrenderable(reason=f"{type(fault).__name__}: {fault}")
