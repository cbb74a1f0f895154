"""Celery's tasks, under the name by which its autodiscover_tasks() finds them.

They exist when CELERY_ENABLED is set and Celery is installed; else this module only has a handler
that does nothing. So, unlike elsewhere, the setting is read at import: a worker lists what is here.
"""

from __future__ import annotations

import logging
from io import StringIO
from typing import Any

from django.core.management import call_command

from .conf import conf
from .wakeup import Waker

logger = logging.getLogger("post_office")


def _celerys_decorator() -> Any:
    """Return what makes a task, or None where Celery is not wanted or not installed."""
    if not conf.CELERY_ENABLED:
        return None
    try:
        from celery import shared_task
    except ImportError:  # a system check says so
        return None
    return shared_task


if shared_task := _celerys_decorator():

    @shared_task(ignore_result=True)
    def send_queued_mail(processes: int = 1, log_level: int | None = None) -> None:
        """Deliver a batch of what is due, and enqueue itself again if there is more.

        Args:
            processes: Celery's default pool allows 1 only.
            log_level: As in LOG_LEVEL, which is the default.
        """
        waker.deliver(processes, log_level)

    @shared_task(ignore_result=True)
    def cleanup_mail(days: int = 90, delete_attachments: bool = True) -> None:
        """Delete finished mail older than some days, as the command of this name does."""
        _clean_up(days, delete_attachments)

    @shared_task(ignore_result=True)
    def cleanup_expired_mails(days: int = 90, delete_attachments: bool = True) -> None:
        """Do what `cleanup_mail` does; the name that older schedules have."""
        _clean_up(days, delete_attachments)

    def queued_mail_handler(sender: Any, **kwargs: Any) -> None:
        """Wake a worker after the commit; receives `email_queued`."""
        waker.after_commit(kwargs.get("emails", ()))

    def _clean_up(days: int, delete_attachments: bool) -> None:
        report = StringIO()
        call_command("cleanup_mail", days=days, delete_attachments=delete_attachments, stdout=report)
        logger.info(report.getvalue().strip())

    # A call through the task's name, as looking at the task would fix the Celery app, which may not be
    # the project's yet.
    waker = Waker("Celery", lambda: send_queued_mail.delay())

else:

    def queued_mail_handler(sender: Any, **kwargs: Any) -> None:
        """Do nothing, as Celery is not in use."""
