"""Fixtures for every test."""

import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings

# Where send_mail() goes, by the old setting or the one of Django 6.1, before the test environment changes it.
CONFIGURED = {
    name: getattr(settings, name) for name in ("EMAIL_BACKEND", "MAILERS") if settings.is_overridden(name)
}


def pytest_sessionstart() -> None:
    settings.TEST_FOLDER.mkdir(parents=True)


@pytest.hookimpl(trylast=True)  # after the database in it is dropped
def pytest_sessionfinish() -> None:
    shutil.rmtree(settings.TEST_FOLDER)


@pytest.fixture(autouse=True, scope="session")
def django_test_environment(django_test_environment: None) -> Iterator[None]:
    """Let send_mail() reach the queue: Django's test environment puts its locmem backend in the way.

    The argument is pytest-django's fixture of the same name.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CONFIGURED.items():
            patch.setattr(settings, name, value)
        yield
