"""A member of staff writes mail and sees it go out: form, preview, queue, a dispatcher, a server."""

from email.message import Message

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from post_office.models import STATUS, Email, EmailTemplate
from tests.acceptance.patience import wait_until
from tests.acceptance.project import Project
from tests.acceptance.smtp_server import SMTPServer
from tests.browser.conftest import OpenPage


def leaves(message: Message) -> list[tuple[str, str]]:
    return [
        (part.get_content_type(), part.get_payload(decode=True).decode().strip())
        for part in message.walk()
        if not part.is_multipart()
    ]


def write(page: Page, **fields: str) -> None:
    for name, text in fields.items():
        page.locator(f"#id_{name}").fill(text)


def deliver(project: Project, count: int) -> None:
    """Let a dispatcher work until so many mails are sent."""
    project.start("run_dispatcher", "--interval", "0.1")
    wait_until(lambda: Email.objects.filter(status=STATUS.sent).count() == count, "the mails are sent")


def test_from_logging_in_to_the_mail_that_arrives(
    open_page: OpenPage, project: Project, server: SMTPServer
) -> None:
    User.objects.create_superuser("olga", password="of the house")
    page = open_page(as_staff=False)
    write(page, username="olga", password="of the house")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Emails", exact=True).first.click()
    page.locator(".object-tools a", has_text="Add").click()

    write(page, to="Ann <ann@example.com>, ben@example.com", subject="Good morning")
    write(page, message="Tea is ready.", html_message="<h1>Tea</h1><p>is <b>ready</b>.</p>")
    page.locator("#id_attachments").set_input_files(
        {"name": "menu.txt", "mimeType": "text/plain", "buffer": b"tea, biscuits"}
    )
    page.get_by_role("button", name="Show the HTML").click()
    shown = page.frame_locator("#compose-preview")
    expect(shown.locator("h1")).to_have_text("Tea")
    page.get_by_role("button", name="Show the text").click()
    expect(shown.locator("pre")).to_contain_text("Attachments: menu.txt")
    assert not Email.objects.exists()  # so far it was only looked at

    page.get_by_role("button", name="Queue this email").click()
    expect(page.locator(".messagelist")).to_have_text("The email is in the queue.")
    page.get_by_role("link", name="Emails", exact=True).first.click()
    row = page.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Good morning")
    expect(row.locator(".post-office-badge")).to_have_text("queued")

    deliver(project, 1)
    page.reload()
    expect(row.locator(".post-office-badge")).to_have_text("sent")
    row.get_by_role("link").first.click()
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".tab-timeline")).to_contain_text("Written in the admin.")
    expect(page.locator(".post-office-timeline > li").last).to_contain_text("sent")
    (accepted,) = server.accepted
    assert accepted.recipients == ["ann@example.com", "ben@example.com"]
    assert leaves(accepted.message) == [
        ("text/plain", "Tea is ready."),
        ("text/html", "<h1>Tea</h1><p>is <b>ready</b>.</p>"),
        ("text/plain", "tea, biscuits"),
    ]


def test_from_a_template(page: Page, project: Project, server: SMTPServer) -> None:
    EmailTemplate.objects.create(
        name="welcome", subject="Welcome, {{ name }}", html_content="<p>Dear {{ name }}!</p>"
    )
    page.goto("/admin/post_office/email/add/")
    expect(page.locator("#id_template_list option")).to_have_attribute("value", "welcome")
    write(page, to="ann@example.com", template="welcome", context='{"name": "Ann"')
    page.get_by_role("button", name="Show the HTML").click()
    shown = page.frame_locator("#compose-preview")
    expect(shown.locator("pre")).to_contain_text("This is no JSON")
    write(page, context='{"name": "Ann"}')
    page.get_by_role("button", name="Show the HTML").click()
    expect(shown.locator("p")).to_have_text("Dear Ann!")
    page.get_by_role("button", name="Queue this email").click()
    deliver(project, 1)
    assert server.accepted[0].message["Subject"] == "Welcome, Ann"


def test_what_is_refused_is_said_at_its_field(page: Page) -> None:
    page.goto("/admin/post_office/email/add/")
    write(page, to="ann at example.com", subject="Hello")
    page.get_by_role("button", name="Queue this email").click()
    expect(page.locator(".field-to .errorlist")).to_be_visible()
    expect(page.locator("#id_subject")).to_have_value("Hello")
    assert page.title().startswith("Error: ")
    assert not Email.objects.exists()
