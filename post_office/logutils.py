"""The logger `post_office`, and where commands let it write.

Importing this sets nothing up, and a project that configures the logger itself is left alone.
"""

from __future__ import annotations

import logging
from logging.config import dictConfig

logger = logging.getLogger("post_office")


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
