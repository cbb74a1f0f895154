"""What the system checks say of TASKS. What needs other processes: tests/acceptance."""

from typing import Any

import pytest

from post_office import compat
from post_office.checks import check_celery, check_tasks

if not compat.HAS_TASKS:
    pytest.importorskip("django_tasks", reason="this Django has no Tasks framework, and there is no backport")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("default", "'default' is not a dict such as {'BACKEND': 'default', 'QUEUE': 'default'}."),
        ({"QUEUES": ["mail"]}, "['QUEUES'] are not known; the keys are ['BACKEND', 'QUEUE']."),
        ({"BACKEND": "bulk"}, "the backend 'bulk' of Django's TASKS cannot be used: "),
        ({"QUEUE": "mail"}, "the backend 'default' has no queue 'mail', only ['default']."),
    ],
)
def test_a_setting_that_cannot_work_is_an_error(settings: Any, entry: Any, said: str) -> None:
    settings.POST_OFFICE = {"TASKS": entry}

    (message,) = check_tasks()

    assert message.id == "post_office.E006"
    assert message.msg.startswith(f"POST_OFFICE['TASKS']: {said}")


def test_a_backend_that_delivers_within_the_request_is_a_warning(settings: Any) -> None:
    settings.POST_OFFICE = {"TASKS": {}}

    (message,) = check_tasks()

    assert message.id == "post_office.W001"
    assert "the backend 'default', an ImmediateBackend: mail is delivered by the request" in message.msg


def test_what_is_not_switched_on_is_not_looked_at() -> None:
    assert [*check_tasks(), *check_celery()] == []


def test_celery_that_is_there_is_fine(settings: Any) -> None:
    pytest.importorskip("celery")
    settings.POST_OFFICE = {"CELERY_ENABLED": True}

    assert check_celery() == []
