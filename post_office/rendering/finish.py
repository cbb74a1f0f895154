"""What is done to texts after they were rendered, where the settings ask for it.

CSS is inlined, for mail programs that ignore style sheets, and mail without text gets one made of its
HTML. Both need a package that not everybody has. Without it mail goes out as it is: better plain than not
at all. The system checks say so beforehand, and a log line once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

from django.utils.module_loading import import_string

from ..conf import conf

logger = logging.getLogger("post_office")

PACKAGES = {"INLINE_CSS": ("css_inline", "css"), "TEXT_FROM_HTML": ("html2text", "text")}


def inline_css(html: str) -> str:
    """Return HTML whose style sheets stand in style attributes. Nothing is loaded from anywhere.

    Rules that no attribute can hold, such as those for narrow screens, stay in the head.
    """
    if not conf.INLINE_CSS or "<style" not in html.lower():
        return html
    try:
        from css_inline import CSSInliner
    except ImportError:
        _miss("INLINE_CSS")
        return html
    return str(CSSInliner(load_remote_stylesheets=False, keep_at_rules=True).inline(html))


def text_of(html: str) -> str:
    """Return the text of a mail that has none, made of its HTML; empty where TEXT_FROM_HTML is off."""
    if not conf.TEXT_FROM_HTML or not html.strip():
        return ""
    convert: Callable[[str], str] = (
        import_string(conf.TEXT_FROM_HTML) if isinstance(conf.TEXT_FROM_HTML, str) else _by_html2text
    )
    return convert(html)


def _by_html2text(html: str) -> str:
    try:
        from html2text import HTML2Text
    except ImportError:
        _miss("TEXT_FROM_HTML")
        return ""
    converter = HTML2Text(bodywidth=0)  # the reader's program breaks lines, at its own width
    converter.unicode_snob = True
    converter.ignore_images = True
    converter.ignore_emphasis = True
    return str(converter.handle(html)).strip()


@cache
def _miss(setting: str) -> None:
    _package, extra = PACKAGES[setting]
    logger.error(
        "POST_OFFICE[%r] does nothing, as its package is not installed: "
        "pip install 'django-post_office[%s]'. Mail goes out without.",
        setting,
        extra,
    )
