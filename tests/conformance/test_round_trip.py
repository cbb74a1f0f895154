"""The harness of Django's own tests: it notices a loss, and says what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from post_office.models import Email
from post_office.querysets import EmailQuerySet
from post_office.signals import email_queued
from tests.conformance import django_source, round_trip


class TestTheRoundTrip(round_trip.ThroughTheQueue):
    """What a test sees is what became of the row."""

    def setUp(self) -> None:
        email_queued.connect(alter)
        self.addCleanup(email_queued.disconnect, alter)

    def test_what_the_outbox_has_was_a_row(self) -> None:
        mail.send_mail("subject", "body", "me@example.com", ["ann@example.com"])
        assert [message.subject for message in mail.outbox] == ["altered"]

    def test_what_a_message_looks_like_was_a_row(self) -> None:
        assert EmailMessage("subject", "body").message()["Subject"] == "altered"

    def test_whom_a_message_goes_to_was_a_row(self) -> None:
        assert EmailMessage(to=["ann@example.com"]).recipients() == ["bob@example.com"]

    def test_mail_that_does_not_arrive_is_a_failure(self) -> None:
        email_queued.connect(mislead)
        self.addCleanup(email_queued.disconnect, mislead)
        with pytest.raises(round_trip.NotDelivered, match="gone"):
            EmailMessage("subject", "body").message()


def alter(sender: type[Email], emails: list[Email], **kwargs: Any) -> None:
    of_these(emails).update(subject="altered", to="bob@example.com")


def mislead(sender: type[Email], emails: list[Email], **kwargs: Any) -> None:
    of_these(emails).update(backend_alias="gone")


def of_these(emails: list[Email]) -> EmailQuerySet:
    return Email.objects.filter(pk__in=[email.pk for email in emails])


def test_it_is_said_why_the_tests_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(django_source.Unavailable, match=r"Django 0\.1 cannot be fetched: .*No matching dist"):
        django_source.fetch("0.1", tmp_path)
