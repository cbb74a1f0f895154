"""The logger `post_office`: where commands let it write, and errors about the queue itself.

Importing this sets nothing up, and a project that configures the logger itself is left alone.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from logging.config import dictConfig

logger = logging.getLogger("post_office")

_complaining: ContextVar[bool] = ContextVar("post_office_complaining", default=False)


def complain(sentence: str, *values: object, fault: BaseException) -> None:
    """Log an error that keeps mail from being queued or delivered.

    A project may have its errors mailed to the admins, by this very queue, which fails there again. What
    goes wrong while we complain is not complained of.
    """
    if is_complaining():
        return
    token = _complaining.set(True)
    try:
        logger.error(sentence, *values, exc_info=fault)
    finally:
        _complaining.reset(token)


def is_complaining() -> bool:
    """Return whether we are called by a handler of the log, for an error of our own."""
    return _complaining.get()


def setup_loghandlers(level: int | str | None = None) -> logging.Logger:
    """Write the log to the standard error, unless the project handles this logger itself."""
    if not logger.handlers and not logging.getLogger().handlers:
        dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {
                    "post_office": {
                        "format": "[%(levelname)s]%(asctime)s PID %(process)d: %(message)s",
                        "datefmt": "%Y-%m-%d %H:%M:%S",
                    }
                },
                "handlers": {"post_office": {"class": "logging.StreamHandler", "formatter": "post_office"}},
                "loggers": {"post_office": {"handlers": ["post_office"], "level": level or "INFO"}},
            }
        )
    return logger
