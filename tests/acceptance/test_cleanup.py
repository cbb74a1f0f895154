"""cleanup_mail deletes mail whose story is over, and never mail that is still to be sent."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Attachment, Email, Log
from tests.acceptance.project import Project
from tests.acceptance.smtp_server import SMTPServer

OVER = (STATUS.sent, STATUS.failed, STATUS.expired, STATUS.canceled)


@pytest.fixture
def emails(project: Project) -> dict[str, Email]:
    """Mail of each status, a hundred days old and fresh; each with an attachment and a line in the log."""
    made = {}
    for name, status in STATUS._asdict().items():
        for age, days in (("old", 100), ("fresh", 1)):
            email = mail.send(
                f"{age}-{name}@example.com",
                "shop@example.com",
                subject="News",
                message="Nothing new.",
                attachments={"news.pdf": ContentFile(f"Nothing at all, says {age} {name}.".encode())},
            )
            created = timezone.now() - timedelta(days=days)
            Email.objects.filter(pk=email.pk).update(status=status, created=created)
            Log.objects.create(email=email, status=STATUS.failed, message="Once upon a time")
            made[f"{age} {name}"] = email
    return made


def names(emails: dict[str, Email]) -> set[str]:
    """Return the names of the mails that still exist."""
    left = set(Email.objects.values_list("pk", flat=True))
    return {name for name, email in emails.items() if email.pk in left}


def file_of(email: Email) -> Path:
    return Path(email.attachments.get().file.path)


EXPECTED = {
    "fresh sent", "fresh failed", "fresh expired", "fresh canceled",
    "old queued", "old requeued", "fresh queued", "fresh requeued",
}  # fmt: skip


def test_old_mail_goes_with_its_log_and_its_files_and_waiting_mail_stays_however_old(
    project: Project, server: SMTPServer, emails: dict[str, Email]
) -> None:
    files = {name: file_of(email) for name, email in emails.items()}
    # A file that goes out with two mails, of which one is still waiting.
    shared = emails["old sent"].attachments.get()
    shared.emails.add(emails["old queued"])
    alone = emails["old queued"].attachments.exclude(pk=shared.pk).get()
    alone.emails.remove(emails["old queued"])
    alone.delete()

    finished = project.run("cleanup_mail", "--days", "30", "--delete-attachments", "--batch-size", "3")

    assert finished.code == 0
    assert finished.errors == ""
    assert finished.output.startswith("Deleted 4 mails created before ")
    assert finished.output.endswith(" and 3 attachments.\n")
    assert names(emails) == EXPECTED
    assert Log.objects.count() == len(EXPECTED)
    assert Attachment.objects.count() == len(EXPECTED)
    assert files["old sent"].exists()
    assert not any(files[f"old {name}"].exists() for name in ("failed", "expired", "canceled"))
    assert all(file_of(Email.objects.get(pk=emails[name].pk)).exists() for name in EXPECTED)

    # What was waiting is delivered, with its attachment, where no mail is too old to be sent.
    project.post_office["MAX_AGE"] = None
    assert project.run("send_queued_mail").summary == (4, 4, 0, 0)
    waiting = {f"{age}-{name}@example.com" for age in ("old", "fresh") for name in ("queued", "requeued")}
    assert set(server.recipients()) == waiting
    for accepted in server.accepted:
        (_text, attachment) = accepted.message.get_payload()
        assert attachment.get_payload(decode=True).startswith(b"Nothing at all, ")


def test_attachments_stay_unless_they_are_to_be_deleted(project: Project, emails: dict[str, Email]) -> None:
    files = [file_of(email) for email in emails.values()]
    finished = project.run("cleanup_mail", "--days", "30")

    assert finished.output.startswith("Deleted 4 mails ")
    assert finished.output.endswith(" and 0 attachments.\n")
    assert names(emails) == EXPECTED
    assert Attachment.objects.count() == len(emails)
    assert all(file.exists() for file in files)


def test_a_dry_run_says_what_would_go_and_deletes_nothing(project: Project, emails: dict[str, Email]) -> None:
    files = [file_of(email) for email in emails.values()]
    finished = project.run("cleanup_mail", "--days", "30", "--delete-attachments", "--dry-run")

    assert finished.output.startswith("Would delete 4 mails created before ")
    assert finished.output.endswith(" and 4 attachments.\n")
    assert names(emails) == set(emails)
    assert Attachment.objects.count() == Log.objects.count() == len(emails)
    assert all(file.exists() for file in files)


def test_ninety_days_are_kept_by_default(project: Project, emails: dict[str, Email]) -> None:
    Email.objects.filter(pk=emails["old sent"].pk).update(created=timezone.now() - timedelta(days=89))

    assert project.run("cleanup_mail").output.startswith("Deleted 3 mails ")
    assert names(emails) == {*EXPECTED, "old sent"}
