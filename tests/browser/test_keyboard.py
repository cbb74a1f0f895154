"""The admin without a mouse: everything is reached by the keys, and seen when it is."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from post_office import mail
from post_office.models import STATUS, Email
from post_office.queue import brakes
from tests.browser.conftest import OpenPage

MOST_TABS = 120


def go_to(page: Page, element: Locator, key: str = "Tab") -> None:
    """Press Tab until `element` has the focus, which must be seen."""
    for _press in range(MOST_TABS):
        page.keyboard.press(key)
        if element.evaluate("(found) => found === document.activeElement"):
            assert is_marked(element), f"the focus of {element} is not to be seen"
            return
    raise AssertionError(f"{element} is not reached by {key}")


def is_marked(element: Locator) -> bool:
    """Tell whether an element, or one of two around it, looks otherwise with the focus than without."""
    looks = """(found) => {
        const frame = found.parentElement;
        const look = () => [found, frame, frame.parentElement].map((each) => {
            const style = getComputedStyle(each);
            return [style.outlineStyle, style.outlineWidth, style.borderColor, style.boxShadow,
                    style.backgroundColor, style.color, style.textDecorationLine].join();
        }).join();
        const focused = look();
        found.blur();
        const blurred = look();
        found.focus();
        return focused !== blurred;
    }"""
    return bool(element.evaluate(looks))


def write(page: Page, name: str, text: str) -> None:
    go_to(page, page.locator(f"#id_{name}"))
    page.keyboard.type(text)


def test_a_mail_is_written_and_queued(page: Page) -> None:
    page.goto("/admin/post_office/email/")
    go_to(page, page.get_by_role("link", name="Skip to main content"))
    page.keyboard.press("Enter")
    go_to(page, page.locator(".object-tools .addlink"))
    page.keyboard.press("Enter")
    expect(page).to_have_url("/admin/post_office/email/add/")
    write(page, "to", "ann@example.com")
    write(page, "subject", "By hand")
    write(page, "message", "Without a mouse.")
    go_to(page, page.get_by_role("button", name="Show the text"))
    page.keyboard.press("Enter")
    expect(page.frame_locator("#compose-preview").locator("pre")).to_contain_text("Without a mouse.")
    phone = page.locator("#compose-preview-desktop")
    go_to(page, phone)
    page.keyboard.press("ArrowRight")
    box = page.locator("#compose-preview").bounding_box()
    assert box is not None
    assert box["width"] == 375
    go_to(page, page.get_by_role("button", name="Queue this email"))
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_have_text("The email is in the queue.")
    assert Email.objects.get().subject == "By hand"


def test_a_mail_is_looked_at_and_canceled(open_page: OpenPage) -> None:
    email = mail.send(
        "ann@example.com", "me@example.com", subject="Hi", message="Hello", html_message="<p>Hello</p>"
    )
    page = open_page(f"/admin/post_office/email/{email.pk}/change/")
    tabs = page.get_by_role("tab")
    go_to(page, tabs.first)
    for key, chosen in (
        ("ArrowRight", "Text"),
        ("ArrowRight", "Timeline"),
        ("End", "As stored"),
        ("ArrowRight", "HTML"),
        ("ArrowLeft", "As stored"),
        ("Home", "HTML"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=chosen)).to_be_focused()
        expect(page.get_by_role("tabpanel", name=chosen)).to_be_visible()
    # The row of tabs is one stop on the way.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Text")).to_be_focused()

    go_to(page, page.get_by_role("link", name="Cancel sending"), "Shift+Tab")
    page.keyboard.press("Enter")
    go_to(page, page.get_by_role("button", name="Cancel sending"))
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("canceled")
    assert Email.objects.get().status == STATUS.canceled


def test_a_backend_is_paused(page: Page) -> None:
    page.goto("/admin/post_office/email/overview/")
    go_to(page, page.get_by_role("button", name="Pause default"))
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_have_text("Paused: default.")
    assert brakes.read().is_paused("default")


def test_a_template_is_written(page: Page) -> None:
    page.goto("/admin/post_office/emailtemplate/add/")
    write(page, "name", "welcome")
    write(page, "subject", "Welcome")
    write(page, "content", "Hello")  # the key Tab leaves it, as it leaves each field
    go_to(page, page.get_by_role("button", name="Add this language"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab")).to_have_count(2)
    expect(page.locator("[role=tabpanel]:visible [id$=-subject]")).to_be_focused()
    page.keyboard.type("Willkommen")
    go_to(page, page.get_by_role("button", name="Save", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("was added successfully")
