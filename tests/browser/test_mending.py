"""A member of staff mends the queue: queues again what failed, cancels, pauses and resumes."""

from playwright.sync_api import Page, expect

from post_office import mail
from post_office.models import STATUS, Email
from tests.acceptance.patience import wait_until
from tests.acceptance.project import Project
from tests.acceptance.smtp_server import SMTPServer

REFUSAL = "550 5.1.1 No such user here"


def send(recipient: str = "ann@example.com", **arguments: str) -> Email:
    return mail.send(recipient, "shop@example.com", subject="News", message="Nothing new.", **arguments)


def statuses() -> list[int]:
    return list(Email.objects.order_by("pk").values_list("status", flat=True))


def start(project: Project) -> None:
    project.start("run_dispatcher", "--interval", "0.1")


def test_a_failed_mail_is_queued_again_and_arrives(page: Page, project: Project, server: SMTPServer) -> None:
    server.refusals["ann@example.com"] = REFUSAL
    email = send()
    start(project)
    wait_until(lambda: statuses() == [STATUS.failed], "it has failed")

    page.goto("/admin/post_office/email/overview/")
    page.get_by_role("region", name="Why mail failed").get_by_role("link").click()
    page.locator("#result_list tbody tr th a").click()
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".tab-timeline")).to_contain_text("5.1.1 No such user here")
    server.refusals.clear()
    page.get_by_role("link", name="Queue again").click()
    expect(page.locator("#confirm-form")).to_be_visible()
    assert statuses() == [STATUS.failed]
    page.get_by_role("button", name="Queue again").click()
    expect(page.locator(".messagelist")).to_have_text("The email is in the queue again, due now.")

    wait_until(lambda: statuses() == [STATUS.sent], "it is sent")
    page.reload()
    expect(page.locator(".field-status_badge .post-office-badge")).to_have_text("sent")
    assert server.message_ids() == {email.message_id: 1}


def test_a_mail_is_canceled_and_never_goes_out(page: Page, project: Project, server: SMTPServer) -> None:
    email = send()
    page.goto(f"/admin/post_office/email/{email.pk}/change/")
    page.get_by_role("link", name="Cancel sending").click()
    page.get_by_role("link", name="Back", exact=True).click()
    assert statuses() == [STATUS.queued]
    page.get_by_role("link", name="Cancel sending").click()
    page.get_by_role("button", name="Cancel sending").click()
    expect(page.locator(".field-status_badge .post-office-badge")).to_have_text("canceled")
    send("ben@example.com")
    start(project)
    wait_until(lambda: statuses() == [STATUS.canceled, STATUS.sent], "what is left is sent")
    assert server.recipients() == ["ben@example.com"]


def test_several_mails_are_canceled_in_the_list(page: Page) -> None:
    for number in range(3):
        send(f"reader{number}@example.com")
    page.goto("/admin/post_office/email/")
    boxes = page.locator("#result_list tbody .action-select")
    boxes.nth(0).check()
    boxes.nth(2).check()
    page.locator("select[name=action]").select_option("cancel")
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).click()
    expect(page.locator(".messagelist")).to_contain_text("2 emails")
    assert statuses() == [STATUS.canceled, STATUS.queued, STATUS.canceled]


def test_a_backend_is_paused_and_resumed(page: Page, project: Project, server: SMTPServer) -> None:
    page.goto("/admin/post_office/email/overview/")
    page.get_by_role("button", name="Pause bulk").click()
    expect(page.locator(".messagelist")).to_have_text("Paused: bulk.")
    expect(page.get_by_role("row", name="bulk")).to_contain_text("by olga")
    send("slow@example.com", backend="bulk")
    send("quick@example.com")
    start(project)
    wait_until(lambda: statuses() == [STATUS.queued, STATUS.sent], "mail of the other backend is sent")

    page.goto("/admin/post_office/backendstate/")
    page.get_by_role("row", name="bulk").get_by_role("button", name="Resume").click()
    expect(page.locator(".messagelist")).to_have_text("Resumed: bulk.")
    wait_until(lambda: statuses() == [STATUS.sent, STATUS.sent], "all is sent")
    assert server.recipients() == ["quick@example.com", "slow@example.com"]
