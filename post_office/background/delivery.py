"""The task. Django wants it at the top of a module, whose import validates the settings."""

from __future__ import annotations

from .. import compat
from . import configured, waker

_configured = configured()


@compat.tasks_framework().task(backend=_configured["BACKEND"], queue_name=_configured["QUEUE"])
def deliver_queued() -> None:
    """Deliver a batch of what is due, and enqueue itself again if there is more."""
    waker.deliver()
