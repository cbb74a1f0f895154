"""The words of the log: one receiver for each fact that the queue reports."""

from __future__ import annotations

import logging
from typing import Any

from . import signals
from .models import Email
from .queue.outcomes import Failed, Retry, Sent

logger = logging.getLogger("post_office")


def connect() -> None:
    """Connect the receivers that word what happens to mail."""
    signals.email_sent.connect(_sent, sender=Email, dispatch_uid="post_office.log_sent")
    signals.email_failed.connect(_failed, sender=Email, dispatch_uid="post_office.log_failed")
    signals.email_requeued.connect(_requeued, sender=Email, dispatch_uid="post_office.log_requeued")
    signals.email_expired.connect(_expired, sender=Email, dispatch_uid="post_office.log_expired")


def _sent(emails: list[Email], outcomes: list[Sent], **facts: Any) -> None:
    for email, outcome in zip(emails, outcomes, strict=True):
        logger.debug("Sent email %s.", email.pk)
        if outcome.report is not None:
            logger.error(
                "Email %s was sent by backend %s, but not to all: %s",
                email.pk,
                outcome.backend,
                outcome.report.message,
            )


def _failed(emails: list[Email], outcomes: list[Failed], **facts: Any) -> None:
    for email, outcome in zip(emails, outcomes, strict=True):
        report = outcome.report
        logger.error(
            "Email %s failed by backend %s: %s: %s",
            email.pk,
            outcome.backend,
            report.exception_type,
            report.message,
        )


def _requeued(emails: list[Email], outcomes: list[Retry], **facts: Any) -> None:
    for email, outcome in zip(emails, outcomes, strict=True):
        report = outcome.report
        logger.warning(
            "Email %s is tried again at %s by backend %s after %s: %s",
            email.pk,
            outcome.at.isoformat(timespec="seconds"),
            outcome.backend,
            report.exception_type,
            report.message,
        )


def _expired(emails: list[Email], **facts: Any) -> None:
    for email in emails:
        logger.warning("Email %s expired before it could be sent.", email.pk)
