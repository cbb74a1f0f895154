"""Mail that cannot be sent, for every reason that a database can hold, among as much that can: the good mail
all goes, and the rest fails, each with its reason in its log.

Nothing of this can be queued as it is here; it is what becomes of mail when templates are edited, files
deleted and rows written by other programs.
"""

from collections.abc import Callable, Sequence

from django.core.files.base import ContentFile
from django.db import connection

from post_office import mail
from post_office.models import STATUS, Email, EmailTemplate, Log
from tests.acceptance.project import Project, queue
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import kept

SIZE = 2000  # of which one half is poison
PROCESSES = 2


def templated(content: str, *, then: str) -> Callable[[int], list[Email]]:
    """Return what queues mail with a template that is changed before it is rendered."""

    def poison(count: int) -> list[Email]:
        template = EmailTemplate.objects.create(name=f"torture {then}"[:255], content=content)
        emails = queue_one_by_one(
            count, template=template, subject="", message="", context={"name": "Ann"}, render_on_delivery=True
        )
        EmailTemplate.objects.filter(pk=template.pk).update(content=then)
        return emails

    return poison


def with_a_vanished_file(count: int) -> list[Email]:
    emails = queue_one_by_one(
        count, attachments=lambda number: {"a.txt": ContentFile(f"vanished {number}".encode())}
    )
    for email in emails:
        for attachment in email.attachments.all():
            attachment.file.storage.delete(attachment.file.name)
    return emails


def with_a_vanished_template(count: int) -> list[Email]:
    template = EmailTemplate.objects.create(name="torture vanished", content="Hello {{ name }}")
    emails = queue_one_by_one(
        count, template=template, subject="", message="", context={"name": "Ann"}, render_on_delivery=True
    )
    Email.objects.filter(pk__in=keys(emails)).update(template=None)
    template.delete()
    return emails


def changed(**columns: object) -> Callable[[int], list[Email]]:
    """Return what queues mail and writes something else into its row."""

    def poison(count: int) -> list[Email]:
        emails = queue_one_by_one(count)
        Email.objects.filter(pk__in=keys(emails)).update(**columns)
        return emails

    return poison


def with_what_cannot_be_read(count: int) -> list[Email]:
    emails = queue_one_by_one(count)
    with connection.cursor() as cursor:
        for key in keys(emails):
            cursor.execute("UPDATE post_office_email SET as_given = %s WHERE id = %s", ["no json {", key])
    return emails


# How mail goes bad, and what its log calls the reason.
POISON: dict[str, tuple[Callable[[int], list[Email]], str]] = {
    "a broken template": (templated("Hello", then="Hello {% if %}"), "InvalidTemplate"),
    "a template that includes another that is not there": (
        templated("Hello", then="{% include 'no such.txt' %}"),
        "TemplateDoesNotExist",
    ),
    "a template without end": (
        templated("Hello", then="{% include 'torture/endless.txt' %}"),
        "EndlessTemplate",
    ),
    "a template that is gone": (with_a_vanished_template, "TemplateGone"),
    "a file that is gone": (with_a_vanished_file, "AttachmentGone"),
    "an encoding that nobody knows": (changed(as_given={"encoding": "no-such-code"}), "LookupError"),
    "an encoding that does not have its letters": (
        changed(as_given={"encoding": "ascii"}, message="Zlu\N{LATIN SMALL LETTER T WITH CARON}"),
        "UnicodeEncodeError",
    ),
    "a header with a second line": (
        changed(headers={"X-Bad": "a\nBcc: eve@example.com"}),
        "ValueError|BadHeaderError",
    ),
    "a sender with a second line": (
        changed(from_email="me@example.com\nBcc: eve@example.com"),
        "ValueError",
    ),
    "a recipient that is no address": (changed(to="no address at all @"), "ValueError"),
    "a row that cannot be read": (with_what_cannot_be_read, "UnreadableColumn"),
}


def run(project: Project, size: int = SIZE) -> Figures:
    server = project.server
    each = max(1, size // 2 // len(POISON))
    bad: dict[str, list[Email]] = {kind: poison(each) for kind, (poison, _) in POISON.items()}
    poisoned = [email for emails in bad.values() for email in emails]
    good = queue(size - len(poisoned))
    mix(poisoned + good)
    watch = Watch(server)
    with kept(project, 1, PROCESSES) as keeper:
        finished = Email.objects.filter(status__in=[STATUS.sent, STATUS.failed])
        keeper.wait_for(finished.count, size, "mails are sent or failed")
        for kind, (_, reason) in POISON.items():
            check_reasons(kind, bad[kind], reason)
        figures = watch.figures(
            good,
            f"each good mail once; {len(poisoned)} of {len(POISON)} kinds of poison all failed, with reason",
        )
    assert keeper.restarts == 0
    assert (figures.once, figures.repeated, figures.lost) == (len(good), 0, 0), figures
    assert set(Email.objects.filter(status=STATUS.sent).values_list("pk", flat=True)) == keys(good)
    return figures


def check_reasons(kind: str, emails: Sequence[Email], reason: str) -> None:
    """Check that each has one row in its log, which says why it failed."""
    rows = list(Log.objects.filter(email__in=emails))
    assert len(rows) == len(emails), kind
    assert all(row.exception_type in reason.split("|") for row in rows), (kind, rows)
    assert len({row.email_id for row in rows}) == len(emails), kind
    assert all(row.message and row.status == STATUS.failed for row in rows), kind


def queue_one_by_one(count: int, **arguments: object) -> list[Email]:
    common = {"sender": "shop@example.com", "subject": "News", "message": "Nothing new.", **arguments}
    emails = []
    for number in range(count):
        each = {name: value(number) if callable(value) else value for name, value in common.items()}
        emails.append(mail.send(f"poisoned{number}@example.com", **each))
    return emails


def keys(emails: Sequence[Email]) -> set[int]:
    return {email.pk for email in emails}


def mix(emails: Sequence[Email]) -> None:
    """Let good and bad mail be due in turn."""
    created = min(email.created for email in emails)
    for email in emails:
        email.created = created
    Email.objects.bulk_update(emails, ["created"], batch_size=500)
