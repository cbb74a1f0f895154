"""A member of staff writes a template: in two languages, with mistakes, a preview, and a test to herself."""

import json

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from post_office.models import Email, EmailTemplate, TemplateVersion
from tests.acceptance.smtp_server import SMTPServer
from tests.browser import accessibility
from tests.browser.conftest import DESK, PHONE, OpenPage

ADD = "/admin/post_office/emailtemplate/add/"
GERMAN = "translated_templates-0"


@pytest.fixture
def template(transactional_db: None) -> EmailTemplate:
    made = EmailTemplate.objects.create(
        name="shipped",
        subject="Order {{ number }}",
        content="Dear {{ name }},\nit is on its way.",
        html_content="<p>Dear <b>{{ name }}</b></p>",
        sample_context='{"name": "Ann"}',
    )
    made.translated_templates.create(language="de", subject="Bestellung {{ number }}", content="Unterwegs")
    return made


def edit(page: Page, template: EmailTemplate) -> None:
    page.goto(f"/admin/post_office/emailtemplate/{template.pk}/change/")
    expect(page.get_by_role("tab", name="Default text")).to_be_visible()
    expect(page.locator("#template-problems")).not_to_be_empty()


def cursor(page: Page, control: str) -> int:
    place = page.evaluate(
        "id => document.activeElement.id === id && document.activeElement.selectionStart", control
    )
    assert place is not False, "the cursor is elsewhere"
    return int(place)


def test_a_template_is_written_in_two_languages_and_tried(page: Page, server: SMTPServer) -> None:
    User.objects.update(email="olga@example.com")
    page.goto(ADD)
    page.locator("#id_name").fill("welcome")
    page.locator("#id_subject").fill("Welcome, {{ name }}")
    page.locator("#id_html_content").fill("<h1>Hello {{ name }}</h1>")
    page.get_by_role("button", name="Add the missing ones to the sample context").click()
    expect(page.locator("#template-subject")).to_have_text("Welcome, name")
    shown = page.frame_locator("#template-preview")
    expect(shown.locator("h1")).to_have_text("Hello name")

    page.get_by_label("Add a language").select_option(label="German (missing)")
    page.get_by_role("button", name="Add this language").click()
    page.keyboard.type("Willkommen, {{ name }}")  # into the subject, where the cursor is
    expect(page.get_by_role("tab", name="German")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#template-subject")).to_have_text("Willkommen, name")
    expect(shown.locator("h1")).to_have_count(0)
    assert not EmailTemplate.objects.exists()

    page.get_by_role("button", name="Send me a test").click()
    expect(page.locator("#template-said")).to_have_text("The email has been sent to olga@example.com.")
    assert server.accepted[0].message["Subject"] == "Willkommen, name"

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("added successfully")
    saved = [(each.language, each.subject) for each in EmailTemplate.objects.order_by("language")]
    assert saved == [("", "Welcome, {{ name }}"), ("de", "Willkommen, {{ name }}")]
    assert json.loads(EmailTemplate.objects.get(language="").sample_context or "") == {"name": "name"}


def test_a_mistake_leads_to_its_place_in_whichever_language_it_is(
    page: Page, template: EmailTemplate
) -> None:
    edit(page, template)
    page.locator("#id_content").fill("Dear\n  {{ name|nope }}")
    problem = page.get_by_role("button", name="Content: Line 2, column 3: Invalid filter: 'nope'")
    problem.click()
    assert cursor(page, "id_content") == 7
    expect(page.locator("#template-default .post-office-wrong")).to_have_count(1)
    expect(page.frame_locator("#template-preview").locator("b")).to_have_text("Ann")

    page.get_by_role("tab", name="German").click()
    expect(problem).to_have_count(0)
    expect(page.get_by_role("tab", name="Default text")).to_have_class("post-office-faulty")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("tab", name="Default text")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".errorlist")).to_have_text("Line 2, column 3: Invalid filter: 'nope'")
    problem.click()
    assert cursor(page, "id_content") == 7


def test_the_keyboard_alone_is_enough_and_is_never_trapped(page: Page, template: EmailTemplate) -> None:
    edit(page, template)
    page.get_by_role("tab", name="Default text").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="German")).to_be_focused()
    expect(page.locator(f"#id_{GERMAN}-content")).to_be_visible()
    page.keyboard.press("Home")
    text = page.locator("#id_content")
    text.focus()
    page.keyboard.press("Control+Home")
    page.keyboard.press("Tab")
    toggle = page.get_by_role("button", name="Tab key indents").first
    expect(toggle).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(text).to_have_value("  Dear {{ name }},\nit is on its way.")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(toggle).to_be_focused()
    expect(toggle).to_have_attribute("aria-pressed", "false")


def test_the_enter_key_saves(page: Page, template: EmailTemplate) -> None:
    edit(page, template)
    page.locator("#id_subject").fill("Saved")
    page.locator("#id_subject").press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("changed successfully")
    template.refresh_from_db()
    assert template.subject == "Saved"


def test_a_language_is_removed_before_and_after_it_is_saved(page: Page, template: EmailTemplate) -> None:
    edit(page, template)
    for name in ("Indonesian (missing)", "English"):
        page.get_by_label("Add a language").select_option(label=name)
        page.get_by_role("button", name="Add this language").click()
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_text(["Default text", "German", "Indonesian", "English"])
    tabs.nth(2).click()
    page.locator("#translated_templates-1 .inline-deletelink").click()
    expect(tabs).to_have_text(["Default text", "German", "English"])
    tabs.nth(1).click()
    page.locator(f"#id_{GERMAN}-DELETE").check()
    tabs.nth(2).click()
    page.locator("#id_translated_templates-1-subject").fill("An order")
    expect(page.locator("#template-subject")).to_have_text("An order")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("changed successfully")
    left = template.translated_templates.get()
    assert (left.language, left.subject) == ("en", "An order")


def test_hostile_texts_and_values_run_nothing_in_the_page(page: Page, template: EmailTemplate) -> None:
    EmailTemplate.objects.update(
        subject="<img src=x onerror=alert(1)>",
        content="<script>alert(2)</script>",
        html_content="<p>seen</p>",
        sample_context='{"<img src=x onerror=alert(4)>": "</script>"}',
    )
    edit(page, template)
    expect(page.frame_locator("#template-preview").locator("p")).to_have_text("seen")
    expect(page.locator("#template-subject")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#template-text")).to_have_text("<script>alert(2)</script>")


def test_the_preview_leaves_the_browsers_history_alone(page: Page, template: EmailTemplate) -> None:
    edit(page, template)
    before = page.evaluate("history.length")
    for name in ("Ben", "Cy"):
        page.locator("#id_html_content").fill(f"<b>{name}</b>")
        expect(page.frame_locator("#template-preview").locator("b")).to_have_text(name)
    assert page.evaluate("history.length") == before


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_sticks_out_and_all_of_a_long_text_can_be_seen(
    open_page: OpenPage, template: EmailTemplate, width: int
) -> None:
    page = open_page(width=width)
    edit(page, template)
    page.locator("#id_content").fill("A line that is long enough to be wrapped on a phone, or twice.\n" * 40)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    heights = "area => [area.offsetHeight, area.scrollHeight]"
    height, needed = page.locator("#id_content").evaluate(heights)
    assert height >= needed


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_mistakes_new_languages_and_differences_are_there_for_everybody(
    open_page: OpenPage, template: EmailTemplate, dark: bool
) -> None:
    rules = accessibility.IN_THE_DARK if dark else None
    page = open_page(dark=dark)
    edit(page, template)
    page.locator("#id_content").fill("{{ name|nope }} {{ missing }}")
    page.locator("#id_sample_context").fill('{"name": ')
    expect(page.locator(".post-office-problem")).to_have_count(2)
    assert accessibility.faults(page, rules) == []
    page.locator("#id_sample_context").fill("{}")
    page.get_by_role("button", name="Add this language").click()
    page.get_by_role("button", name="Tab key indents").first.click()
    assert accessibility.faults(page, rules) == []
    template.content = "Gone."
    template.save()
    page.goto(f"/admin/post_office/emailtemplate/versions/{TemplateVersion.objects.latest('pk').pk}/")
    expect(page.locator(".post-office-removed").first).to_be_visible()
    assert accessibility.faults(page, rules) == []


def test_an_old_version_is_restored(page: Page, template: EmailTemplate) -> None:
    template.content = "Gone."
    template.save()
    edit(page, template)
    page.get_by_role("link", name="Versions").click()
    page.locator(".post-office-versions tbody a").last.click()
    expect(page.locator(".post-office-removed").first).to_have_text("-Dear {{ name }},")
    expect(page.locator(".post-office-added").first).to_have_text("+Gone.")
    page.get_by_role("link", name="Restore").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator("#id_content")).to_have_value("Dear {{ name }},\nit is on its way.")
    assert TemplateVersion.objects.latest("pk").saved_by == "olga"
    assert not Email.objects.exists()
