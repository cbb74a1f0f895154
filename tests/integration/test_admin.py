"""The admin: who may do what by which address, what the pages show, and what the verbs really do."""

import re
import smtplib
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail as outgoing
from django.core.files.base import ContentFile
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils import timezone

from post_office import mail
from post_office.admin import verbs
from post_office.admin.verbs import RESEND, Order
from post_office.backends import EmailBackend
from post_office.enums import RecipientDeliveryStatus
from post_office.models import PRIORITY, STATUS, Attachment, Email, EmailTemplate, Log
from post_office.queue import claims, liveness, outcomes
from post_office.queue.outcomes import Sent
from tests.integration.staff import LIST, act, address, held, page, queued, row, send, staff, told

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
VERBS = [verb.permission for verb in verbs.VERBS]
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
CID = "0123456789abcdef0123456789abcdef"
POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


class Refusing(BaseEmailBackend):
    """Answers each mail with one code; 0 stands for a server that is not there."""

    def __init__(self, code: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.code = code

    def open(self) -> None:
        if not self.code:
            raise ConnectionRefusedError("nobody listens")

    def send_messages(self, email_messages: Any) -> int:
        raise smtplib.SMTPDataError(self.code, b"not now")


@pytest.fixture
def viewer() -> Client:
    return staff("view_email", "view_log", "view_emailtemplate", "view_attachment")


@pytest.fixture
def editor() -> Client:
    return staff("change_email", "view_log", "view_attachment", *VERBS)


# --- who may do what --------------------------------------------------------------------------

LOGIN, FORBIDDEN, SHOWN, DONE = "to the login", 403, 200, 302
# Address: what an anonymous visitor, staff without permission, a viewer and an editor get.
GETS = {
    LIST: (LOGIN, FORBIDDEN, SHOWN, SHOWN),
    LIST + "{pk}/change/": (LOGIN, FORBIDDEN, SHOWN, SHOWN),
    LIST + "{pk}/history/": (LOGIN, FORBIDDEN, SHOWN, SHOWN),
    LIST + "{pk}/preview/": (LOGIN, FORBIDDEN, SHOWN, SHOWN),
    LIST + "{pk}/image/" + CID: (LOGIN, FORBIDDEN, SHOWN, SHOWN),
    LIST + "{pk}/resend/": (LOGIN, FORBIDDEN, FORBIDDEN, SHOWN),
    LIST + "{pk}/requeue/": (LOGIN, FORBIDDEN, FORBIDDEN, SHOWN),
    LIST + "{pk}/copy/": (LOGIN, FORBIDDEN, FORBIDDEN, SHOWN),
    LIST + "{pk}/cancel/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),  # a failed mail cannot be canceled
    LIST + "{pk}/priority/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/reschedule/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/delete/": (LOGIN, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    LIST + "add/": (LOGIN, FORBIDDEN, FORBIDDEN, FORBIDDEN),
}
POSTS = {
    LIST + "{pk}/change/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/resend/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/requeue/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/copy/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/cancel/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/priority/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/reschedule/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "send/": (LOGIN, FORBIDDEN, FORBIDDEN, DONE),
    LIST + "{pk}/delete/": (LOGIN, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    LIST + "add/": (LOGIN, FORBIDDEN, FORBIDDEN, FORBIDDEN),
}
WHO = ["anonymous", "without permission", "viewer", "editor"]
FORM = {"from_email": "me@example.com", "to": "bob@example.com", "priority": "2"}
FORM |= {
    f"{rows}-{form}_FORMS": "0" for rows in ("Attachment_emails", "logs") for form in ("TOTAL", "INITIAL")
}
FORM |= {"scheduled_time_0": "", "scheduled_time_1": "", "expires_at_0": "", "expires_at_1": ""}


@pytest.fixture
def with_image() -> Email:
    email = queued(status=STATUS.failed, html_message=f'<img src="cid:{CID}">')
    headers = {"Content-ID": f"<{CID}>", "Content-Disposition": f'inline; filename="{CID}"'}
    image = Attachment(name=CID, mimetype="image/png", headers=headers)
    image.file.save("logo.png", ContentFile(PNG))
    email.attachments.add(image)
    return email


def client_of(who: str, request: pytest.FixtureRequest) -> Client:
    if who in ("viewer", "editor"):
        return request.getfixturevalue(who)
    return staff() if who == "without permission" else Client()


def got(response: Any) -> Any:
    to_login = response.status_code == 302 and "/login/" in response.headers["Location"]
    return LOGIN if to_login else response.status_code


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("url", GETS)
def test_each_address_is_shown_only_to_those_who_may_see_it(
    url: str, who: str, with_image: Email, request: pytest.FixtureRequest
) -> None:
    before = Email.objects.values().get(pk=with_image.pk)
    response = client_of(who, request).get(url.format(pk=with_image.pk))
    assert got(response) == GETS[url][WHO.index(who)]
    assert Email.objects.values().get(pk=with_image.pk) == before
    assert outgoing.outbox == []


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("url", POSTS)
def test_each_address_acts_only_for_those_who_may_change(
    url: str, who: str, with_image: Email, request: pytest.FixtureRequest
) -> None:
    before = Email.objects.values().get(pk=with_image.pk)
    expected = POSTS[url][WHO.index(who)]
    response = client_of(who, request).post(url.format(pk=with_image.pk), FORM)
    assert got(response) == expected
    if expected != DONE:
        assert Email.objects.values().get(pk=with_image.pk) == before
        assert outgoing.outbox == []


@pytest.mark.parametrize("action", ["requeue", "cancel", "delete_selected"])
def test_a_viewer_can_run_no_action(action: str, viewer: Client) -> None:
    emails = [queued(), queued(status=STATUS.failed), queued(status=STATUS.sent)]
    data = {"action": action, "_selected_action": [email.pk for email in emails], "confirmed": "yes"}
    viewer.post(LIST, {**data, "post": "yes"}, follow=True)
    assert [row(email).status for email in emails] == [STATUS.queued, STATUS.failed, STATUS.sent]


@pytest.mark.parametrize("verb", ["preview", "resend", "requeue", "cancel"])
def test_a_mail_that_does_not_exist_is_not_found(verb: str, admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}99999/{verb}/").status_code == 404
    assert admin_client.post(f"{LIST}{10**30}/{verb}/").status_code == 404


@pytest.mark.parametrize("verb", ["resend", "requeue", "cancel"])
def test_a_verb_asks_for_a_csrf_token_and_for_a_method_it_knows(verb: str, admin_user: User) -> None:
    email = queued(status=STATUS.queued if verb == "cancel" else STATUS.failed)
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin_user)
    assert careful.post(address(email, verb)).status_code == 403
    relaxed = Client()
    relaxed.force_login(admin_user)
    assert relaxed.put(address(email, verb)).status_code == 405
    assert row(email).last_updated == email.last_updated


def test_the_names_of_the_addresses_are_those_of_old() -> None:
    assert reverse("admin:resend", args=[1]) == f"{LIST}1/resend/"
    assert reverse("admin:post_office_email_preview", args=[1]) == f"{LIST}1/preview/"
    assert reverse("admin:post_office_email_image", args=[1, CID]) == f"{LIST}1/image/{CID}"


def test_a_log_can_neither_be_written_nor_changed(admin_client: Client) -> None:
    log = Log.objects.create(email=queued(), status=STATUS.failed, message="no")
    url = f"/admin/post_office/log/{log.pk}/change/"
    assert "no" in page(admin_client, url)
    assert admin_client.post(url, {"message": "yes"}).status_code == 403
    assert admin_client.get("/admin/post_office/log/add/").status_code == 403


# --- the list ---------------------------------------------------------------------------------


def test_the_list_says_what_waits_for_whom(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi {{ name }}", content="x")
    german = template.translated_templates.create(language="de", subject="Hallo {{ name }}", content="x")
    send(
        template=german,
        context={"name": "Ann"},
        render_on_delivery=True,
        priority="high",
        cc="cc@example.com",
    )
    text = page(admin_client, LIST)
    for shown in (
        "ann@example.com, cc@example.com",
        "Hallo Ann",
        "welcome",
        "de",
        "high",
        "queued",
        "default",
    ):
        assert shown in text


def test_a_subject_that_does_not_render_leaves_the_list_whole(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="broken", subject="{% nonsense %}", content="x")
    queued(template=template, template_name="broken", context={})
    queued(template=None, template_name="deleted one", context={})
    text = page(admin_client, LIST)
    assert text.count("does not render") == 2
    assert "deleted one" in text


def test_mail_for_a_backend_that_is_not_configured_is_marked(admin_client: Client) -> None:
    queued(backend_alias="gone")
    assert "not configured" in page(admin_client, LIST, backend_alias="-")
    assert "0 Emails" in page(admin_client, LIST, backend_alias="default")


def test_mail_in_delivery_is_marked(admin_client: Client) -> None:
    held()
    assert "being delivered" in page(admin_client, LIST)


def test_the_list_asks_the_database_equally_often_however_long_it_is(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi {{ name }}", content="x")
    german = template.translated_templates.create(language="de", subject="Hallo {{ name }}", content="x")

    def fill(number: int) -> None:
        for _ in range(number):
            send(template=german, context={"name": "Ann"}, render_on_delivery=True)
            Log.objects.create(email=held(), status=STATUS.failed, message="no")

    for url in (LIST, "/admin/post_office/log/"):
        fill(1)
        with CaptureQueriesContext(
            connection,
        ) as few:
            page(admin_client, url)
        fill(20)
        with django_assert_num_queries(len(few)):
            page(admin_client, url)
        assert len(few) <= 10


def test_the_list_does_not_load_the_bodies(admin_client: Client) -> None:
    queued()
    with CaptureQueriesContext(connection) as queries:
        page(admin_client, LIST)
    assert not [query for query in queries if "html_message" in query["sql"]]


FINDS = [
    ("by recipient", "bob@example"),
    ("by copy", "copy@example.com"),
    ("by subject", "invoice 7"),
    ("by Message-ID", "unique-id@example.com"),
]


@pytest.mark.parametrize(("what", "words"), FINDS, ids=[what for what, _ in FINDS])
def test_mail_is_found(what: str, words: str, admin_client: Client) -> None:
    queued()
    sought = send(recipients=["Bob <bob@example.com>"], bcc="copy@example.com", subject="Your invoice 7")
    Email.objects.filter(pk=sought.pk).update(message_id="<unique-id@example.com>")
    response = admin_client.get(LIST, {"q": words})
    assert [email.pk for email in response.context["cl"].result_list] == [sought.pk]


def test_the_list_is_filtered(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi", content="x")
    german = template.translated_templates.create(language="de", subject="Hallo", content="x")
    default, translated, plain = send(template=template), send(template=german), send(priority="high")
    expected: list[tuple[dict[str, Any], list[Email]]] = [
        ({"template__name": "welcome"}, [translated, default]),
        ({"template__language": "de"}, [translated]),
        ({"template__language": ""}, [default]),
        ({"priority__exact": PRIORITY.high}, [plain]),
        ({"backend_alias": "default"}, [plain, translated, default]),
        ({"backend_alias": "-"}, []),
        ({"status__exact": STATUS.sent}, []),
        ({"created__gte": (timezone.now() + HOUR).isoformat()}, []),
    ]
    for query, emails in expected:
        response = admin_client.get(LIST, query)
        assert list(response.context["cl"].result_list) == emails, query


# --- the page of a mail -----------------------------------------------------------------------


def test_the_page_shows_every_column_of_the_row(admin_client: Client) -> None:
    email = held()
    Email.objects.filter(pk=email.pk).update(
        cc="Doe, John <cc@example.com>",
        bcc="bcc@example.com",
        headers={"X-Campaign": "spring"},
        context=None,
        message_id="<known@example.com>",
        number_of_retries=3,
        claims=2,
        recipient_delivery_status=10,
        template_name="forgotten",
        backend_alias="gone",
    )
    text = page(admin_client, address(email))
    for shown in (
        "me@example.com", "ann@example.com", "cc@example.com", "bcc@example.com", "Hello", "Good morning",
        "&lt;p&gt;Good &lt;b&gt;morning", "queued", "being delivered", "Accepted", "medium", "X-Campaign",
        "spring", "&lt;known@example.com&gt;", "forgotten", "gone", str(email.worker), "not configured",
    ):  # fmt: skip
        assert shown in text, shown
    for label in ("Retries", "Unfinished deliveries", "Due", "Expires", "Scheduled Time", "Since"):
        assert label in text, label
    for field in Email._meta.concrete_fields:
        assert f'<th scope="row">{field.name}</th>' in text, field.name


def test_the_page_shows_the_log_and_the_attachments(admin_client: Client, with_image: Email) -> None:
    Log.objects.create(email=with_image, status=STATUS.failed, message="mailbox full", code=452, actor="ann")
    notes = Attachment(name="notes.txt", mimetype="text/plain")
    notes.file.save("notes.txt", ContentFile(b"x"))
    with_image.attachments.add(notes)
    text = page(admin_client, address(with_image))
    for shown in ("mailbox full", "452", "notes.txt", "Inline image"):
        assert shown in text


def test_what_a_provider_reported_of_a_recipient_is_shown_and_found(admin_client: Client) -> None:
    email = queued(recipient_delivery_status=RecipientDeliveryStatus.HARD_BOUNCED)
    other = queued()
    Log.objects.create(
        email=email,
        status=RecipientDeliveryStatus.HARD_BOUNCED,
        message="550 unknown",
        recipient="cy@example.com",
    )
    log = "/admin/post_office/log/"
    for url in (address(email), log, f"{log}{email.logs.get().pk}/change/"):
        text = page(admin_client, url)
        assert "cy@example.com" in text, url
        assert 'post-office-bad">Hard Bounced' in text, url
    assert "550 unknown" in page(admin_client, log, q="cy@example.com")
    assert "550 unknown" not in page(admin_client, log, q="ann@example.com")
    found = page(admin_client, LIST, recipient_delivery_status__exact=RecipientDeliveryStatus.HARD_BOUNCED)
    assert address(email) in found
    assert address(other) not in found


def test_a_mail_that_waits_for_its_template_is_shown_rendered(admin_client: Client) -> None:
    EmailTemplate.objects.create(
        name="welcome", subject="Hi {{ name }}", content="Dear {{ name }}", html_content="<p>{{ name }}</p>"
    )
    email = send(template="welcome", context={"name": "O'Neil"}, render_on_delivery=True)
    text = page(admin_client, address(email))
    assert "Dear O&#x27;Neil" in text
    assert "<p>O&#x27;Neil</p>" in page(admin_client, address(email, "preview"))


BROKEN = [
    ("does not compile", "{% nonsense %}"),
    ("raises while rendering", "{% include 'no such file' %}"),
    ("names an image that is not there", "{% load post_office %}{% inline_image name %}"),
]


@pytest.mark.parametrize(("how", "source"), BROKEN, ids=[how for how, _ in BROKEN])
def test_a_template_that_no_longer_renders_shows_why(
    how: str, source: str, admin_client: Client, settings: Any
) -> None:
    settings.DEBUG = True  # or a missing image is passed over
    template = EmailTemplate.objects.create(name="welcome", subject="s", content="t", html_content="<p>h</p>")
    email = send(template="welcome", context={"name": "x.png"}, render_on_delivery=True)
    EmailTemplate.objects.filter(pk=template.pk).update(html_content=source)
    text = page(admin_client, address(email))
    assert "does not render" in text
    assert re.search("TemplateSyntaxError|InvalidTemplate|TemplateDoesNotExist|FileNotFoundError", text)
    assert "This email cannot be shown" in page(admin_client, address(email, "preview"))
    assert admin_client.get(address(email, "resend")).status_code == 200
    assert admin_client.get(f"{LIST}{email.pk}/image/{CID}").status_code == 404


def test_a_mail_whose_template_was_deleted_shows_why(admin_client: Client) -> None:
    email = queued(template=None, template_name="old news", context={"a": 1})
    assert "old news" in page(admin_client, address(email))
    assert "was deleted" in page(admin_client, address(email, "preview"))


# --- hostile HTML -----------------------------------------------------------------------------

HOSTILE = """<!DOCTYPE html><html><head><meta http-equiv="refresh" content="0;url=https://evil.example/">
<script>alert(1)</script></head><body onload="alert(2)"><img src=x onerror="alert(3)">
<a href="javascript:alert(4)">x</a><iframe src="https://evil.example/"></iframe>
<form action="https://evil.example/"><input name="password"></form></body></html>"""


class Dangers(HTMLParser):
    """Collects what would run, or break a strict content security policy, in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self.found += [
            f"{tag} {name}={value}"
            for name, value in given.items()
            if name in ("src", "href", "action") and not re.match(r"/(?!/)|\?|#|\.|$", value)
        ]
        if tag == "style" or (tag == "script" and "src" not in given) or "http-equiv" in given:
            self.found.append(tag)


@pytest.mark.parametrize("verb", ["change", "resend", "requeue", "delete", "history"])
def test_hostile_html_does_not_reach_the_pages_of_the_admin(verb: str, admin_client: Client) -> None:
    email = queued(
        html_message=HOSTILE,
        subject="<script>alert(5)</script>",
        message="<script>alert(6)</script>",
        headers={"X-<script>": "<script>alert(7)</script>"},
        to='"<script>alert(8)</script>" <ann@example.com>',
        context=None,
        template_name="<script>alert(9)</script>",
        status=STATUS.failed,
    )
    Log.objects.create(email=email, status=STATUS.failed, message="<script>", answer="<script>")
    hostile = {"context": {"name": "<script>alert(10)</script>"}, "render_on_delivery": True}
    EmailTemplate.objects.create(name="hi", subject="{{ name }}", content="{{ name }}")
    waiting = send(template="hi", **hostile)
    assert Dangers(page(admin_client, address(waiting, verb if verb != "requeue" else "cancel"))).found == []
    text = page(admin_client, address(email, verb))
    assert "evil.example" not in re.sub(r'<pre class="post-office-text">.*?</pre>', "", text, flags=re.DOTALL)
    assert Dangers(text).found == []
    assert Dangers(page(admin_client, LIST)).found == []
    assert Dangers(page(admin_client, "/admin/post_office/log/")).found == []


def test_the_preview_is_a_document_in_a_sandbox(admin_client: Client) -> None:
    email = queued(html_message=HOSTILE)
    response = admin_client.get(address(email, "preview"))
    assert response.content.decode() == HOSTILE
    assert response.headers["Content-Security-Policy"] == POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert re.search(r'<iframe [^>]*preview/"[^>]* sandbox', page(admin_client, address(email)))


def test_the_preview_of_a_mail_without_html_is_its_text(admin_client: Client) -> None:
    email = queued(html_message="", message="a < b")
    response = admin_client.get(address(email, "preview"))
    assert "a &lt; b" in response.content.decode()
    assert response.headers["Content-Security-Policy"] == POLICY
    assert "This email has no HTML." in page(admin_client, address(email))


def test_inline_images_stand_in_the_preview(admin_client: Client, with_image: Email) -> None:
    assert 'src="data:image/png;base64,iVBORw' in page(admin_client, address(with_image, "preview"))
    response = admin_client.get(f"{LIST}{with_image.pk}/image/{CID}")
    assert response.content == PNG
    assert response.headers["Content-Type"] == "image/png"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert admin_client.get(f"{LIST}{with_image.pk}/image/{CID[::-1]}").status_code == 404


def test_an_attachment_that_is_no_image_is_not_served_as_one(admin_client: Client, with_image: Email) -> None:
    with_image.attachments.update(mimetype="text/html")
    assert admin_client.get(f"{LIST}{with_image.pk}/image/{CID}").status_code == 404
    assert f"cid:{CID}" in page(admin_client, address(with_image, "preview"))


def test_an_image_whose_file_is_gone_spoils_nothing(admin_client: Client, with_image: Email) -> None:
    image = with_image.attachments.get()
    image.file.storage.delete(image.file.name)
    assert f"cid:{CID}" in page(admin_client, address(with_image, "preview"))
    assert admin_client.get(f"{LIST}{with_image.pk}/image/{CID}").status_code == 404


# --- editing ----------------------------------------------------------------------------------


def test_a_waiting_mail_can_be_edited(editor: Client) -> None:
    email = queued()
    changed = FORM | {
        "to": 'bob@example.com, "Doe, John" <john@example.com>',
        "scheduled_time_0": "2031-01-02",
    }
    response = editor.post(address(email), changed | {"scheduled_time_1": "03:04"}, follow=True)
    assert "changed successfully" in told(response)
    stored = row(email)
    assert stored.to == ["bob@example.com", '"Doe, John" <john@example.com>']
    assert (stored.priority, stored.scheduled_time.year) == (PRIORITY.high, 2031)
    assert (stored.subject, stored.status, stored.message_id) == ("Hello", STATUS.queued, email.message_id)


REFUSED = [
    ("an address that is none", {"to": "bob"}, "Only comma separated emails are allowed."),
    ("no recipient at all", {"to": ""}, "Give at least one recipient."),
    ("a backend that is not configured", {"backend_alias": "nope"}, "Select a valid choice"),
    ("a second header in the sender", {"from_email": "a@example.com\nBcc: b@example.com"}, "valid email"),
    (
        "a time after the expiry",
        {"scheduled_time_0": "2031-01-02", "scheduled_time_1": "00:00", "expires_at_0": "2030-01-02",
         "expires_at_1": "00:00"},
        "may not be later",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("what", "data", "error"), REFUSED, ids=[what for what, *_ in REFUSED])
def test_an_edit_is_refused_with(what: str, data: dict[str, str], error: str, editor: Client) -> None:
    email = queued()
    response = editor.post(address(email), FORM | data)
    assert response.status_code == 200
    assert error in response.content.decode()
    assert row(email).to == ["ann@example.com"]


def test_columns_of_the_protocol_cannot_be_posted(editor: Client) -> None:
    email = queued()
    protocol = {"status": "0", "worker": "x", "claims": "9", "number_of_retries": "9", "message_id": "x"}
    editor.post(address(email), FORM | protocol | {"subject": "x", "html_message": "x", "template": "1"})
    stored = row(email)
    assert (stored.status, stored.claims, stored.number_of_retries) == (STATUS.queued, 0, None)
    assert (stored.message_id, stored.subject, stored.to) == (email.message_id, "Hello", ["bob@example.com"])


@pytest.mark.parametrize("state", ["sent", "being delivered"])
def test_a_mail_cannot_be_edited_that_is(state: str, editor: Client) -> None:
    email = held() if state == "being delivered" else queued(status=STATUS.sent)
    text = page(editor, address(email))
    assert 'name="to"' not in text
    assert 'name="_save"' not in text
    response = editor.post(address(email), FORM, follow=True)
    assert "nothing was done" in told(response)
    assert "changed successfully" not in told(response)
    assert row(email).to == ["ann@example.com"]
    assert not LogEntry.objects.exists()


def test_an_edit_does_not_undo_what_a_worker_did_meanwhile(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker claims and sends the mail after the form was loaded and before it is written."""
    from post_office.admin import EmailAdmin

    email = queued()
    save = EmailAdmin.save_model

    def late(self: Any, *args: Any, **kwargs: Any) -> None:
        worker = liveness.register(timezone.now())
        claimed = row(email)
        assert claims.claim_one(claimed, worker, timezone.now())
        outcomes.settle([(claimed, Sent(backend="default"))], worker, 2, timezone.now())
        save(self, *args, **kwargs)

    monkeypatch.setattr(EmailAdmin, "save_model", late)
    response = editor.post(address(email), FORM, follow=True)
    assert "nothing was done" in told(response)
    # The whole request is one transaction here, and it was rolled back; only the edit counts.
    assert row(email).to == ["ann@example.com"]


# --- resend -----------------------------------------------------------------------------------


def test_asking_to_resend_sends_nothing(editor: Client) -> None:
    email = queued(status=STATUS.sent)
    text = page(editor, address(email, "resend"))
    assert "its recipients get it twice" in text
    assert outgoing.outbox == []
    assert row(email).last_updated == email.last_updated


def test_resending_delivers_and_says_to_whom(editor: Client) -> None:
    email = queued(status=STATUS.sent)
    response = editor.post(address(email, "resend"), follow=True)
    assert told(response) == "The email has been sent to ann@example.com."
    assert [message.to for message in outgoing.outbox] == [["ann@example.com"]]
    assert row(email).status == STATUS.sent
    assert LogEntry.objects.get().change_message == "The email has been sent to ann@example.com."


def test_a_second_click_does_not_send_again(editor: Client) -> None:
    email = queued(status=STATUS.sent)
    form = re.findall(r'name="(seen|confirmed)" value="([^"]+)"', page(editor, address(email, "resend")))
    editor.post(address(email, "resend"), dict(form))
    response = editor.post(address(email, "resend"), dict(form), follow=True)
    assert "nothing was done" in told(response)
    assert len(outgoing.outbox) == 1


def backend(code: int) -> dict[str, Any]:
    options = {"code": code} if code else {}
    return {"BACKENDS": {"default": {"BACKEND": f"{__name__}.Refusing", "OPTIONS": options}}}


SAID = [
    ("a refusal for good", 550, "could not be sent", "It will not be tried again.", STATUS.failed),
    ("a refusal for now", 451, "could not be sent", "It will be tried again at", STATUS.requeued),
    ("no server", 0, "cannot deliver now", "stays in the queue", STATUS.queued),
]


@pytest.mark.parametrize(("what", "code", "said", "then", "status"), SAID, ids=[what for what, *_ in SAID])
def test_resending_into(
    what: str, code: int, said: str, then: str, status: int, editor: Client, settings: Any
) -> None:
    settings.POST_OFFICE = backend(code)
    email = queued(status=STATUS.failed)
    response = editor.post(address(email, "resend"), follow=True)
    assert said in told(response)
    assert then in told(response)
    assert ("not now" if code else "nobody listens") in told(response)
    assert row(email).status == status


def test_resending_says_where_mail_really_goes(editor: Client, settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "OVERRIDE_RECIPIENTS": ["dev@example.com"]}
    assert "sent to dev@example.com" in told(editor.post(address(queued(), "resend"), follow=True))
    settings.POST_OFFICE = {**settings.POST_OFFICE, "OVERRIDE_RECIPIENTS": None}
    assert "sent to nobody" in told(editor.post(address(queued(to=""), "resend"), follow=True))


def test_mail_that_another_worker_delivers_is_not_resent(editor: Client) -> None:
    email = held()
    assert "being delivered" in told(editor.get(address(email, "resend"), follow=True))
    assert "nothing was done" in told(editor.post(address(email, "resend"), follow=True))
    assert outgoing.outbox == []


def test_mail_that_a_worker_takes_at_the_last_moment_is_left_to_it() -> None:
    email = queued()
    assert claims.claim_one(row(email), liveness.register(timezone.now()), timezone.now())
    said = RESEND.carry_out(email, Order(actor="ann", chosen={}, mark=""))
    assert "being delivered at this moment" in said.text
    assert not said.acted
    assert outgoing.outbox == []


def test_a_delivery_from_the_admin_is_no_part_of_a_requests_transaction() -> None:
    assert "default" in resolve(f"{LIST}1/resend/").func._non_atomic_requests  # type: ignore[attr-defined]


# --- requeue and cancel -----------------------------------------------------------------------


def test_failed_mail_is_requeued_at_once(editor: Client) -> None:
    failed = [queued(status=STATUS.failed, number_of_retries=9, scheduled_time=timezone.now()) for _ in "ab"]
    waiting = queued()
    response = act(editor, "requeue", waiting, *failed)
    assert "2 emails are in the queue again." in told(response)
    assert "1 email was left as it is" in told(response)
    assert [(row(email).status, row(email).number_of_retries) for email in failed] == [
        (STATUS.queued, None)
    ] * 2
    assert row(waiting).last_updated == waiting.last_updated
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(email.pk) for email in failed}


def test_sent_mail_is_requeued_only_when_that_is_confirmed(editor: Client) -> None:
    sent, failed = queued(status=STATUS.sent), queued(status=STATUS.failed)
    response = act(editor, "requeue", sent, failed)
    text = response.content.decode()
    assert "1 of the selected emails has been sent" in text
    assert (row(sent).status, row(failed).status) == (STATUS.sent, STATUS.failed)
    form = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text)
    data: dict[str, list[str]] = {}
    for name, value in form:
        data.setdefault(name, []).append(value)
    assert "2 emails are in the queue again." in told(editor.post(LIST, data, follow=True))
    assert (row(sent).status, row(failed).status) == (STATUS.queued, STATUS.queued)


def test_all_mail_of_a_filter_is_requeued_over_many_pages(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.send_many([{"recipients": "ann@example.com", "sender": "me@example.com"}] * 7)
    Email.objects.update(status=STATUS.failed)
    kept = queued(status=STATUS.canceled)
    monkeypatch.setattr("post_office.admin.actions.BATCH", 3)
    selected = {"action": "requeue", "_selected_action": kept.pk, "select_across": "1"}
    response = editor.post(f"{LIST}?status__exact={STATUS.failed}", selected, follow=True)
    assert "7 emails are in the queue again." in told(response)
    assert row(kept).status == STATUS.canceled


def test_waiting_mail_is_canceled_and_no_other(editor: Client) -> None:
    waiting, delivered, sent = queued(), held(), queued(status=STATUS.sent)
    response = act(editor, "cancel", waiting, delivered, sent)
    assert "1 email is canceled." in told(response)
    assert "2 emails were left as they are" in told(response)
    assert row(waiting).status == STATUS.canceled
    assert (row(delivered).status, row(sent).status) == (STATUS.queued, STATUS.sent)


def test_one_mail_is_canceled_and_queued_again_from_its_page(editor: Client) -> None:
    email = queued()
    text = page(editor, address(email))
    assert address(email, "cancel") in text
    assert address(email, "requeue") not in text
    assert "will not be sent" in page(editor, address(email, "cancel"))
    assert "canceled" in told(editor.post(address(email, "cancel"), follow=True))
    assert row(email).status == STATUS.canceled
    assert address(email, "requeue") in page(editor, address(email))
    assert "in the queue again" in told(editor.post(address(email, "requeue"), follow=True))
    assert row(email).status == STATUS.queued
    assert LogEntry.objects.count() == 2


def test_the_page_offers_nothing_to_a_viewer(viewer: Client) -> None:
    text = page(viewer, address(queued()))
    for verb in ("resend", "requeue", "cancel"):
        assert f"/{verb}/" not in text


# --- templates --------------------------------------------------------------------------------

TEMPLATES = "/admin/post_office/emailtemplate/"


def form(template: EmailTemplate | None = None, *translations: dict[str, Any], **data: Any) -> dict[str, Any]:
    """What a browser would post."""
    prefix = "translated_templates"
    known = list(template.translated_templates.order_by("pk")) if template else []
    management = {"TOTAL_FORMS": len(translations), "INITIAL_FORMS": len(known)}
    posted = {f"{prefix}-{name}": value for name, value in management.items()}
    for number, given in enumerate(translations):
        posted |= {f"{prefix}-{number}-{name}": value for name, value in given.items()}
        if template:
            posted[f"{prefix}-{number}-default_template"] = template.pk
        if number < len(known):
            posted[f"{prefix}-{number}-id"] = known[number].pk
    return {"name": "welcome", "subject": "Hi {{ name }}", "content": "Dear", **posted, **data}


def test_a_template_with_translations_is_written_in_one_form(admin_client: Client) -> None:
    german = {"language": "de", "subject": "Hallo {{ name }}", "html_content": "<p>Liebe</p>"}
    english = {"language": "en", "subject": "Hello {{ name }}"}
    response = admin_client.post(f"{TEMPLATES}add/", form(None, german, english), follow=True)
    assert "added successfully" in told(response)
    template = EmailTemplate.objects.get(default_template=None)
    assert [(each.name, each.language) for each in template.translated_templates.order_by("language")] == [
        ("welcome", "de"),
        ("welcome", "en"),
    ]
    assert send(template="welcome", language="de", context={"name": "Ann"}).subject == "Hallo Ann"
    assert "de, en" in page(admin_client, TEMPLATES)


def test_two_translations_into_one_language_are_refused(admin_client: Client) -> None:
    german = {"language": "de", "subject": "Hallo"}
    response = admin_client.post(f"{TEMPLATES}add/", form(None, german, german))
    assert "Duplicate template for language “de”." in response.content.decode()
    assert not EmailTemplate.objects.exists()


def test_a_translation_may_replace_one_that_is_deleted(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi", content="x")
    template.translated_templates.create(language="de", subject="Hallo", content="x")
    old = {"language": "de", "subject": "Hallo", "content": "x", "DELETE": "on"}
    new = {"language": "de", "subject": "Moin"}
    response = admin_client.post(f"{TEMPLATES}{template.pk}/change/", form(template, old, new), follow=True)
    assert "changed successfully" in told(response)
    assert template.translated_templates.get().subject == "Moin"


BAD_TEMPLATES: list[tuple[str, dict[str, Any], str]] = [
    ("a tag that is not known", {"content": "{% nonsense %}"}, "nonsense"),
    ("a name that is taken", {"name": "taken"}, "There is a template with this name already."),
    ("no name", {"name": ""}, "This field is required."),
]


@pytest.mark.parametrize(("what", "data", "error"), BAD_TEMPLATES, ids=[what for what, *_ in BAD_TEMPLATES])
def test_a_template_is_refused_with(
    what: str, data: dict[str, Any], error: str, admin_client: Client
) -> None:
    EmailTemplate.objects.create(name="taken", subject="Hi", content="x")
    response = admin_client.post(f"{TEMPLATES}add/", form(**data))
    assert error in response.content.decode()
    assert EmailTemplate.objects.count() == 1


def test_a_language_is_chosen_once_and_from_the_settings(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi", content="x")
    response = admin_client.post(f"{TEMPLATES}{template.pk}/change/", form(template, {"language": "xx"}))
    assert "Select a valid choice" in response.content.decode()
    template.translated_templates.create(language="fr", subject="Salut", content="x")  # not in LANGUAGES
    german = {"language": "de", "subject": "Salut toi"}
    response = admin_client.post(f"{TEMPLATES}{template.pk}/change/", form(template, german), follow=True)
    assert "changed successfully" in told(response)
    assert template.translated_templates.get().language == "fr"


def test_a_renamed_template_takes_its_translations_along(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi", content="x")
    template.translated_templates.create(language="de", subject="Hallo", content="x")
    send(template="welcome", language="de")  # now it is in the cache
    german = {"language": "de", "subject": "Hallo du", "content": "x"}
    admin_client.post(f"{TEMPLATES}{template.pk}/change/", form(template, german, name="greeting"))
    assert send(template="greeting", language="de").subject == "Hallo du"
    with pytest.raises(EmailTemplate.DoesNotExist):
        send(template="welcome", language="de")


def test_the_list_of_templates_asks_the_database_equally_often_however_long_it_is(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    def fill(*names: str) -> None:
        for name in names:
            template = EmailTemplate.objects.create(name=name, subject="Hi", content="x")
            template.translated_templates.create(language="de", subject="Hallo", content="x")

    fill("a")
    with CaptureQueriesContext(connection) as few:
        page(admin_client, TEMPLATES)
    fill(*"bcdefghijk")
    with django_assert_num_queries(len(few)):
        page(admin_client, TEMPLATES)


def test_without_translation_there_is_nothing_to_translate(admin_client: Client, settings: Any) -> None:
    settings.USE_I18N = False
    assert "translated_templates" not in page(admin_client, f"{TEMPLATES}add/")


# --- attachments ------------------------------------------------------------------------------


def test_an_attachment_names_its_mails_however_many_they_are(admin_client: Client) -> None:
    emails = mail.send_many([{"recipients": "ann@example.com", "sender": "me@example.com"}] * 51)
    terms = Attachment(name="terms.pdf", mimetype="application/pdf")
    terms.file.save("terms.pdf", ContentFile(b"x"))
    url = f"/admin/post_office/attachment/{terms.pk}/change/"
    terms.emails.set(emails[:1])
    assert 'name="emails"' in page(admin_client, url)
    terms.emails.set(emails)
    text = page(admin_client, url)
    assert 'name="emails"' not in text
    assert f"{LIST}?attachments={terms.pk}" in text
    assert "51 Emails" in page(admin_client, LIST, attachments=terms.pk)
    assert "terms.pdf" in page(admin_client, "/admin/post_office/attachment/")


@pytest.mark.parametrize("url", [LIST, TEMPLATES, f"{TEMPLATES}add/", "/admin/post_office/attachment/add/"])
def test_no_page_breaks_a_strict_content_security_policy(url: str, admin_client: Client) -> None:
    EmailTemplate.objects.create(name="welcome", subject="Hi", content="x")
    queued()
    assert Dangers(page(admin_client, url)).found == []


def test_tags_metadata_and_the_related_object_are_shown_and_searched(admin_client: Client) -> None:
    template = EmailTemplate.objects.create(pk=4711, name="about-me")
    email = mail.send(
        "ann@example.com",
        "me@example.com",
        tags=["invoice-2026"],
        metadata={"order": "A-1007", "note": "grüße"},
        related_object=template,
    )
    mail.send("bob@example.com", "me@example.com", tags=["other"], metadata={"order": "B-1"})
    shown = page(admin_client, address(email))
    assert "invoice-2026" in shown
    assert "A-1007" in shown
    assert (
        f'<a href="{reverse("admin:post_office_emailtemplate_change", args=[template.pk])}">about-me' in shown
    )
    listing = reverse("admin:post_office_email_changelist")
    for query in ("q=invoice", "q=a-1007", "q=gr%C3%BC%C3%9Fe", f"q={template.pk}", about(email)):
        found = page(admin_client, f"{listing}?{query}")
        assert "ann@example.com" in found, query
        assert "bob@example.com" not in found, query


def about(email: Email) -> str:
    return f"related_type={email.related_type}&related_id={email.related_id}"


def test_a_related_object_that_is_gone_or_has_no_page_is_named(admin_client: Client) -> None:
    email = mail.send("ann@example.com", "me@example.com")
    for kind in ("post_office.emailtemplate", "gone.model", "contenttypes.contenttype"):
        Email.objects.update(related_type=kind, related_id="77")
        assert f"{kind} 77" in page(admin_client, address(email))


def test_the_page_of_a_message_with_odd_parts_can_be_read(admin_client: Client) -> None:
    message: Any = EmailMultiAlternatives(
        "s" * 1000, "a\x00b", "root", ["root"], headers={"X-B": "1", "X-A": "2"}
    )
    message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
    message.esp_extra = {b"bytes": "\ud800"}
    EmailBackend().send_messages([message])
    assert "BEGIN:VCALENDAR" in page(admin_client, address(Email.objects.get()))


def test_a_mail_with_unusual_addresses_can_be_edited(admin_client: Client) -> None:
    EmailBackend().send_messages([EmailMultiAlternatives("s", "b", "tester", ["root"], cc=["postmaster"])])
    email = Email.objects.get()
    form = {**FORM, "from_email": "tester", "to": "root", "cc": "postmaster", "bcc": ""}
    answer = admin_client.post(address(email), {**form, "priority": PRIORITY.high})
    assert answer.status_code == 302
    email.refresh_from_db()
    assert (email.priority, email.to, email.email_message().to) == (PRIORITY.high, ["root"], ["root"])
    assert admin_client.post(address(email), {**form, "to": "nobody"}).status_code == 200
    email.refresh_from_db()
    assert email.to == ["root"]
