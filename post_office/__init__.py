"""A mail queue for Django: `mail.send()` stores a row, a dispatcher delivers it.

Importing this package does nothing: no settings are read, no models are loaded.
"""

from typing import Any

from .version import VERSION, VERSION_STRING

__all__ = ["VERSION", "VERSION_STRING", "EmailBackend"]


def __getattr__(name: str) -> Any:
    # EMAIL_BACKEND = "post_office.EmailBackend" names a class that needs the models, which are not
    # there yet when Django imports this package as an app. So it is looked up when asked for.
    if name == "EmailBackend":
        from .backends import EmailBackend

        return EmailBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
