"""Fixtures: the admin under a strict content security policy, and headless Chromium that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.test import Client, override_settings
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests import services
from tests.acceptance.project import Project, smtp_backend
from tests.acceptance.smtp_server import SMTPServer
from tests.browser import policy
from tests.browser.chromium import launch
from tests.browser.watching import Watch

DESK, PHONE = 1280, 390  # widths in pixels
MILLISECONDS_OF_PATIENCE = 20_000
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    policy.MIDDLEWARE,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    services.require("chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright has an event loop in the thread of the tests, where Django refuses to ask a database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(chromium: Browser, django_db_setup: None) -> Iterator[str]:
    """Where the admin is served; the browser comes first, as nothing else is needed without one."""
    middleware = [*MIDDLEWARE, *configured.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware, **policy.SETTINGS):
        live = LiveServer("127.0.0.1")
        yield live.url
        live.stop()


@pytest.fixture
def server() -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        yield server


@pytest.fixture
def project(
    site: str, transactional_db: None, tmp_path: Path, server: SMTPServer, settings: Any
) -> Iterator[Project]:
    """A project whose processes, like the site, deliver to `server`."""
    project = Project(tmp_path, server)
    project.post_office["BACKENDS"]["bulk"] = smtp_backend(server)
    settings.POST_OFFICE = project.post_office
    yield project
    project.end()


@pytest.fixture
def open_page(chromium: Browser, site: str, project: Project) -> Iterator[OpenPage]:
    """Open a page as a member of staff; where anything goes wrong in one, the test fails."""
    opened: list[tuple[Page, Watch]] = []

    def open_page(
        path: str = "/admin/",
        *,
        as_staff: bool = True,
        width: int = DESK,
        dark: bool = False,
        expected: Mapping[str, str] | None = None,
    ) -> Page:
        context = chromium.new_context(
            base_url=site,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
        )
        context.set_default_timeout(MILLISECONDS_OF_PATIENCE)
        if as_staff:
            context.add_cookies([{"name": "sessionid", "value": session(), "url": site}])
        page, watch = context.new_page(), Watch(context, site)
        watch.expected.update(expected or {})
        opened.append((page, watch))
        page.goto(path)
        return page

    yield open_page
    faults = [fault for page, watch in opened for fault in watch.unexpected()]
    for page, _watch in opened:
        page.context.close()
    assert not faults, "\n".join(faults)


def session() -> str:
    """Return the session of somebody who may do everything."""
    user, _made = User.objects.get_or_create(
        username="olga", email="olga@example.com", is_staff=True, is_superuser=True
    )
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_page()
