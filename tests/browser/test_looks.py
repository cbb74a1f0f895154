"""Each page, light and dark, on a desk and on a phone: nothing grave for those who see it with difficulty or
not at all, and nothing that must be scrolled sideways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.acceptance.smtp_server import SMTPServer
from tests.browser import accessibility
from tests.browser.conftest import DESK, PHONE, OpenPage
from tests.browser.scene import Scene, set_up

EMAILS = "/admin/post_office/email/"
LOOKS: dict[str, tuple[int, bool, list[str] | None]] = {
    "on a desk": (DESK, False, None),
    "in the dark": (DESK, True, accessibility.IN_THE_DARK),
    "on a phone": (PHONE, False, accessibility.ON_A_PHONE),
}


def addresses(scene: Scene) -> Iterator[str]:
    """Yield that of each page, which are those of our own and those that we add to."""
    yield "/admin/post_office/"
    yield f"{EMAILS}overview/"
    yield EMAILS
    yield f"{EMAILS}?q=ann"
    yield f"{EMAILS}?q=somebody@example.com"
    yield f"{EMAILS}{scene.sent.pk}/change/"
    yield f"{EMAILS}{scene.failed.pk}/change/#tab-timeline"
    yield f"{EMAILS}{scene.waiting.pk}/change/"
    yield f"{EMAILS}{scene.sent.pk}/resend/"
    yield f"{EMAILS}{scene.waiting.pk}/priority/"
    yield f"{EMAILS}{scene.waiting.pk}/reschedule/"
    yield f"{EMAILS}add/"
    yield "/admin/post_office/backendstate/"
    yield "/admin/post_office/emailtemplate/"
    yield f"/admin/post_office/emailtemplate/{scene.template.pk}/change/"
    yield f"/admin/post_office/emailtemplate/{scene.template.pk}/versions/"
    yield "/admin/post_office/log/"


@pytest.mark.parametrize("look", LOOKS)
def test_every_page(open_page: OpenPage, server: SMTPServer, look: str) -> None:
    width, dark, rules = LOOKS[look]
    scene = set_up(server)
    page = open_page(width=width, dark=dark)
    faults: list[str] = []
    known: set[str] = set()
    for address in addresses(scene):
        page.goto(address)
        # What is around the content is of Django, and was looked at once.
        found = [*accessibility.faults(page, rules, inside="#content" if rules else "html"), *too_wide(page)]
        found += in_tabs(page, rules, known)
        faults += [f"{address}: {fault}" for fault in found]
    assert not faults, "\n".join(faults)


def in_tabs(page: Page, rules: list[str] | None, known: set[str]) -> Iterator[str]:
    """Yield what is wrong in the sections of which the page shows one at a time, but those that are known."""
    for tab in page.get_by_role("tab").all():
        name = tab.inner_text()
        if name in known or tab.get_attribute("aria-selected") == "true":
            continue
        known.add(name)
        tab.click()
        yield from accessibility.faults(page, rules, inside="[role=tabpanel]:not([hidden])")
        yield from too_wide(page)


def too_wide(page: Page) -> list[str]:
    sizes = "() => { const page = document.documentElement; return [page.scrollWidth, page.clientWidth] }"
    wide, there = page.evaluate(sizes)
    return [f"it is {wide} pixels wide, where there are {there}"] if wide > there else []
