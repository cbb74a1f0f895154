"""System checks of what becomes of templates."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from .conf import conf
from .rendering import finish


def check_rendering(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """What is to be done to rendered texts can be done."""
    found: list[CheckMessage] = [
        checks.Error(
            f"POST_OFFICE[{setting!r}] needs a package that is not installed.",
            hint=f"pip install 'django-post_office[{extra}]'",
            id="post_office.E030",
        )
        for setting, (package, extra) in finish.PACKAGES.items()
        if getattr(conf, setting) is True and find_spec(package) is None
    ]
    if isinstance(conf.TEXT_FROM_HTML, str):
        try:
            import_string(conf.TEXT_FROM_HTML)
        except ImportError as fault:
            sentence = f"POST_OFFICE['TEXT_FROM_HTML']: {conf.TEXT_FROM_HTML!r} cannot be imported: {fault}"
            found.append(checks.Error(sentence, id="post_office.E031"))
    return found
