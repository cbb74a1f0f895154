"""Mail that a wrong clock dated into the future."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Email
from post_office.queue import clocks

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def send(**arguments: Any) -> Email:
    return mail.send("ann@example.com", "me@example.com", subject="s", message="m", **arguments)


def test_mail_that_was_queued_by_a_clock_an_hour_ahead_goes_with_the_next_run(caplog: Any) -> None:
    email = send()
    Email.objects.filter(pk=email.pk).update(created=timezone.now() + HOUR)
    assert mail.send_queued() == (1, 0, 0)
    assert "1 emails were queued in the future; they are due now." in caplog.text


def test_mail_that_is_scheduled_keeps_its_time() -> None:
    email = send(scheduled_time=timezone.now() + 2 * HOUR)
    Email.objects.filter(pk=email.pk).update(created=timezone.now() + HOUR)
    assert clocks.bring_back(timezone.now()) == 0
    assert mail.send_queued() == (0, 0, 0)


def test_mail_that_is_finished_or_of_the_past_keeps_its_date() -> None:
    now = timezone.now()
    finished, _past = send(), send()
    Email.objects.filter(pk=finished.pk).update(created=now + HOUR, status=STATUS.sent)
    before = list(Email.objects.order_by("pk").values_list("created", flat=True))
    assert clocks.bring_back(now) == 0
    assert list(Email.objects.order_by("pk").values_list("created", flat=True)) == before
