"""A member of staff writes a template in two languages, sees what it would send, and sends herself a test."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from post_office import mail
from post_office.models import EmailTemplate
from tests.acceptance.smtp_server import SMTPServer
from tests.browser.conftest import OpenPage

TEMPLATES = "/admin/post_office/emailtemplate/"


def test_a_template_in_two_languages(page: Page, server: SMTPServer) -> None:
    page.goto(f"{TEMPLATES}add/")
    page.locator("#id_name").fill("shipped")
    page.locator("#id_subject").fill("Order {{ number }}")
    page.locator("#id_html_content").fill("<h1>On its way</h1><p>Dear {{ name }}</p>")
    expect(page.locator("#template-variables")).to_contain_text("number not in the sample context")
    page.locator("#template-fill").click()
    context = page.locator("#id_sample_context")
    assert json.loads(context.input_value()).keys() == {"name", "number"}
    context.fill('{"name": "Ann", "number": 815}')
    frame = page.frame_locator("#template-preview")
    expect(frame.locator("p")).to_have_text("Dear Ann")
    expect(page.locator("#template-subject")).to_have_text("Order 815")

    page.locator("#template-add-language").select_option("de")
    page.get_by_role("button", name="Add this language").click()
    expect(page.get_by_role("tab", name="German")).to_have_attribute("aria-selected", "true")
    german = page.get_by_role("tabpanel", name="German")
    german.locator("[id$=-subject]").fill("Bestellung {{ number }}")
    html = german.locator("[id$=-html_content]")
    html.fill("<h1>Unterwegs</h1>\n<p>Hallo {{ name|nonsense }}</p>")
    problem = page.locator("#template-problems button")
    expect(problem).to_contain_text("Line 2, column 10")
    page.get_by_role("tab", name="Default text").click()
    expect(frame.locator("h1")).to_have_text("On its way")
    page.get_by_role("tab", name="German").click()
    problem.click()
    expect(html).to_be_focused()
    html.fill("<h1>Unterwegs</h1>\n<p>Hallo {{ name }}</p>")
    expect(page.locator("#template-problems")).to_have_text("No mistakes found.")
    expect(frame.locator("p")).to_have_text("Hallo Ann")

    page.get_by_role("button", name="Send me a test").click()
    server.wait_until_accepted(1)
    expect(page.locator("#template-said")).to_contain_text("olga@example.com")
    page.get_by_role("tab", name="Default text").click()
    page.get_by_role("button", name="Send me a test").click()
    server.wait_until_accepted(2)
    assert [accepted.recipients for accepted in server.accepted] == [["olga@example.com"]] * 2
    told = [str(accepted.message["Subject"]) for accepted in server.accepted]
    assert ["Bestellung 815" in told[0], "Order 815" in told[1]] == [True, True]
    assert not EmailTemplate.objects.exists()  # a test saves nothing

    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".messagelist")).to_contain_text("was added successfully")
    expect(page.get_by_role("tab", name="German")).to_be_visible()
    sent = [
        mail.send(
            "ann@example.com",
            "shop@example.com",
            template="shipped",
            language=language,
            context={"name": "Ben", "number": 7},
        ).subject
        for language in ("", "de")
    ]
    assert sent == ["Order 7", "Bestellung 7"]


def test_an_older_version_is_restored(open_page: OpenPage) -> None:
    template = EmailTemplate.objects.create(name="shipped", subject="First", content="One")
    page = open_page(f"{TEMPLATES}{template.pk}/change/")
    page.locator("#id_subject").fill("Second")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(f"{TEMPLATES}{template.pk}/change/")
    page.get_by_role("link", name="Versions").click()
    page.locator("#content table tbody tr").last.get_by_role("link").first.click()
    expect(page.locator("#content")).to_contain_text("First")
    page.get_by_role("link", name="Restore").or_(page.get_by_role("button", name="Restore")).click()
    page.locator("#confirm-form").get_by_role("button", name="Restore").click()
    expect(page.locator(".messagelist")).to_be_visible()
    template.refresh_from_db()
    assert template.subject == "First"
