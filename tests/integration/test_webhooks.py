"""The views that providers call: who is believed, how each request is answered, and what is stored."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client
from django.urls import path

from post_office import mail
from post_office.checks import check_webhooks
from post_office.enums import RecipientDeliveryStatus as Status
from post_office.models import Email, Log
from post_office.webhooks import BaseWebhookHandler, ESPEvent, SESWebhookHandler, SparkPostWebhookHandler
from post_office.webhooks.ses import verify_ses_signature
from post_office.webhooks.sns import SIGNED, fetch_certificate

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"


def certify(key: Any) -> bytes:
    """Return a certificate for a key, signed by itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(timezone.utc)
    return bytes(
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SOMEBODY_ELSES = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CERTIFICATE = certify(KEY)


class OurSES(SESWebhookHandler):
    """Knows the certificate of these tests, and asks no server for it."""

    @staticmethod
    def fetch_certificate(url: str) -> bytes:
        return CERTIFICATE


class UnreachableSES(SESWebhookHandler):
    @staticmethod
    def fetch_certificate(url: str) -> bytes:
        raise URLError("no route to host")


class OneThatWaits(OurSES):
    """A project's own, which does more than to store."""

    seen: list[tuple[list[ESPEvent], Any]] = []

    def handle_events(self, events: list[ESPEvent], payload: dict[str, Any] | None) -> None:
        self.seen.append((events, payload))


class Own(BaseWebhookHandler):
    """For a provider of the project's own: what it does is said in the query."""

    def verify_signature(self, request: HttpRequest) -> bool:
        return "unverified" not in request.GET

    def parse_events(self, request: HttpRequest) -> list[ESPEvent]:
        if "database" in request.GET:
            raise OperationalError("server has gone away")
        told = json.loads(request.body)
        return [ESPEvent("x", Status.OPENED, told["recipient"], told["id"])]


urlpatterns = [
    path("ses", OurSES.as_view()),
    path("unreachable", UnreachableSES.as_view()),
    path("waits", OneThatWaits.as_view()),
    path("sparkpost", SparkPostWebhookHandler.as_view()),
    path("own", Own.as_view()),
    path("base", BaseWebhookHandler.as_view()),
]


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**providers: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, "WEBHOOKS": providers}

    return change


@pytest.fixture
def email() -> Email:
    email = mail.send("ann@example.com", "me@example.com", subject="s", message="m")
    Email.objects.filter(pk=email.pk).update(provider_id="ses-1")
    return email


@pytest.fixture
def web() -> Client:
    """A stranger, whom Django's protection against forged requests would turn away."""
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


def post(web: Client, where: str, what: Any, **headers: str) -> tuple[int, Any]:
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    # SNS says that its JSON is plain text.
    answer = web.post(where, body, content_type="text/plain; charset=utf-8", headers=headers)
    is_json = answer.headers["Content-Type"] == "application/json"
    return answer.status_code, json.loads(answer.content) if is_json else None


def status_of(email: Email) -> int | None:
    return Email.objects.get(pk=email.pk).recipient_delivery_status


# --- SES --------------------------------------------------------------------------------------

MESSAGE = {
    "eventType": "Bounce",
    "mail": {
        "messageId": "ses-1",
        "timestamp": "2026-03-01T08:00:00.000Z",
        "destination": ["ann@example.com"],
    },
    "bounce": {
        "bounceType": "Permanent",
        "feedbackId": "fb-1",
        "timestamp": "2026-03-01T08:00:01.000Z",
        "bouncedRecipients": [{"emailAddress": "ann@example.com", "diagnosticCode": "550 ünknown"}],
    },
}


def signed(version: str = "2", key: Any = KEY, **changes: Any) -> dict[str, Any]:
    """Return what SNS sends, signed as SNS signs it."""
    payload = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification",
        "Message": json.dumps(MESSAGE, ensure_ascii=False),
        "Timestamp": "2026-03-01T08:00:02.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        **changes,
    }
    payload = {name: value for name, value in payload.items() if value is not None}
    names = [name for name in SIGNED[payload["Type"]] if name in payload]
    text = "".join(f"{name}\n{payload[name]}\n" for name in names).encode("utf-8", "surrogatepass")
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    return {**payload, "Signature": base64.b64encode(key.sign(text, PKCS1v15(), algorithm)).decode()}


def confirmation(kind: str = "SubscriptionConfirmation") -> dict[str, Any]:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37"
    return signed(Type=kind, Subject=None, Message="You have chosen…", Token="2336412f37", SubscribeURL=url)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["Amazon SES Email Event Notification", None])
def test_what_sns_signed_is_stored(version: str, subject: str | None, web: Client, email: Email) -> None:
    assert post(web, "/ses", signed(version, Subject=subject)) == (200, {"status": "ok", "processed": 1})
    assert status_of(email) == Status.HARD_BOUNCED
    log = Log.objects.get()
    assert (log.email, log.status, log.recipient) == (email, Status.HARD_BOUNCED, "ann@example.com")
    assert (log.message, log.event_id) == ("550 ünknown", "ses:fb-1:ann@example.com")


def test_a_mail_is_found_by_what_its_backend_left(web: Client, settings: Any) -> None:
    settings.POST_OFFICE = {"BACKENDS": {"default": "tests.backends.ProviderBackend"}}
    email = mail.send("ann@example.com", "me@example.com", subject="s", message="m")
    assert mail.send_queued() == (1, 0, 0)
    told = {**MESSAGE, "mail": {"messageId": "id of ann@example.com"}}
    assert post(web, "/ses", signed(Message=json.dumps(told)))[0] == 200
    assert status_of(email) == Status.HARD_BOUNCED


def test_sns_may_send_it_again(web: Client, email: Email) -> None:
    for _ in range(2):
        assert post(web, "/ses", signed()) == (200, {"status": "ok", "processed": 1})
    assert Log.objects.count() == 1


def test_a_mail_that_is_not_here_is_a_success(web: Client, caplog: Any) -> None:
    caplog.set_level("INFO", "post_office")
    assert post(web, "/ses", signed()) == (200, {"status": "ok", "processed": 1})
    assert "'Bounce:Permanent' was reported of a mail that is not here: 'ses-1'" in caplog.text


def test_a_note_of_ses_is_a_success(web: Client) -> None:
    note = signed(Message="Successfully validated SNS topic for Amazon SES event publishing.")
    assert post(web, "/ses", note) == (200, {"status": "ok", "processed": 0})


FORGED: list[tuple[str, dict[str, Any]]] = [
    ("another key", signed(key=SOMEBODY_ELSES)),
    ("another message", {**signed(), "Message": "{}"}),
    ("another topic", {**signed(), "TopicArn": "arn:aws:sns:eu-west-1:666:theirs"}),
    ("a subject added", {**signed(Subject=None), "Subject": "x"}),
    ("another version", {**signed("1"), "SignatureVersion": "2"}),
    ("an unknown version", {**signed(), "SignatureVersion": "3"}),
    ("a version that is a number", {**signed(), "SignatureVersion": 2}),
    ("no version", signed(SignatureVersion=None)),
    ("no signature", {name: value for name, value in signed().items() if name != "Signature"}),
    ("a signature that is a list", {**signed(), "Signature": ["x"]}),
    ("a signature that is no base64", {**signed(), "Signature": "%%%"}),
    ("a signature that is no ASCII", {**signed(), "Signature": "ü"}),
    ("an empty signature", {**signed(), "Signature": ""}),
    ("no certificate", signed(SigningCertURL=None)),
    ("a certificate that is a list", signed(SigningCertURL=[CERTIFICATE_URL])),
    ("an unknown type", {**signed(), "Type": "Surprise"}),
    ("no moment", {name: value for name, value in signed().items() if name != "Timestamp"}),
    ("a moment that is a number", {**signed(), "Timestamp": 1}),
    ("a message that is an object", {**signed(), "Message": MESSAGE}),
    ("half a character", {**signed(), "Message": "\ud800"}),
    ("a message without the envelope, as by raw delivery", MESSAGE),
]


@pytest.mark.parametrize(("what", "payload"), FORGED, ids=[what for what, _ in FORGED])
def test_what_sns_did_not_sign_is_refused(what: str, payload: Any, web: Client, email: Email) -> None:
    assert post(web, "/ses", payload) == (401, {"error": "Invalid signature"})
    assert (status_of(email), Log.objects.count()) == (None, 0)


PEM = "SimpleNotificationService-0123456789abcdef.pem"
GOOD_ADDRESSES = [
    f"https://sns.us-east-1.amazonaws.com/{PEM}",
    f"https://sns.ap-southeast-3.amazonaws.com/{PEM}",
    f"https://sns.us-gov-west-1.amazonaws.com/{PEM}",
    f"https://sns.cn-north-1.amazonaws.com.cn/{PEM}",
    f"https://sns.cn-northwest-1.amazonaws.com.cn/{PEM}",
]
BAD_ADDRESSES = [
    f"http://sns.eu-west-1.amazonaws.com/{PEM}",
    f"ftp://sns.eu-west-1.amazonaws.com/{PEM}",
    f"//sns.eu-west-1.amazonaws.com/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com.evil.example/{PEM}",
    f"https://evil.example/sns.eu-west-1.amazonaws.com/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com@evil.example/{PEM}",
    f"https://user@sns.eu-west-1.amazonaws.com/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com:8443/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com:443/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com\\@evil.example/{PEM}",
    f"https://evil.example#sns.eu-west-1.amazonaws.com/{PEM}",
    f"https://snsxeu-west-1.amazonaws.com/{PEM}",
    f"https://bucket.s3.eu-west-1.amazonaws.com/{PEM}",
    f"https://sns.bucket.amazonaws.com/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com.cn/{PEM}",
    f"https://sns.cn-north-1.amazonaws.com.com/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com/{PEM}\n",
    f"\nhttps://sns.eu-west-1.amazonaws.com/{PEM}",
    f"https://sns.eu-west-1.amazonaws.com/{PEM}?x=1",
    f"https://sns.eu-west-1.amazonaws.com/?Action=Publish&x={PEM}",
    f"https://sns.eu-west-1.amazonaws.com/../{PEM}",
    f"https://sns.eu-west-\u0661.amazonaws.com/{PEM}",
    "https://sns.eu-west-1.amazonaws.com/mine.pem",
    "https://sns.eu-west-1.amazonaws.com/",
    "file:///etc/ssl/mine.pem",
    "",
]


@pytest.mark.parametrize("url", [*GOOD_ADDRESSES, *BAD_ADDRESSES])
def test_a_certificate_is_fetched_from_sns_only(url: str) -> None:
    asked = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return CERTIFICATE

    good = url in GOOD_ADDRESSES
    assert verify_ses_signature(signed(SigningCertURL=url), fetch) is good
    assert asked == ([url] if good else [])


def test_a_certificate_is_fetched_once_for_each_address() -> None:
    asked = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return CERTIFICATE

    other = CERTIFICATE_URL.replace("abcdef", "fedcba")
    for url in (CERTIFICATE_URL, CERTIFICATE_URL, other, CERTIFICATE_URL):
        assert verify_ses_signature(signed(SigningCertURL=url), fetch)
    assert asked == [CERTIFICATE_URL, other]


def test_what_could_not_be_fetched_is_asked_for_again() -> None:
    answers: list[bytes | Exception] = [URLError("down"), b"<html>", CERTIFICATE]

    def fetch(address: str) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(Exception, match="down"):
        verify_ses_signature(signed(), fetch)
    assert verify_ses_signature(signed(), fetch) is False
    assert verify_ses_signature(signed(), fetch) is True


ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("content", [b"", b"<html>", CERTIFICATE[:200], certify(ELLIPTIC)])
def test_what_is_no_certificate_for_rsa_verifies_nothing(content: bytes) -> None:
    assert verify_ses_signature(signed(), lambda url: content) is False


def test_without_the_certificate_sns_is_asked_to_come_again(web: Client, email: Email) -> None:
    """SNS gives up at a 401, and comes again after a 503."""
    assert post(web, "/unreachable", signed()) == (503, {"error": "Certificate unavailable"})
    assert Log.objects.count() == 0


@pytest.mark.parametrize(("code", "verified"), [(403, False), (404, False), (302, None), (500, None)])
def test_a_certificate_that_does_not_exist_verifies_nothing(code: int, verified: bool | None) -> None:
    def fetch(address: str) -> bytes:
        raise HTTPError(address, code, "no", {}, None)  # type: ignore[arg-type]

    if verified is None:
        with pytest.raises(Exception, match=str(code)):
            verify_ses_signature(signed(), fetch)
    else:
        assert verify_ses_signature(signed(), fetch) is verified


@pytest.mark.parametrize(
    ("topics", "status"), [([TOPIC, "x"], 200), (TOPIC, 200), ([], 200), (["x"], 401), (f"{TOPIC}s", 401)]
)
def test_only_the_topics_of_the_settings_are_believed(
    topics: Any, status: int, web: Client, email: Email, configure: Any
) -> None:
    configure(SES={"TOPIC_ARNS": topics})
    assert post(web, "/ses", signed())[0] == status


def test_a_subscription_is_not_confirmed_by_itself(web: Client, caplog: Any) -> None:
    payload = confirmation()
    assert post(web, "/ses", payload) == (
        200,
        {
            "status": "subscription_confirmation_received",
            "topic_arn": TOPIC,
            "subscribe_url": payload["SubscribeURL"],
        },
    )
    (line,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "sns.eu-west-1.amazonaws.com" in line.getMessage()
    assert "Token" not in line.getMessage()


def test_the_end_of_a_subscription_is_noted(web: Client, caplog: Any) -> None:
    assert post(web, "/ses", confirmation("UnsubscribeConfirmation")) == (200, {"status": "ok"})
    assert f"the subscription to topic {TOPIC!r} has ended" in caplog.text


def test_a_forged_confirmation_is_refused(web: Client) -> None:
    forged = {**confirmation(), "SubscribeURL": "https://evil.example/"}
    assert post(web, "/ses", forged) == (401, {"error": "Invalid signature"})


def test_a_handler_of_the_projects_own_gets_the_events_and_what_sns_sent(web: Client, email: Email) -> None:
    OneThatWaits.seen.clear()
    payload = signed()
    assert post(web, "/waits", payload) == (200, {"status": "ok", "processed": 1})
    ((events, told),) = OneThatWaits.seen
    assert ([event.recipient for event in events], told) == (["ann@example.com"], payload)
    # It did not call super().
    assert Log.objects.count() == 0


def test_without_verification_everybody_is_believed(web: Client, email: Email, configure: Any) -> None:
    configure(SES={"VERIFY_SIGNATURE": False})
    # Raw message delivery has no envelope.
    assert post(web, "/ses", MESSAGE) == (200, {"status": "ok", "processed": 1})
    assert post(web, "/ses", {"Type": "Notification", "Message": json.dumps(MESSAGE)})[0] == 200
    assert Log.objects.count() == 1
    assert post(web, "/ses", {"Type": "Surprise"}) == (400, {"error": "Unknown message type"})
    assert post(web, "/ses", {}) == (400, {"error": "Unknown message type"})


STRANGE: list[Any] = [
    [1], "x", 1, None, {"Type": []}, {"Type": {}}, {"eventType": []},
    {"Type": "SubscriptionConfirmation", "SubscribeURL": ["x"]}, {"Type": "Notification", "TopicArn": {}},
    {"Type": "Notification", "Message": []}, {"Type": "Notification", "Message": "[1]"},
    {"Type": "Notification", "Message": '{"eventType": "Send", "mail": {"destination": 1}}'},
    {"Type": "Notification", "Message": json.dumps({**MESSAGE, "mail": 1})},
]  # fmt: skip


@pytest.mark.parametrize("payload", STRANGE, ids=json.dumps)
def test_strange_json_is_refused_and_no_fault_of_ours(payload: Any, web: Client, configure: Any) -> None:
    configure(SES={"VERIFY_SIGNATURE": False})
    assert post(web, "/ses", payload) == (400, {"error": "Failed to parse events"})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000])
@pytest.mark.parametrize("where", ["/ses", "/sparkpost"])
def test_what_is_no_json_is_refused(body: bytes, where: str, web: Client, configure: Any) -> None:
    configure(SPARKPOST={"VERIFY_SIGNATURE": False})
    assert post(web, where, body) == (400, {"error": "Invalid JSON"})


def test_confirmations_that_verify_nothing_may_say_anything(web: Client, configure: Any) -> None:
    configure(SES={"VERIFY_SIGNATURE": False})
    for url in (1, None, "", "https://[", "\ud800"):
        payload = {"Type": "SubscriptionConfirmation", "SubscribeURL": url}
        assert post(web, "/ses", payload)[0] == 200


@pytest.mark.parametrize("where", ["/ses", "/sparkpost", "/own"])
def test_a_body_beyond_djangos_limit_is_refused(
    where: str, web: Client, settings: Any, configure: Any
) -> None:
    configure(SPARKPOST={"VERIFY_SIGNATURE": False})
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    status, _ = post(web, where, b" " * 101)
    assert 400 <= status < 500


def test_without_cryptography_it_is_said_what_to_install() -> None:
    code = """
import sys
sys.modules["cryptography"] = None
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["post_office"], SECRET_KEY="x")
django.setup()
from post_office.webhooks.ses import verify_ses_signature
try:
    verify_ses_signature({})
except RuntimeError as fault:
    print(fault)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Install django-post_office[ses]" in done.stdout


# --- the certificate's server -----------------------------------------------------------------


class Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("Location", "/small")
        self.end_headers()
        self.wfile.write(b"x" * (64 * 1024 + 1) if self.path == "/big" else CERTIFICATE)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_is_read(server: str) -> None:
    assert fetch_certificate(f"{server}/small") == CERTIFICATE


def test_no_redirect_is_followed(server: str) -> None:
    with pytest.raises(HTTPError) as caught:
        fetch_certificate(f"{server}/moved")
    caught.value.close()
    assert caught.value.code == 302


def test_nothing_endless_is_read(server: str) -> None:
    with pytest.raises(ValueError, match="more than 65536 bytes"):
        fetch_certificate(f"{server}/big")


# --- SparkPost --------------------------------------------------------------------------------

EVENT = {
    "message_id": "000443ee14578172be22",
    "transmission_id": "ses-1",
    "rcpt_to": "ann@example.com",
    "timestamp": "1772352009",
}
COMPLAINT = {**EVENT, "type": "spam_complaint", "event_id": "92356927693813856", "fbtype": "abuse"}
OPEN = {**EVENT, "type": "open", "event_id": "92356927693813857", "user_agent": "Mozilla/5.0"}
BATCH = [{"msys": {"message_event": COMPLAINT}}, {"msys": {"track_event": OPEN}}]
LOGIN = "Basic " + base64.b64encode(b"user:word").decode()


def test_a_batch_of_sparkpost_is_stored(web: Client, email: Email, configure: Any) -> None:
    configure(SPARKPOST={"USERNAME": "user", "PASSWORD": "word"})
    for _ in range(2):
        assert post(web, "/sparkpost", BATCH, Authorization=LOGIN) == (200, {"status": "ok", "processed": 2})
    assert status_of(email) == Status.SPAM_COMPLAINT
    assert sorted(Log.objects.values_list("status", "message")) == [
        (Status.OPENED, "Mozilla/5.0"),
        (Status.SPAM_COMPLAINT, "abuse"),
    ]


@pytest.mark.parametrize("body", [BATCH, b"{"])
def test_sparkpost_without_the_password_is_refused(
    body: Any, web: Client, email: Email, configure: Any
) -> None:
    for config in ({"USERNAME": "user", "PASSWORD": "other"}, {}):
        configure(SPARKPOST=config)
        assert post(web, "/sparkpost", body, Authorization=LOGIN) == (401, {"error": "Invalid signature"})
    assert Log.objects.count() == 0


def test_the_ping_of_sparkpost_is_a_success(web: Client, configure: Any) -> None:
    configure(SPARKPOST={"USERNAME": "user", "PASSWORD": "word"})
    assert post(web, "/sparkpost", [{"msys": {}}], Authorization=LOGIN) == (
        200,
        {"status": "ok", "processed": 0},
    )


# --- settings ---------------------------------------------------------------------------------


def test_a_misspelt_setting_is_pointed_out(configure: Any) -> None:
    configure(
        SES={"TOPIC_ARN": TOPIC, "VERIFY_SIGNATURE": True}, SPARKPOST={"USERNAME": "user"}, MINE={"x": 1}
    )
    (warning,) = check_webhooks()
    assert (warning.id, warning.hint) == ("post_office.W003", "It may have TOPIC_ARNS, VERIFY_SIGNATURE.")
    assert "POST_OFFICE['WEBHOOKS']['SES'] has the key 'TOPIC_ARN'" in warning.msg


def test_settings_that_are_read_are_right(configure: Any) -> None:
    configure(
        SES={"TOPIC_ARNS": [TOPIC], "VERIFY_SIGNATURE": True},
        SPARKPOST={"USERNAME": "user", "PASSWORD": "word", "VERIFY_SIGNATURE": True},
    )
    assert check_webhooks() == []
    configure()
    assert check_webhooks() == []


# --- every provider ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["/ses", "/sparkpost", "/own", "/base"])
@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options", "patch"])
def test_only_post_is_allowed(where: str, method: str, web: Client) -> None:
    assert getattr(web, method)(where).status_code == 405


def test_a_provider_of_the_projects_own_is_stored(web: Client, email: Email) -> None:
    told = {"recipient": "ann@example.com", "id": "ses-1"}
    for _ in range(2):
        assert post(web, "/own", told) == (200, {"status": "ok", "processed": 1})
    assert (status_of(email), Log.objects.count()) == (Status.OPENED, 1)
    assert post(web, "/own?unverified", told) == (401, {"error": "Invalid signature"})
    assert post(web, "/own", b"{") == (400, {"error": "Invalid JSON"})
    assert post(web, "/own", {}) == (400, {"error": "Failed to parse events"})
    assert post(web, "/own", [1]) == (400, {"error": "Failed to parse events"})


def test_a_fault_of_the_database_is_no_fault_of_the_provider(web: Client, email: Email) -> None:
    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError("server has gone away")

    with connection.execute_wrapper(refuse):
        assert post(web, "/ses", signed())[0] == 500
    assert post(web, "/own?database", {})[0] == 500
    # and then it is sent again
    assert post(web, "/ses", signed())[0] == 200
    assert Log.objects.count() == 1


def test_a_view_must_say_how_to_verify_and_to_read(web: Client) -> None:
    with pytest.raises(NotImplementedError, match=r"BaseWebhookHandler must have verify_signature"):
        Client().post("/base")
    with pytest.raises(NotImplementedError, match=r"BaseWebhookHandler must have parse_events"):
        BaseWebhookHandler().parse_events(HttpRequest())
