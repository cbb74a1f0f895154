"""Attachments: each content is stored once, whoever attaches it, and removed when no mail needs it."""

import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from threading import Event, Lock
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import EmailMessage
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_office import mail, utils
from post_office.compose import Draft
from post_office.models import STATUS, Attachment, Email, EmailTemplate, Log
from post_office.queue import cleanup
from post_office.rendering import attachments as files
from post_office.rendering.attachments import Upload
from post_office.rendering.templates import render_on_delivery
from post_office.storing import store
from tests.acceptance.patience import PATIENCE, wait_until
from tests.storages import StorageBreaks, WatchedStorage

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = b"%PDF-1.4 Terms and conditions"


def send(recipient: str = "ann@example.com", **arguments: Any) -> Email:
    return mail.send(recipient, "me@example.com", **arguments)


def send_uploads(*uploads: Upload) -> Email:
    email = Email(to=["ann@example.com"], from_email="me@example.com", status=STATUS.queued)
    return store([Draft(email=email, uploads=uploads)])[0]


def stored(email: Email) -> tuple[str, ...]:
    """Return the paths of the files of a mail, in their order."""
    return tuple(str(attachment.file.name) for attachment in files.of(email))


def delivered() -> list[list[tuple[str, bytes]]]:
    """Deliver all; return the names and contents of what is attached to each mail."""
    django_mail.outbox = []
    _sent, failed, requeued = mail.send_queued()
    assert (failed, requeued) == (0, 0)
    return [[(part[0], part[1]) for part in message.attachments] for message in django_mail.outbox]


@pytest.fixture
def storage(settings: Any) -> Iterator[type[WatchedStorage]]:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "tests.storages.WatchedStorage"}}
    WatchedStorage.forget()
    yield WatchedStorage
    WatchedStorage.forget()


@pytest.fixture(autouse=True)
def one_sending_thread(settings: Any) -> None:
    """Deliver in the order of the queue."""
    settings.POST_OFFICE = {**settings.POST_OFFICE, "THREADS_PER_PROCESS": 1}


def calls(storage: type[WatchedStorage], operation: str) -> int:
    return [call for call, _name in storage.calls].count(operation)


# --- once -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "backend",
    [
        "django.core.files.storage.FileSystemStorage",
        "django.core.files.storage.InMemoryStorage",  # has no paths
    ],
)
def test_the_same_attachment_of_two_calls_is_one_row_and_one_file(settings: Any, backend: str) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": backend}}
    one, two = (send(attachments={"terms.pdf": bytes(bytearray(CONTENT))}) for _ in range(2))
    attachment = Attachment.objects.get()
    assert set(attachment.emails.all()) == {one, two}
    assert attachment.digest == sha256(CONTENT).hexdigest()
    assert delivered() == [[("terms.pdf", CONTENT)]] * 2


def test_a_thousand_mails_take_one_row_one_file_and_a_few_queries(storage: type[WatchedStorage]) -> None:
    def queries(**arguments: Any) -> int:
        # Contents that are equal, but not one object.
        kwargs = [
            {"recipients": f"{number}@example.com", "sender": "me@example.com"}
            | ({"attachments": {"terms.pdf": ContentFile(CONTENT)}} if arguments else {})
            for number in range(1000)
        ]
        with CaptureQueriesContext(connection) as captured:
            mail.send_many(kwargs)
        return len(captured)

    without = queries()
    # Looking, storing, and a link for each mail, which SQLite takes in portions.
    assert queries(attachments=True) - without <= 6
    assert queries(attachments=True) - without <= 6
    assert Attachment.objects.get().emails.count() == 2000
    assert calls(storage, "save") == 1
    # One to find a free name, one to see that the file is still there.
    assert calls(storage, "exists") <= 2


def test_many_contents_take_a_few_queries_too() -> None:
    contents = {f"{number}.bin": str(number).encode() for number in range(files.AT_ONCE + 1)}
    assert len(stored(send(attachments=contents))) == files.AT_ONCE + 1
    with CaptureQueriesContext(connection) as captured:
        send(attachments=contents)
    assert len(captured) < 20
    assert Attachment.objects.count() == files.AT_ONCE + 1


DIFFERENT = [
    ("another name", {"name": "agb.pdf"}),
    ("no name", {"name": None}),
    ("another type", {"mimetype": "application/x-pdf"}),
    ("headers", {"headers": {"X-A": "1"}}),
    ("other headers", {"headers": {"X-A": "2"}}),
    ("more beyond the columns", {"as_given": {"name": "terms.pdf"}}),
    ("another type beyond the columns", {"as_given": {"name": b"terms.pdf"}}),
]


def test_the_same_content_as_something_else_is_another_row_over_the_same_file() -> None:
    uploads = [Upload(name="terms.pdf", content=CONTENT)]
    uploads += [Upload(**{"name": "terms.pdf", "content": CONTENT, **other}) for _why, other in DIFFERENT]
    emails = [send_uploads(upload) for upload in uploads * 2]
    assert Attachment.objects.count() == len(uploads)
    assert len(set(map(stored, emails))) == 1
    for upload, email in zip(uploads * 2, emails, strict=True):
        row = email.attachments.get()
        columns = (row.name, row.mimetype, row.headers, row.as_given)
        assert columns == (upload.name or "", upload.mimetype, upload.headers, upload.as_given)


def test_headers_are_the_same_in_whatever_order_a_database_keeps_them() -> None:
    headers = {"X-Longer-Name": "1", "X-A": "2"}
    for order in (headers, dict(reversed(headers.items()))):
        send(attachments={"a.txt": {"file": CONTENT, "headers": order}})
    assert Attachment.objects.count() == 1


def test_names_that_a_database_takes_for_equal_are_told_apart() -> None:
    names = ["terms.pdf", "Terms.pdf", "térms.pdf", "terms.pdf "]
    for name in names * 2:
        send(attachments={name: CONTENT})
    assert [parts[0][0] for parts in delivered()] == names * 2


def test_an_attachment_may_be_twice_in_one_mail() -> None:
    message = EmailMessage("News", "…", "me@example.com", ["ann@example.com"])
    for name in ("a.txt", "b.txt", "a.txt", "a.txt"):
        message.attach(name, "same", "text/plain")
    for _ in range(2):
        message.send()
    given = [("a.txt", "same"), ("b.txt", "same"), ("a.txt", "same"), ("a.txt", "same")]
    assert delivered() == [given] * 2
    assert Attachment.objects.count() == 4
    assert len(set(Attachment.objects.values_list("file", flat=True))) == 1


def test_the_order_is_that_of_each_mail() -> None:
    send(attachments={"a.txt": b"a", "b.txt": b"b"})
    send(attachments={"b.txt": b"b", "c.txt": b"c", "a.txt": b"a"})
    assert delivered() == [
        [("a.txt", "a"), ("b.txt", "b")],
        [("b.txt", "b"), ("c.txt", "c"), ("a.txt", "a")],
    ]


def test_attachments_of_before_are_left_alone() -> None:
    email = send(attachments={"terms.pdf": CONTENT})
    Attachment.objects.update(digest=None)
    other = send(attachments={"terms.pdf": CONTENT})
    assert stored(other) != stored(email)


# --- never the wrong file ---------------------------------------------------------------------


def test_a_file_that_has_vanished_is_stored_again_for_new_mail() -> None:
    (path,) = stored(send(attachments={"terms.pdf": CONTENT}))
    default_storage.delete(path)
    mended = [send(attachments={name: CONTENT}) for name in ("terms.pdf", "terms.pdf", "agb.pdf")]
    assert len({stored(email) for email in mended}) == 1
    assert default_storage.exists(*stored(mended[0]))
    Email.objects.exclude(pk__in=[email.pk for email in mended]).delete()
    assert delivered() == [[(name, CONTENT)] for name in ("terms.pdf", "terms.pdf", "agb.pdf")]


def test_so_it_is_when_the_storage_is_another_one(settings: Any) -> None:
    send(attachments={"terms.pdf": CONTENT})
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    }
    email = send(attachments={"terms.pdf": CONTENT})
    assert default_storage.exists(*stored(email))


def replace_in_admin(attachment: Attachment, client: Client) -> None:
    answer = client.post(
        f"/admin/post_office/attachment/{attachment.pk}/change/",
        {"name": attachment.name, "mimetype": "", "headers": "null", "file": ContentFile(b"new", "new.pdf")}
        | {"emails": [email.pk for email in attachment.emails.all()]},
    )
    assert answer.status_code == 302, answer.content.decode()


def replace_in_code(attachment: Attachment, client: Client) -> None:
    attachment.file.save("new.pdf", ContentFile(b"new"))


@pytest.mark.parametrize("replace", [replace_in_admin, replace_in_code])
def test_a_file_that_was_replaced_is_no_longer_known_by_what_it_was(
    replace: Callable[[Attachment, Client], None], admin_client: Client
) -> None:
    replace(send(attachments={"terms.pdf": CONTENT}).attachments.get(), admin_client)
    send(attachments={"terms.pdf": CONTENT})
    assert delivered() == [[("terms.pdf", b"new")], [("terms.pdf", CONTENT)]]


def test_attachments_made_by_hand_are_rows_of_their_own_over_the_same_file() -> None:
    email = send(attachments={"terms.pdf": CONTENT})
    one, two = utils.create_attachments({"terms.pdf": CONTENT, "agb.pdf": CONTENT})
    one.name = "changed.pdf"
    one.save()
    other = send()
    other.attachments.add(two)
    other.attachments.add(one)
    assert {*stored(other)} == {*stored(email)}
    assert delivered() == [[("terms.pdf", CONTENT)], [("agb.pdf", CONTENT), ("changed.pdf", CONTENT)]]


def test_images_of_a_mail_whose_template_is_deleted_are_stored_once(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "TEMPLATE_ENGINE": "post_office"}
    template = EmailTemplate.objects.create(
        name="news",
        html_content='{% load post_office %}<img src="{% inline_image "admin/img/icon-yes.svg" %}">',
    )
    emails = [send(template="news", render_on_delivery=True) for _ in range(3)]
    # One has the image already, by whatever way.
    files.add_images(emails[0], render_on_delivery(emails[0]).images)
    template.delete()
    assert set(Attachment.objects.get().emails.all()) == set(emails)


# --- faults of the storage --------------------------------------------------------------------


@pytest.mark.parametrize("fault", [StorageBreaks("no luck"), ConnectionError("no luck")])
@pytest.mark.parametrize("operation", ["save", "exists"])
def test_a_storage_that_fails_while_queueing_gets_one_clear_error_and_leaves_nothing(
    storage: type[WatchedStorage], fault: Exception, operation: str
) -> None:
    send(attachments={"terms.pdf": CONTENT})
    storage.faults[operation], storage.good_saves = fault, 1
    before = [name for call, name in storage.calls if call == "save"]
    with pytest.raises(OSError, match=r"^attachments: '\w+.\w+' cannot be stored: \w+: no luck$") as raised:
        send(attachments={"terms.pdf": CONTENT, "b.txt": b"b", "c.txt": b"c"})
    assert raised.value.__cause__ is fault
    storage.faults.clear()
    assert Email.objects.count() == Attachment.objects.count() == 1
    saved = [name for call, name in storage.calls if call == "save"]
    assert [name for name in saved if default_storage.exists(name)] == before


def test_what_made_it_fail_is_told_also_when_the_files_cannot_be_taken_back(
    storage: type[WatchedStorage], caplog: pytest.LogCaptureFixture
) -> None:
    storage.faults |= {"save": StorageBreaks("no luck"), "delete": StorageBreaks("not even that")}
    storage.good_saves = 1
    with pytest.raises(OSError, match=r"^attachments: 'b.txt' cannot be stored: StorageBreaks: no luck$"):
        send(attachments={"a.txt": b"a", "b.txt": b"b"})
    ((_operation, name),) = [call for call in storage.calls if call[0] == "delete"]
    assert name in caplog.text


def test_a_file_that_others_use_survives_a_call_that_fails(storage: type[WatchedStorage]) -> None:
    email = send(attachments={"terms.pdf": CONTENT})
    storage.faults["save"] = StorageBreaks("no luck")
    with pytest.raises(OSError, match="no luck"):
        send(attachments={"agb.pdf": CONTENT, "b.txt": b"b"})
    assert default_storage.exists(*stored(email))
    assert calls(storage, "delete") == 0


@pytest.mark.parametrize("fault", [StorageBreaks("no luck"), ConnectionError("no luck"), OSError("no luck")])
def test_a_storage_that_fails_at_delivery_is_tried_again(
    storage: type[WatchedStorage], fault: Exception
) -> None:
    email = send(attachments={"terms.pdf": CONTENT})
    storage.faults["open"] = fault
    assert mail.send_queued() == (0, 0, 1)
    assert "the attachment 'terms.pdf' cannot be read" in email.logs.get().message
    assert f"{type(fault).__name__}: no luck" in email.logs.get().message
    storage.faults.clear()
    Email.objects.update(scheduled_time=None)
    assert delivered() == [[("terms.pdf", CONTENT)]]


# --- delivery ---------------------------------------------------------------------------------


def test_a_thread_holds_the_attachments_of_one_mail_at_a_time(settings: Any) -> None:
    settings.POST_OFFICE = {"BACKENDS": {"default": "dummy"}, "THREADS_PER_PROCESS": 2}
    size = 2**20
    for number in range(20):
        send(attachments={"a.bin": bytes([number]) * size, "b.bin": bytes([number + 100]) * size})
    tracemalloc.start()
    try:
        assert mail.send_queued() == (20, 0, 0)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Two threads, each with two files of one mail, one of which is held twice while it is read.
    assert 2 * size < peak < 2 * 3 * size + size


def test_files_are_read_by_threads_that_have_no_connection_to_the_database(
    storage: type[WatchedStorage],
) -> None:
    for _ in range(10):
        send(attachments={"terms.pdf": CONTENT})
    assert mail.send_queued() == (10, 0, 0)
    assert len(storage.opened_in) == 10
    for thread, connected in storage.opened_in:
        assert thread.startswith("post_office sender")
        assert not connected


# --- clean-up ---------------------------------------------------------------------------------


def test_a_file_stays_as_long_as_any_attachment_uses_it() -> None:
    one = send(attachments={"terms.pdf": CONTENT})
    two = send(attachments={"agb.pdf": CONTENT})
    by_hand = Attachment.objects.create(name="by hand", file=stored(one)[0])
    by_hand.emails.add(send())
    (path,) = stored(one)
    for email in (one, two, by_hand.emails.get()):
        assert default_storage.exists(path)
        email.delete()
        assert cleanup.remove_orphaned_attachments() == 1
    assert not default_storage.exists(path)


def test_a_file_that_cannot_be_deleted_does_not_keep_the_others(
    storage: type[WatchedStorage], caplog: pytest.LogCaptureFixture
) -> None:
    send(attachments={f"{number}.txt": str(number).encode() for number in range(3)}).delete()
    storage.faults["delete"] = StorageBreaks("no luck")
    assert cleanup.remove_orphaned_attachments() == 3
    deleted = [name for call, name in storage.calls if call == "delete"]
    assert len(deleted) == 3
    assert all(name in caplog.text for name in deleted)


# --- clean-up and queueing at the same moment -------------------------------------------------


class Threads:
    """Threads, each with a connection of its own to the database, and what they wait for."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor()
        self._events: list[Event] = []

    def event(self) -> Event:
        self._events.append(Event())
        return self._events[-1]

    def start(self, work: Callable[[], Any], begins: Event | None = None) -> "Future[Any]":
        """Do work in a thread; `begins` is set when it begins to write."""

        def watch(execute: Any, sql: str, *rest: Any) -> Any:
            if begins and not sql.startswith("SELECT"):
                begins.set()
            return execute(sql, *rest)

        def run() -> Any:
            try:
                with connection.execute_wrapper(watch):
                    return work()
            finally:
                connections.close_all()

        return self._executor.submit(run)

    def end(self) -> None:
        for event in self._events:
            event.set()
        self._executor.shutdown()


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.end()


def wait(event: Event) -> None:
    assert event.wait(PATIENCE)


def waits_for_another() -> bool:
    """Tell whether a transaction waits for a lock; on SQLite, which cannot say, all but one do."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            # Not innodb_trx, which stands still as long as somebody looks at it often.
            cursor.execute(
                "SELECT count(*) FROM information_schema.processlist, information_schema.global_status"
                " WHERE db = database() AND id <> connection_id() AND command = 'Query'"
                " AND variable_name = 'Innodb_row_lock_current_waits' AND variable_value > 0"
            )
            return bool(cursor.fetchone()[0])
    return connection.vendor == "sqlite"


def orphan() -> str:
    """Leave an attachment of no mail behind; returns the path of its file."""
    email = send(attachments={"terms.pdf": CONTENT})
    (path,) = stored(email)
    email.delete()
    return path


@pytest.mark.parametrize("name", ["terms.pdf", "agb.pdf"])
def test_clean_up_leaves_what_a_mail_is_just_beginning_to_use(threads: Threads, name: str) -> None:
    path = orphan()
    queued, commit, cleaning = threads.event(), threads.event(), threads.event()

    def queue() -> None:
        with transaction.atomic():
            send(attachments={name: CONTENT})
            queued.set()
            wait(commit)

    queueing = threads.start(queue)
    wait(queued)
    cleaned = threads.start(cleanup.remove_orphaned_attachments, cleaning)
    if connection.vendor == "sqlite":
        wait(cleaning)  # which waits for the other transaction
    else:
        assert cleaned.result(PATIENCE) == 0
    commit.set()
    queueing.result(PATIENCE)
    cleaned.result(PATIENCE)

    assert stored(Email.objects.get()) == (path,)
    assert delivered() == [[(name, CONTENT)]]
    # The row that nobody needs goes, and the file stays for the one that does.
    cleanup.remove_orphaned_attachments()
    assert Attachment.objects.get().name == name
    assert default_storage.exists(path)


@pytest.mark.parametrize("rolled_back", [False, True])
@pytest.mark.parametrize("name", ["terms.pdf", "agb.pdf"])
def test_a_mail_does_not_begin_to_use_what_is_just_being_cleaned_up(
    threads: Threads, name: str, rolled_back: bool
) -> None:
    path = orphan()
    cleaned, end, queueing = threads.event(), threads.event(), threads.event()

    def clean_up() -> None:
        with transaction.atomic():
            assert cleanup.remove_orphaned_attachments() == 1
            cleaned.set()
            wait(end)
            transaction.set_rollback(rolled_back)

    cleaning = threads.start(clean_up)
    wait(cleaned)
    queued = threads.start(lambda: send(attachments={name: CONTENT}), queueing)
    if connection.vendor == "postgresql":
        queued.result(PATIENCE)  # without waiting for the other
    wait(queueing)
    wait_until(lambda: queued.done() or waits_for_another(), "it has got as far as it can")
    end.set()
    cleaning.result(PATIENCE)
    queued.result(PATIENCE)

    assert default_storage.exists(path) is rolled_back
    assert delivered() == [[(name, CONTENT)]]


def test_two_clean_ups_at_the_same_moment_leave_no_file(threads: Threads) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one transaction that writes at a time.")
    path = orphan()
    second = send(attachments={"agb.pdf": CONTENT})
    cleaned, commit = threads.event(), threads.event()

    def clean_up() -> None:
        with transaction.atomic():
            assert cleanup.remove_orphaned_attachments() == 1
            cleaned.set()
            wait(commit)

    cleaning = threads.start(clean_up)
    wait(cleaned)
    second.delete()
    assert cleanup.remove_orphaned_attachments() == 1
    assert default_storage.exists(path)  # as the other may be rolled back
    commit.set()
    cleaning.result(PATIENCE)
    assert not default_storage.exists(path)


def test_those_that_attach_the_same_file_do_not_wait_for_each_other(threads: Threads) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one transaction that writes at a time.")
    path = orphan()
    with transaction.atomic():
        send(attachments={"terms.pdf": CONTENT})
        other = threads.start(lambda: send(attachments={"terms.pdf": CONTENT})).result(PATIENCE)
    assert stored(other) == (path,)
    assert Attachment.objects.count() == 1


def test_clean_up_goes_on_after_a_deadlock_that_was_broken_at_its_cost(threads: Threads) -> None:
    if connection.vendor != "mysql":
        pytest.skip("Others do not say beforehand at whose cost they break a deadlock.")
    first, second = send(), send()
    Email.objects.update(status=STATUS.sent)
    tomorrow = timezone.now() + timedelta(days=1)
    with transaction.atomic():
        # Whoever has written more goes on.
        Log.objects.bulk_create(Log(email=second, status=STATUS.sent, message="") for _ in range(100))
        Email.objects.select_for_update().get(pk=second.pk)
        cleaning = threads.start(lambda: cleanup.remove_emails(tomorrow))
        wait_until(waits_for_another, "clean-up has the first and waits for the second")
        Email.objects.select_for_update().get(pk=first.pk)
    assert cleaning.result(PATIENCE) == 2
    assert not Email.objects.exists()


def test_no_file_is_missed_and_none_left_in_a_crowd(threads: Threads) -> None:
    seen: set[str] = set()
    lock, over = Lock(), threads.event()

    def use() -> None:
        for number in range(20):
            # Each is used by all threads for a while, and by none later.
            content = CONTENT + bytes([number // 4])
            email = send(attachments={f"{number % 2}.pdf": content})
            (attachment,) = files.of(email)
            with lock:
                seen.add(str(attachment.file.name))
            assert files.read(attachment) == content
            email.delete()

    def clean_up() -> None:
        while not over.is_set():
            cleanup.remove_orphaned_attachments()

    cleaning = [threads.start(clean_up) for _ in range(2)]
    using = [threads.start(use) for _ in range(3)]
    try:
        for future in using:
            future.result(PATIENCE)
    finally:
        over.set()
    for future in cleaning:
        future.result(PATIENCE)
    cleanup.remove_orphaned_attachments()
    assert not Attachment.objects.exists()
    assert not [path for path in seen if default_storage.exists(path)]
