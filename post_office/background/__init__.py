"""Django's Tasks framework, or its backport for Django 5.2, where TASKS says to wake workers by it.

The task is in `background.delivery`, which is imported by the first mail that is queued and by
workers: making a Task validates the project's settings, and what is wrong there should be said by a
system check, not stop the project. Nothing here is called `tasks`, as Celery and Huey import every
module of that name.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from .. import signals
from ..conf import conf
from ..wakeup import Waker

# By its path, as workers find it too.
TASK = "post_office.background.delivery.deliver_queued"
KEYS = {"BACKEND": "default", "QUEUE": "default"}


def connect() -> None:
    """Let queued mail wake a worker, where TASKS is set."""
    if conf.TASKS is not None:
        signals.email_queued.connect(_queued, dispatch_uid="post_office.background")


def configured() -> dict[str, str]:
    """Return the alias in Django's TASKS as "BACKEND", and the name of the "QUEUE"."""
    return {**KEYS, **(conf.TASKS or {})}


def _queued(emails: list[Any], **facts: Any) -> None:
    waker.after_commit(emails)


def _enqueue() -> None:
    import_string(TASK).enqueue()


waker = Waker("Django's Tasks framework", _enqueue)
