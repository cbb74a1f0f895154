"""What `mail.send` and its sisters make of their arguments, and what they refuse."""

import io
import re
from datetime import date, datetime, timedelta
from datetime import timezone as tz
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.template import TemplateSyntaxError
from django.utils import timezone

from post_office import mail
from post_office.compat import HAS_MODERN_EMAIL
from post_office.models import PRIORITY, STATUS, Attachment, Email, EmailTemplate
from post_office.signals import email_queued

pytestmark = pytest.mark.django_db


def send(**arguments: Any) -> Email:
    return mail.send(**{"recipients": "ann@example.com", "sender": "me@example.com", **arguments})


def test_a_mail_is_queued_with_what_it_was_given() -> None:
    sent = send(
        recipients=["ann@example.com", '"Doe, John" <john@example.com>'],
        sender="Me <me@example.com>",
        cc="cc@example.com",
        bcc=["bcc@example.com"],
        subject="Hello {{ name }}",
        message="Dear {{ name }}",
        html_message="<p>Dear {{ name }}</p>",
        context={"name": "Ann & Bob"},
        headers={"X-Campaign": "spring"},
        priority="high",
        backend="default",
    )
    stored = Email.objects.get(pk=sent.pk)
    assert stored.to == ["ann@example.com", '"Doe, John" <john@example.com>']
    assert (stored.cc, stored.bcc) == (["cc@example.com"], ["bcc@example.com"])
    assert stored.from_email == "Me <me@example.com>"
    # subject and text are no HTML
    assert stored.subject == "Hello Ann & Bob"
    assert stored.message == "Dear Ann & Bob"
    assert stored.html_message == "<p>Dear Ann &amp; Bob</p>"
    assert stored.headers == {"X-Campaign": "spring"}
    assert (stored.status, stored.priority) == (STATUS.queued, PRIORITY.high)
    assert stored.backend_alias == "default"
    assert stored.context is None
    assert stored.message_id


def test_the_default_sender_and_priority_come_from_the_settings(settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "robot@example.com"
    settings.POST_OFFICE = {**settings.POST_OFFICE, "DEFAULT_PRIORITY": "low"}
    sent = mail.send("ann@example.com")
    assert (sent.from_email, sent.priority) == ("robot@example.com", PRIORITY.low)


def test_a_newline_from_a_variable_is_folded_out_of_the_subject() -> None:
    assert send(subject="Re: {{ name }}", context={"name": "Ann\r\nBcc: x@example.com"}).subject == (
        "Re: Ann Bcc: x@example.com"
    )


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (date(2030, 5, 1), datetime(2030, 5, 1, tzinfo=tz.utc)),
        (datetime(2030, 5, 1, 12, tzinfo=tz.utc), datetime(2030, 5, 1, 12, tzinfo=tz.utc)),
        # naive means the current time zone
        (datetime(2030, 5, 1, 12), datetime(2030, 5, 1, 12, tzinfo=tz.utc)),
        # as it comes from JSON
        ("2030-05-01", datetime(2030, 5, 1, tzinfo=tz.utc)),
        ("2030-05-01T14:00:00+02:00", datetime(2030, 5, 1, 12, tzinfo=tz.utc)),
    ],
)
def test_a_date_or_a_datetime_says_when(given: date | str, stored: datetime) -> None:
    sent = send(scheduled_time=given, expires_at=given)
    sent.refresh_from_db()
    assert sent.scheduled_time == sent.expires_at == sent.due_at == stored


def test_mail_without_a_time_is_due_when_it_was_made() -> None:
    sent = send()
    sent.refresh_from_db()
    assert sent.due_at == sent.created


# --- refusals ---------------------------------------------------------------------------------

NOW = datetime(2030, 1, 1, tzinfo=tz.utc)
REFUSALS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"recipients": "bad"}, ValidationError, "recipients: bad is not a valid email address"),
    ({"recipients": ["ok@example.com", "bad"]}, ValidationError, "recipients: bad is not"),
    # one argument is one mailbox
    ({"recipients": "a@example.com, b@example.com"}, ValidationError, "recipients: a@example.com, b@"),
    ({"recipients": ["Foo <a@example.com>, evil@example.com"]}, ValidationError, "evil@example.com is not"),
    ({"recipients": 7}, ValueError, "recipients: 7 is neither"),
    ({"cc": "bad"}, ValidationError, "c: bad is not a valid email address"),
    ({"bcc": "bad"}, ValidationError, "bcc: bad is not a valid email address"),
    ({"sender": "bad"}, ValidationError, "from_email"),
    ({"sender": "me@example.com\nBcc: x@example.com"}, ValueError, "sender: 'me@example.com\\nBcc"),
    ({"priority": "urgent"}, ValueError, "Invalid priority, must be one of: low, medium, high, now"),
    ({"priority": 9}, ValidationError, "Value 9 is not a valid choice"),
    ({"backend": "nope"}, ValueError, "nope is not a valid backend alias"),
    ({"headers": {"X-A": "1\r\nBcc: x@example.com"}}, ValueError, "headers['X-A']: '1\\r\\nBcc"),
    ({"headers": {"X A": "1"}}, ValueError, "headers: 'X A' is not a header name"),
    ({"headers": ["X-A"]}, ValueError, "headers: ['X-A'] is not a dict"),
    ({"subject": "{% nope %}"}, TemplateSyntaxError, "subject: '{% nope %}' is not a valid template"),
    ({"message": "{{ a b }}"}, TemplateSyntaxError, "message: '{{ a b }}' is not a valid template"),
    ({"html_message": "{% if %}"}, TemplateSyntaxError, "html_message: '{% if %}' is not"),
    ({"message": "a\0b"}, ValueError, "message: a null character"),
    ({"subject": "a\udcffb"}, ValueError, "subject: a null character or half of a surrogate pair"),
    ({"headers": {"X-A": "1\u20282"}}, ValueError, "headers['X-A']: '1"),
    ({"attachments": {"a\r\nb.txt": b""}}, ValueError, "attachments: 'a\\r\\nb.txt'"),
    ({"attachments": {"x" * 256: b""}}, ValueError, "is not a file name of 1 to 255"),
    ({"subject": "x" * 990}, ValidationError, "at most 989 characters"),
    ({"context": "name=Ann"}, ValueError, "context: 'name=Ann' is not a dict"),
    ({"scheduled_time": "tomorrow"}, ValueError, "scheduled_time: 'tomorrow' is neither"),
    ({"expires_at": "2030-02-30"}, ValueError, "expires_at: '2030-02-30' is neither"),
    ({"expires_at": 5}, ValueError, "expires_at: 5 is neither"),
    (
        {"scheduled_time": NOW + timedelta(days=1), "expires_at": NOW},
        ValidationError,
        "The scheduled time may not be later than the expires time.",
    ),
    ({"render_on_delivery": True}, ValueError, "render_on_delivery: True needs a template"),
    ({"template": "nope"}, EmailTemplate.DoesNotExist, "no EmailTemplate named 'nope'"),
    ({"template": "nope", "subject": "x"}, ValueError, 'both "template" and "subject"'),
    ({"template": "nope", "message": "x"}, ValueError, 'both "template" and "message"'),
    ({"template": "nope", "html_message": "x"}, ValueError, 'both "template" and "html_message"'),
    ({"language": "x-nope"}, ValueError, "language: 'x-nope'"),
    ({"attachments": ["a.txt"]}, ValueError, "attachments: ['a.txt'] is not a dict"),
    ({"attachments": {"a.txt": 7}}, ValueError, "attachments: 'a.txt' is 7, not a file"),
    ({"attachments": {"a.txt": {"mimetype": "text/plain"}}}, ValueError, "without the key 'file'"),
    ({"attachments": {"a.txt": {"file": b"", "mimetype": "text"}}}, ValueError, "mimetype 'text'"),
    ({"attachments": {"a.txt": {"file": b"", "headers": {"A": "\n"}}}}, ValueError, "attachments['a.txt']"),
    ({"attachments": {"a.txt": "/no/such/file"}}, FileNotFoundError, "/no/such/file"),
    ({"commit": False, "priority": "now"}, ValueError, "can't be used with priority = 'now'"),
    ({"commit": False, "attachments": {"a": b""}}, ValueError, "Can't add attachments"),
]


@pytest.mark.parametrize(("arguments", "error", "sentence"), REFUSALS, ids=lambda value: str(value)[:50])
def test_what_cannot_be_sent_is_refused_when_it_is_queued(
    arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as refusal:
        send(**arguments)
    assert sentence in str(refusal.value)
    assert not Email.objects.exists()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "is not JSON serializable"),
        (float("nan"), "it holds NaN"),
        (float("inf"), "it holds Infinity"),
        ("a\0b", "it holds a null character"),
        ({(1, 2): 3}, "keys must be"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_context_that_cannot_be_stored_is_refused(value: Any, reason: str) -> None:
    EmailTemplate.objects.create(name="welcome")
    with pytest.raises(ValidationError) as refusal:
        send(template="welcome", render_on_delivery=True, context={"key": value})
    assert "Value must be valid JSON." in str(refusal.value)
    assert reason in str(refusal.value)
    assert not Email.objects.exists()


def test_a_template_that_would_fail_on_delivery_is_refused_when_it_is_queued() -> None:
    EmailTemplate.objects.create(name="broken", html_content="{% endif %}")
    with pytest.raises(TemplateSyntaxError, match=r"html_message: .* is not a valid template"):
        send(template="broken", render_on_delivery=True)


# --- several at once --------------------------------------------------------------------------


def test_many_are_queued_with_one_signal() -> None:
    heard: list[list[Email]] = []

    def receiver(sender: type[Email], emails: list[Email], **kwargs: Any) -> None:
        assert sender is Email
        heard.append(emails)

    email_queued.connect(receiver)
    try:
        sent = mail.send_many(
            {"recipients": f"{n}@example.com", "sender": "me@example.com"} for n in range(5)
        )
        send()
        send(priority="now")
    finally:
        email_queued.disconnect(receiver)
    assert [len(emails) for emails in heard] == [5, 1]
    assert heard[0] == sent
    assert all(email.pk for email in sent)


def test_one_bad_mail_among_many_queues_none() -> None:
    with pytest.raises(ValidationError):
        mail.send_many([{"recipients": "ok@example.com"}, {"recipients": "bad"}])
    assert not Email.objects.exists()


def test_many_are_validated_as_one_is() -> None:
    with pytest.raises(ValidationError, match="from_email"):
        mail.send_many([{"recipients": "ok@example.com", "sender": "bad"}])


def test_many_may_not_be_for_now() -> None:
    with pytest.raises(ValueError, match="can't be used with priority = 'now'"):
        mail.send_many([{"recipients": "ok@example.com", "priority": "now"}])


def test_no_mails_are_no_mails() -> None:
    assert mail.send_many([]) == []


def test_create_sends_no_signal_and_commit_false_saves_nothing() -> None:
    heard: list[Any] = []
    email_queued.connect(heard.append)
    unsaved = mail.create("me@example.com", ["ann@example.com"], subject="x", commit=False)
    saved = mail.create("me@example.com", ["ann@example.com"], subject="x")
    email_queued.disconnect(heard.append)
    assert unsaved.pk is None
    assert saved.pk is not None
    assert heard == []


# --- attachments ------------------------------------------------------------------------------


def kinds_of_content(folder: Path) -> dict[str, Any]:
    path = folder / "a.bin"
    path.write_bytes(b"\0content")
    return {
        "path": str(path),
        "Path": path,
        "file": path.open("rb"),
        "File": File(path.open("rb")),
        "ContentFile": ContentFile(b"\0content"),
        "BytesIO": io.BytesIO(b"\0content"),
        "bytes": b"\0content",
        "dict": {"file": b"\0content", "mimetype": "application/x-foo", "headers": {"X-A": "1"}},
    }


def test_an_attachment_may_be_given_in_many_ways(tmp_path: Path) -> None:
    kinds = kinds_of_content(tmp_path)
    sent = send(attachments={f"{kind}.bin": value for kind, value in kinds.items()})
    for value in kinds.values():
        if hasattr(value, "close"):
            value.close()
    stored = list(sent.attachments.order_by("pk"))
    assert [attachment.name for attachment in stored] == [f"{kind}.bin" for kind in kinds]
    for attachment in stored:
        with attachment.file.open("rb") as file:
            assert file.read() == b"\0content", attachment.name
        assert attachment.file.name.startswith("post_office_attachments/")
    assert stored[-1].mimetype == "application/x-foo"
    assert stored[-1].headers == {"X-A": "1"}


def test_one_open_file_for_many_mails_is_read_and_stored_once() -> None:
    file = io.BytesIO(b"for all")
    sent = mail.send_many(
        {"recipients": f"{n}@example.com", "sender": "me@example.com", "attachments": {"a.txt": file}}
        for n in range(3)
    )
    attachment = Attachment.objects.get()
    assert set(attachment.emails.all()) == set(sent)
    with attachment.file.open("rb") as stored:
        assert stored.read() == b"for all"


class StorageBreaks(Exception):
    pass


def test_an_attachment_that_cannot_be_stored_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    save = type(default_storage._wrapped).save  # type: ignore[attr-defined]

    def save_first_only(storage: Any, name: str, *args: Any, **kwargs: Any) -> str:
        if saved:
            raise StorageBreaks
        saved.append(save(storage, name, *args, **kwargs))
        return saved[0]

    monkeypatch.setattr(type(default_storage._wrapped), "save", save_first_only)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match=r"^attachments: 'b.txt' cannot be stored: StorageBreaks") as raised:
        send(attachments={"a.txt": b"a", "b.txt": b"b"})
    assert isinstance(raised.value.__cause__, StorageBreaks)
    assert not Email.objects.exists()
    assert not Attachment.objects.exists()
    assert saved
    assert not default_storage.exists(saved[0])


# --- rows -------------------------------------------------------------------------------------


def test_saving_an_email_validates_it() -> None:
    with pytest.raises(ValidationError):
        Email.objects.create(to=["bad"], from_email="me@example.com")


def test_saving_an_old_instance_does_not_take_the_mail_from_its_worker() -> None:
    from post_office.queue import claims, liveness

    stale = send(subject="old")
    worker = liveness.register(timezone.now())
    claims.claim_one(Email.objects.get(pk=stale.pk), worker, timezone.now())
    stale.subject = "new"
    stale.save()
    stored = Email.objects.get(pk=stale.pk)
    assert (stored.subject, stored.worker_id) == ("new", worker.pk)


@pytest.mark.parametrize("using", [None, "default"])
def test_nor_does_saving_it_in_other_ways(using: str | None) -> None:
    from post_office.queue import claims, liveness

    stale = send(subject="old")
    worker = liveness.register(timezone.now())
    claims.claim_one(Email.objects.get(pk=stale.pk), worker, timezone.now())
    stale.save(force_insert=False, force_update=False, using=using, update_fields=None)
    assert Email.objects.get(pk=stale.pk).worker_id == worker.pk


def test_a_long_name_without_an_ending_is_stored() -> None:
    assert send(attachments={"x" * 200: b"content"}).attachments.get().name == "x" * 200


def test_a_copy_of_a_mail_in_delivery_is_nobodys() -> None:
    from post_office.queue import claims, liveness

    email = send()
    claims.claim_one(email, liveness.register(timezone.now()), timezone.now())
    copy = Email.objects.get(pk=email.pk)
    copy.pk = None
    copy.save()
    assert copy.pk != email.pk
    assert Email.objects.get(pk=copy.pk).worker_id is None
    assert Email.objects.get(pk=email.pk).worker_id is not None


def test_an_email_loaded_in_part_is_saved_in_part() -> None:
    email = send(subject="old")
    part = Email.objects.defer("message", "worker").get(pk=email.pk)
    part.subject = "new"
    part.save()
    assert Email.objects.get(pk=email.pk).subject == "new"


def test_addresses_with_commas_survive_the_database() -> None:
    address = '"Doe, \\"J\\" John" <john@example.com>'
    sent = send(recipients=[address])
    assert Email.objects.get(pk=sent.pk).to == [address]
    assert Email.objects.filter(to=[address]).count() == 1
    assert Email.objects.filter(to=address).count() == 1


def test_tags_metadata_and_the_related_object_are_stored_and_found() -> None:
    template = EmailTemplate.objects.create(name="about-me")
    email = mail.send(
        "ann@example.com",
        "me@example.com",
        subject="s",
        tags=["invoice", "2026"],
        metadata={"order": 7, "lines": [1, 2]},
        related_object=template,
    )
    mail.send("bob@example.com", "me@example.com", tags="invoice-copy")
    email.refresh_from_db()
    assert (email.tags, email.metadata) == (["invoice", "2026"], {"order": 7, "lines": [1, 2]})
    assert email.related_object == template
    assert list(Email.objects.tagged("invoice")) == [email]
    assert not Email.objects.tagged("Invoice").exists()
    assert list(Email.objects.about(template)) == [email]
    assert list(Email.objects.filter(metadata__order=7)) == [email]
    message: Any = email.email_message()
    assert (message.tags, message.metadata) == (email.tags, email.metadata)
    template.delete()
    assert Email.objects.get(pk=email.pk).related_object is None


def test_send_many_takes_tags_metadata_and_related_objects_too() -> None:
    template = EmailTemplate.objects.create(name="about-me")
    mail.send_many(
        {"recipients": "ann@example.com", "tags": ["t"], "metadata": {"n": n}, "related_object": template}
        for n in range(2)
    )
    assert [email.metadata for email in Email.objects.about(template).tagged("t").order_by("id")] == [
        {"n": 0},
        {"n": 1},
    ]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("tags", ["two\nlines"]),
        ("tags", [""]),
        ("tags", 5),
        ("metadata", {"at": object()}),
        ("metadata", {"n": float("nan")}),
        ("metadata", {1: 2}),
        ("metadata", {"n": "\x00"}),
        ("metadata", ["no dict"]),
        ("related_object", "order 7"),
        ("related_object", EmailTemplate(name="not saved")),
        ("related_object", EmailTemplate(pk=7, name="not saved")),
    ],
)
def test_a_tag_metadata_or_an_object_that_cannot_be_kept_is_refused(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: .*{re.escape(repr(value))}"):
        mail.send("ann@example.com", "me@example.com", **{argument: value})
    assert not Email.objects.exists()


def test_a_message_id_of_the_callers_own_is_known_by_the_queue() -> None:
    email = mail.send("ann@example.com", "me@example.com", headers={"message-id": "<own@example.com>"})
    assert email.message_id == "<own@example.com>"


def test_send_many_names_an_argument_that_send_does_not_have() -> None:
    with pytest.raises(TypeError, match="send_many: 'adresses': no argument of send"):
        mail.send_many([{"recipients": "ann@example.com"}, {"adresses": "ann@example.com"}])
    assert not Email.objects.exists()


def test_a_header_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="headers: 'x-a' is given twice"):
        send(headers={"X-A": "1", "x-a": "2"})


@pytest.mark.skipif(not HAS_MODERN_EMAIL, reason="Django 5.2 writes these headers twice.")
@pytest.mark.parametrize(
    "name", ["Subject", "BCC", "Content-Type", "MIME-Version", "Content-Transfer-Encoding"]
)
def test_a_header_that_django_would_refuse_at_delivery_is_refused_when_it_is_queued(name: str) -> None:
    with pytest.raises(ValueError, match=f"headers: '{name}' is written by Django itself"):
        send(headers={name: "x"})
    assert not Email.objects.exists()


def test_none_is_no_text_as_in_django() -> None:
    email = send(subject=None, message="m", html_message=None)
    assert (email.subject, email.message, email.html_message) == ("", "m", "")


@pytest.mark.parametrize("argument", ["subject", "message", "html_message"])
@pytest.mark.parametrize("value", [5, b"bytes", ["list"]])
def test_what_is_no_text_is_refused(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: {re.escape(repr(value))} is not a text"):
        send(**{argument: value})


def test_a_path_without_a_file_is_named_with_its_attachment() -> None:
    with pytest.raises(FileNotFoundError, match=r"attachments: 'a\.txt' cannot be read.*'/no/such/file'"):
        send(attachments={"a.txt": "/no/such/file"})
