"""HTML of a mail in a page of the admin: a document of its own in a frame, without scripts and an origin.

A mail is written by whoever writes it. Its document runs nothing, sends nothing and reaches nothing of
the admin; the response says so, and so does the frame. Images from elsewhere would tell their owner who
looks at a mail and when, so they are loaded only when they are asked for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

# What a request for a document says to have images of other sites loaded, too: ?images=remote
IMAGES, REMOTE = "images", "remote"
FRAME = "admin/post_office/frame.html"

CID = re.compile(r"cid:([^\s\"'<>()]+)", re.IGNORECASE)
IMAGE_TYPE = re.compile(r"image/[\w.+-]+")
# An SVG opened by its address is a document, too.
IMAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"

_SITE = re.compile(r"(https?:)?//([a-z0-9][a-z0-9.-]*)(:\d{1,5})?(?=[/\s\"'<>()?#]|$)", re.IGNORECASE)
# A header of more is refused by some proxies.
_MOST_SITES = 40


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the HTML of a mail shows."""

    mimetype: str
    content: bytes


def document(request: HttpRequest, html: str, images: Mapping[str, Image] | None = None) -> HttpResponse:
    """Return HTML as a document for a frame of the admin.

    Args:
        images: By their Content-ID; what the HTML shows as `cid:…` (RFC 2392).
    """
    sites = " ".join(_sites(request, html)) if request.GET.get(IMAGES) == REMOTE else ""
    return _sandboxed(mark_safe(_with_images(html, images or {})), sites)


def notice(title: str, text: str) -> HttpResponse:
    """Return text as a document for such a frame: of a mail without HTML, or why there is nothing to see."""
    return _sandboxed(
        format_html(
            '<!DOCTYPE html><html><head><meta charset="utf-8"><title>{}</title><style>'
            "body {{ margin: 1rem; font: 14px/1.5 sans-serif; }}"
            "pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}"
            "</style></head><body><pre>{}</pre></body></html>",
            title,
            text,
        )
    )


def frame(url: str, *, frame_id: str, title: str, html: str = "") -> SafeString:
    """Return a frame that shows a document of this module, at the width of a desk or of a phone.

    It works without JavaScript. A form shows its own response there by `target` or `formtarget`.

    Args:
        url: Of the document; "" for a frame that something is put into later.
        frame_id: `id` and `name` of the frame, unlike any other in the page.
        title: What it shows, for those who do not see it.
        html: That of the document, where it is known: if it has images of other sites, a link loads them.
    """
    return render_to_string(
        FRAME,
        {
            "url": url,
            "id": frame_id,
            "title": title,
            "remote": f"{url}?{IMAGES}={REMOTE}" if url and _SITE.search(html) else "",
        },
    )


def image_response(image: Image) -> HttpResponse:
    """Return an image of a mail under an address of its own."""
    response = HttpResponse(image.content, content_type=image.mimetype)
    response.headers["Content-Security-Policy"] = IMAGE_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def content_ids(html: str) -> set[str]:
    """Return the Content-IDs of the images that this HTML shows."""
    return {unquote(cid) for cid in CID.findall(html)}


def _sandboxed(html: SafeString, sites: str = "") -> HttpResponse:
    response = HttpResponse(html)
    response.headers["Content-Security-Policy"] = (
        f"sandbox; default-src 'none'; img-src {f'data: {sites}'.strip()}; style-src 'unsafe-inline'; "
        f"font-src {f'data: {sites}'.strip()}; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-DNS-Prefetch-Control"] = "off"
    # Browsers refuse to open a sandboxed document that asks for isolation from its opener.
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def _with_images(html: str, images: Mapping[str, Image]) -> str:
    def embed(match: re.Match[str]) -> str:
        image = images.get(unquote(match[1]))
        if image is None:
            return match[0]
        return f"data:{image.mimetype};base64,{base64.b64encode(image.content).decode()}"

    return CID.sub(embed, html)


def _sites(request: HttpRequest, html: str) -> Iterator[str]:
    """Yield what a policy must name for images of other sites, and for static files and media of this one.

    A policy can only allow, and that of all sites would allow ours.
    """
    own = urlsplit(f"//{request.get_host()}").hostname
    found = dict.fromkeys((scheme.lower(), host.lower(), port) for scheme, host, port in _SITE.findall(html))
    for scheme, host, port in list(found)[:_MOST_SITES]:
        if host != own:
            yield f"{scheme}//{host}{port}" if scheme else f"{host}{port}"
    if any(host == own for _scheme, host, _port in found):
        for path in (settings.STATIC_URL, settings.MEDIA_URL):
            if path and path.startswith("/") and path.strip("/") and path.endswith("/"):
                yield request.build_absolute_uri(path)
