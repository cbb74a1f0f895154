"""Queueing and delivering brings no warning, of Django's or of any other, however a project is configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from post_office.compat import HAS_MAILERS, HAS_MODERN_EMAIL
from tests.acceptance.project import WARNINGS, Project, smtp_backend
from tests.acceptance.smtp_server import HOST, SMTPServer

QUEUE = "post_office.EmailBackend"


def by_backends(server: SMTPServer) -> dict[str, Any]:
    return {"EMAIL_BACKEND": QUEUE, "POST_OFFICE": {"BACKENDS": {"default": smtp_backend(server)}}}


def by_the_settings_for_a_server(server: SMTPServer) -> dict[str, Any]:
    return {
        "EMAIL_BACKEND": QUEUE,
        "EMAIL_HOST": HOST,
        "EMAIL_PORT": server.port,
        "POST_OFFICE": {"BACKENDS": {"default": "smtp"}},
    }


def by_mailers(server: SMTPServer) -> dict[str, Any]:
    queue = {"BACKEND": QUEUE, "OPTIONS": {"using": "smtp"}}
    return {"MAILERS": {"default": queue, "smtp": smtp_backend(server)}, "POST_OFFICE": {}}


def by_mailers_and_a_default(server: SMTPServer) -> dict[str, Any]:
    return {
        "MAILERS": {"default": {"BACKEND": QUEUE}, "smtp": smtp_backend(server)},
        "POST_OFFICE": {"DEFAULT_MAILER": "smtp"},
    }


# Django 6.1 warns of each setting that is older than MAILERS, which is the project's own affair.
OLDER_THAN_MAILERS = ",".join(
    f"ignore:The {name} setting is deprecated:PendingDeprecationWarning"
    for name in ("EMAIL_HOST", "EMAIL_PORT")
)


@pytest.mark.parametrize(
    ("configured", "warnings"),
    [
        (by_backends, WARNINGS),
        (by_the_settings_for_a_server, f"{WARNINGS},{OLDER_THAN_MAILERS}"),
        (by_mailers, "error"),
        (by_mailers_and_a_default, "error"),
    ],
)
def test_no_warning_comes_of_mail_that_is_sent(
    configured: Callable[[SMTPServer], dict[str, Any]], warnings: str, project: Project, server: SMTPServer
) -> None:
    settings = configured(server)
    if "MAILERS" in settings and not HAS_MAILERS:
        pytest.skip("this Django has no MAILERS")
    people = ["boss@example.com"] if HAS_MODERN_EMAIL else [("Boss", "boss@example.com")]
    project.post_office = settings.pop("POST_OFFICE")
    project.settings = {**settings, "ADMINS": people, "MANAGERS": people}
    project.warnings = warnings

    finished = project.start_program("tests.conformance.sender").finish()

    assert (finished.code, finished.complaints) == (0, [])
    assert finished.summary == (9, 9, 0, 0)
    assert len(server.accepted) == 9
