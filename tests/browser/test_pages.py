"""The pages on which staff look at mail, as somebody goes through them with a mouse."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from post_office.models import Email
from tests.acceptance.smtp_server import SMTPServer
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.scene import Scene, set_up

EMAILS = "/admin/post_office/email/"


@pytest.fixture
def scene(project: object, server: SMTPServer) -> Scene:
    return set_up(server)


def width(element: Locator) -> float:
    box = element.bounding_box()
    assert box
    return box["width"]


def expect_subjects(page: Page, *subjects: str) -> None:
    expect(page.locator("#result_list td.field-shortened_subject")).to_have_text(list(subjects))


def test_the_overview_leads_to_what_it_counts(scene: Scene, page: Page) -> None:
    page.goto("/admin/post_office/")
    page.locator("#content").get_by_role("link", name="Overview").click()
    expect(page.get_by_role("alert")).to_contain_text("nobody is sending it")
    page.get_by_role("link", name="Scheduled").click()
    expect_subjects(page, "Tomorrow")
    page.go_back()
    page.get_by_text("The last hour as a table").click()
    expect(page.locator("figure").first.locator("table")).to_be_visible()
    page.get_by_role("region", name="Why mail failed").get_by_role("link").click()
    expect_subjects(page, "Are you there?")


def test_the_list_is_filtered_and_searched(scene: Scene, page: Page) -> None:
    page.goto(EMAILS)
    page.locator("#changelist-filter").get_by_role("link", name="requeued").click()
    expect_subjects(page, "Much to read", "To two")
    page.locator("#changelist-filter").get_by_role("link", name="Clear all filters").click()
    page.locator("#searchbar").fill("ben@example.com")
    page.locator("#changelist-search").get_by_role("button", name="Search").click()
    expect_subjects(page, "Your order is on its way")
    page.locator("#searchbar").fill("logo")
    page.locator("#searchbar").press("Enter")
    expect_subjects(page, "With our logo")
    expect(page.locator(".post-office-note")).to_contain_text("in parts of texts")


def test_each_tab_of_a_mail(scene: Scene, page: Page) -> None:
    page.goto(f"{EMAILS}{scene.sent.pk}/change/")
    expect(page.frame_locator("#email-html").locator("h1")).to_have_text("Your order")
    shown = {
        "Text": "Dear Ann, it is on its way.",
        "Timeline": "sent",
        "Attachments": "invoice-2026-0815",
        "Headers": "shop@example.com",
        "Details": "2026-0815",
        "As stored": "number_of_retries",
    }
    for name, text in shown.items():
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_role("tabpanel", name=name)).to_contain_text(text)
        expect(page.locator("[role=tabpanel]:visible")).to_have_count(1)
        expect(page).to_have_url(re.compile(r"#tab-\w+$"))
    page.get_by_role("tab", name="Source").click()
    expect(page.frame_locator("#email-source").locator("pre")).to_contain_text("MIME-Version: 1.0")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download .eml").click()
    assert b"Your order is on its way" in download.value.path().read_bytes()


def test_the_frames_are_as_wide_as_a_desk_or_a_phone(scene: Scene, open_page: OpenPage) -> None:
    page = open_page(f"{EMAILS}{scene.sent.pk}/change/")
    for tab, name in (("HTML", "email-html"), ("Source", "email-source")):
        page.get_by_role("tab", name=tab).click()
        frame, panel = page.locator(f"#{name}"), page.get_by_role("tabpanel", name=tab)
        assert width(frame) > 0.95 * width(panel)
        panel.get_by_text("Phone").click()
        assert width(frame) == 375
        panel.get_by_text("Desktop").click()
        assert width(frame) > 0.95 * width(panel)
    small = open_page(f"{EMAILS}{scene.sent.pk}/change/", width=PHONE)
    assert 0.9 * PHONE < width(small.locator("#email-html")) <= PHONE


def test_images_of_a_mail_are_seen(scene: Scene, page: Page) -> None:
    email = Email.objects.get(subject="With our logo")
    page.goto(f"{EMAILS}{email.pk}/change/")
    logo = page.frame_locator("#email-html").get_by_alt_text("Logo")
    expect(logo).to_be_visible()
    assert logo.evaluate("(image) => image.complete && image.naturalWidth > 0")
