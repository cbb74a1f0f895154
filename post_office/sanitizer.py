"""HTML of a mail, made harmless for showing it inside a page of the admin."""

from __future__ import annotations

import bleach
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer
from django.utils.safestring import SafeString, mark_safe

tags = frozenset(
    """
    a abbr acronym address b big blockquote br caption center cite code col colgroup dd del dfn dir div
    dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q s samp small span strike strong
    sub sup table tbody td tfoot th thead tr tt u ul var
    """.split()  # noqa: SIM905 - read by people
)

attributes = {
    "*": ["class", "dir", "lang", "style", "title"],
    "a": ["href", "name", "rel", "target"],
    "font": ["color", "face", "size"],
    "img": ["alt", "border", "height", "src", "width"],
    "table": ["align", "bgcolor", "border", "cellpadding", "cellspacing", "width"],
    "td": ["align", "bgcolor", "colspan", "height", "rowspan", "valign", "width"],
    "th": ["align", "bgcolor", "colspan", "height", "rowspan", "valign", "width"],
    "tr": ["align", "bgcolor", "valign"],
    "col": ["align", "span", "width"],
}

_BOX = frozenset(
    f"{what}{side}"
    for what in ("border", "margin", "padding")
    for side in ("", "-top", "-right", "-bottom", "-left")
)
css_properties = (
    ALLOWED_CSS_PROPERTIES | _BOX | {"background", "border-radius", "border-spacing", "max-width"}
)


def clean_html(body: str) -> SafeString:
    """Return HTML without scripts, forms, event handlers, comments and foreign schemes of links."""
    cleaned: str = bleach.clean(
        body,
        tags=tags,
        attributes=attributes,
        protocols={"http", "https", "mailto", "tel"},
        strip=True,
        strip_comments=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=css_properties),
    )
    return mark_safe(cleaned)
