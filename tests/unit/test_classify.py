import smtplib
import socket
import ssl
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from post_office.delivery.classify import classify_content, classify_opening, classify_sending
from post_office.delivery.faults import Kind, NotAccepted
from post_office.delivery.smtp import Interrupted, Unanswered
from post_office.exceptions import AttachmentGone, TemplateGone


class ApiError(Exception):
    """Like those of backends for provider APIs: a status, and perhaps the response."""

    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.response = SimpleNamespace(
            headers={key.replace("_", "-"): value for key, value in headers.items()}
        )


def named(name: str, *bases: type, **attributes: object) -> Exception:
    """Return an exception of a class of this name, as a package that is not installed would raise."""
    exception: Exception = type(name, (*bases, Exception), {})("of a library")
    vars(exception).update(attributes)
    return exception


def caused_by(cause: Exception) -> Exception:
    """Return an exception as of an HTTP library, which wraps that of the system."""
    wrapper = RuntimeError("Max retries exceeded")
    wrapper.__cause__ = RuntimeError("Failed to establish a new connection")
    wrapper.__cause__.__context__ = cause
    return wrapper


def aws(code: str, status: int) -> Exception:
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return named("ClientError", response=response)


def answer(code: int, text: bytes) -> smtplib.SMTPDataError:
    return smtplib.SMTPDataError(code, text)


def refused(code: int, text: bytes) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({"a@x": (code, text)})


SENDING = [
    # --- SMTP: as its class says
    (refused(550, b"no such user"), Kind.PERMANENT, 550),
    (refused(451, b"try later"), Kind.TRANSIENT, 451),
    (smtplib.SMTPSenderRefused(553, b"not yours", "me@x"), Kind.PERMANENT, 553),
    (answer(554, b"spam"), Kind.PERMANENT, 554),
    (answer(452, b"4.3.1 disk full"), Kind.TRANSIENT, 452),
    # policy: the same for this mail next time
    (answer(554, b"5.7.1 spam"), Kind.PERMANENT, 554),
    # greylisting and other policy for now
    (refused(450, b"4.7.1 greylisted"), Kind.TRANSIENT, 450),
    # too big stays too big
    (answer(552, b"5.3.4 message too big"), Kind.PERMANENT, 552),
    # the service goes away; another connection may be taken
    (smtplib.SMTPSenderRefused(421, b"closing", "me@x"), Kind.TRANSIENT, 421),
    # one may be taken later, so the mail is not lost
    (smtplib.SMTPRecipientsRefused({"a@x": (550, b"no"), "b@x": (450, b"busy")}), Kind.TRANSIENT, 450),
    # --- SMTP: the exceptions
    # a full mailbox may be emptied, whatever the code says
    (refused(552, b"5.2.2 mailbox full"), Kind.TRANSIENT, 552),
    (refused(554, b"5.2.2 over quota"), Kind.TRANSIENT, 554),
    # more recipients than the server takes at once: the others come in another transaction
    (refused(452, b"4.5.3 too many recipients"), Kind.TRANSIENT, 452),
    (refused(552, b"too many recipients"), Kind.TRANSIENT, 552),
    (refused(550, b"5.5.3 too many recipients"), Kind.TRANSIENT, 550),
    # the server is out of step; a new connection is not
    (answer(503, b"5.5.1 nested MAIL"), Kind.TRANSIENT, 503),
    # it wants a login or TLS, of everybody
    (smtplib.SMTPSenderRefused(530, b"authentication required", "me@x"), Kind.BACKEND, 530),
    (smtplib.SMTPSenderRefused(530, b"5.7.0 Must issue a STARTTLS command first", "me@x"), Kind.BACKEND, 530),
    (smtplib.SMTPSenderRefused(550, b"5.7.8 bad credentials", "me@x"), Kind.BACKEND, 550),
    (smtplib.SMTPAuthenticationError(535, b"bad password"), Kind.BACKEND, 535),
    (smtplib.SMTPAuthenticationError(454, b"4.7.0 temporary failure"), Kind.BACKEND, 454),
    (smtplib.SMTPHeloError(501, b"who?"), Kind.BACKEND, 501),
    # but 5.7.9 is what Yahoo says of a mail's content
    (answer(554, b"5.7.9 not accepted for policy reasons"), Kind.PERMANENT, 554),
    # no mail at all (RFC 7504)
    (smtplib.SMTPSenderRefused(521, b"this host takes no mail", "me@x"), Kind.BACKEND, 521),
    # a day's quota, which Google calls permanent
    (smtplib.SMTPSenderRefused(550, b"5.4.5 Daily user sending limit exceeded", "me@x"), Kind.THROTTLED, 550),
    # too much at once, in the words of Google, Amazon and others
    (answer(421, b"4.7.28 unusual rate of unsolicited mail"), Kind.THROTTLED, 421),
    (answer(454, b"Throttling failure: Maximum sending rate exceeded."), Kind.THROTTLED, 454),
    (answer(450, b"4.7.1 Error: too much mail; too many messages from you"), Kind.THROTTLED, 450),
    (answer(421, b"Too many concurrent SMTP connections"), Kind.THROTTLED, 421),
    (answer(550, b"Domain has exceeded the max emails per hour (100)"), Kind.THROTTLED, 550),
    # --- SMTP: no answer
    # before the last byte: not taken
    (Interrupted(OSError("timed out")), Kind.TRANSIENT, None),
    # after it, or through a backend that does not say
    (Unanswered("timed out"), Kind.UNKNOWN, None),
    (smtplib.SMTPServerDisconnected("closed"), Kind.UNKNOWN, None),
    (TimeoutError("timed out"), Kind.UNKNOWN, None),
    (ConnectionResetError(), Kind.UNKNOWN, None),
    (ssl.SSLError("bad record"), Kind.UNKNOWN, None),
    # the server has no SMTPUTF8 for this mail's addresses
    (smtplib.SMTPNotSupportedError("SMTPUTF8"), Kind.PERMANENT, None),
    # --- a backend that connects when it sends
    (ConnectionRefusedError(), Kind.BACKEND, None),
    (socket.gaierror("no such host"), Kind.BACKEND, None),
    (ssl.SSLCertVerificationError("expired"), Kind.BACKEND, None),
    (caused_by(ConnectionRefusedError()), Kind.BACKEND, None),
    (named("AnymailRequestsAPIError", type("ConnectTimeout", (OSError,), {})), Kind.BACKEND, None),
    (named("AnymailRequestsAPIError", type("ReadTimeout", (OSError,), {})), Kind.UNKNOWN, None),
    # --- HTTP
    (ApiError(429), Kind.THROTTLED, 429),
    (ApiError(401), Kind.BACKEND, 401),
    (ApiError(402), Kind.BACKEND, 402),
    # may be about this mail's sender alone
    (ApiError(403), Kind.TRANSIENT, 403),
    (ApiError(400), Kind.PERMANENT, 400),
    (ApiError(413), Kind.PERMANENT, 413),
    (ApiError(500), Kind.TRANSIENT, 500),
    (ApiError(503), Kind.TRANSIENT, 503),
    # the server behind the gateway may have taken it
    (ApiError(502), Kind.UNKNOWN, 502),
    (ApiError(504), Kind.UNKNOWN, 504),
    # only the response has the status, as with requests' HTTPError
    (named("HTTPError", OSError, response=SimpleNamespace(status_code=429, headers={})), Kind.THROTTLED, 429),
    # --- Anymail
    (named("AnymailRecipientsRefused", response=SimpleNamespace(status_code=200)), Kind.PERMANENT, 200),
    (named("AnymailUnsupportedFeature", ValueError), Kind.PERMANENT, None),
    (named("AnymailConfigurationError"), Kind.BACKEND, None),
    # --- botocore
    (aws("Throttling", 400), Kind.THROTTLED, 400),
    (aws("TooManyRequestsException", 429), Kind.THROTTLED, 429),
    (aws("MessageRejected", 400), Kind.PERMANENT, 400),
    (aws("SignatureDoesNotMatch", 403), Kind.BACKEND, 403),
    (aws("AccessDenied", 403), Kind.TRANSIENT, 403),
    (aws("InternalFailure", 500), Kind.TRANSIENT, 500),
    (named("NoCredentialsError"), Kind.BACKEND, None),
    # --- the rest
    # the message cannot be written in this backend's form
    (ValueError("Invalid address"), Kind.PERMANENT, None),
    (UnicodeEncodeError("ascii", "ä", 0, 1, "no"), Kind.PERMANENT, None),
    (NotAccepted("none"), Kind.TRANSIENT, None),
    # a backend's own exception does not say how far it came
    (Exception("boom"), Kind.UNKNOWN, None),
]


@pytest.mark.parametrize(("exception", "kind", "code"), SENDING, ids=lambda value: repr(value)[:60])
def test_a_fault_in_sending_is_told(exception: Exception, kind: Kind, code: int | None) -> None:
    fault = classify_sending(exception)
    assert (fault.kind, fault.code) == (kind, code)
    assert fault.exception_type == type(exception).__name__


@pytest.mark.parametrize(
    ("exception", "usable"),
    [
        (smtplib.SMTPDataError(554, b"spam"), True),
        (smtplib.SMTPRecipientsRefused({"a@x": (451, b"later")}), True),
        (smtplib.SMTPSenderRefused(421, b"closing", "me@x"), False),
        (smtplib.SMTPSenderRefused(530, b"log in", "me@x"), False),
        (answer(503, b"bad sequence"), False),
        (Interrupted(OSError()), False),
        (smtplib.SMTPServerDisconnected("closed"), False),
        (TimeoutError(), False),
    ],
)
def test_a_connection_is_kept_after_a_plain_refusal_only(exception: Exception, usable: bool) -> None:
    assert classify_sending(exception).connection_is_usable is usable


def test_the_servers_answer_is_kept() -> None:
    fault = classify_sending(smtplib.SMTPRecipientsRefused({"a@x": (550, b"5.1.1 no such user \xff")}))
    assert fault.answer == "5.1.1 no such user \ufffd"


@pytest.mark.parametrize(
    ("exception", "interrupted"),
    [
        (Interrupted(OSError()), True),
        (smtplib.SMTPSenderRefused(421, b"closing", "me@x"), True),
        (answer(451, b"later"), False),
        (Unanswered("closed"), False),
        (smtplib.SMTPServerDisconnected("closed"), False),
    ],
)
def test_an_interruption_is_told_from_what_may_have_been_taken(
    exception: Exception, interrupted: bool
) -> None:
    assert classify_sending(exception).was_interrupted is interrupted


def test_each_refused_recipient_has_its_own_fault() -> None:
    fault = classify_sending(
        smtplib.SMTPRecipientsRefused(
            {"a@x": (550, b"no"), "b@x": (450, b"retry in 5 min"), "c@x": (450, b"retry in 1 hour")}
        )
    )
    assert {mailbox: one.kind for mailbox, one in fault.refused.items()} == {
        "a@x": Kind.PERMANENT,
        "b@x": Kind.TRANSIENT,
        "c@x": Kind.TRANSIENT,
    }
    assert fault.after == timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, please try again in 300 seconds", 300),
        ("Greylisted for 5 minutes", 300),
        ("Greylisting in action, please come back in 00:04:59", 299),
        ("try again after 90s", 90),
        ("wait 1 hour", 3600),
        # no more than a day
        ("try again in 9000 hours", 86400),
        ("try again later", None),
        ("too old after 10 mails", None),
        ("mailbox of in 5", None),
    ],
)
def test_try_again_in_so_long_is_read(text: str, seconds: int | None) -> None:
    after = classify_sending(answer(451, text.encode())).after
    assert after == (None if seconds is None else timedelta(seconds=seconds))


def test_a_wait_that_goes_with_a_refusal_for_good_is_no_wait() -> None:
    assert classify_sending(answer(550, b"blocked for 5 minutes")).after is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("nonsense", None), ("", None), ("99999999999", None)],
)
def test_retry_after_in_seconds_is_read(value: str, seconds: int | None) -> None:
    after = classify_sending(ApiError(429, Retry_After=value)).after
    assert after == (None if seconds is None else timedelta(seconds=seconds))


def test_retry_after_as_a_date_is_read() -> None:
    moment = datetime.now(timezone.utc) + timedelta(minutes=10)
    after = classify_sending(ApiError(503, Retry_After=format_datetime(moment))).after
    assert after is not None
    assert timedelta(minutes=9) < after <= timedelta(minutes=10)


def test_retry_after_of_a_server_that_does_not_know_its_zone_is_taken_for_universal_time() -> None:
    """RFC 5322, section 3.3, says "-0000" for that; HTTP knows universal time alone."""
    moment = datetime.now(timezone.utc) + timedelta(minutes=10)
    said = moment.strftime("%a, %d %b %Y %H:%M:%S -0000")
    after = classify_sending(ApiError(503, Retry_After=said)).after
    assert after is not None
    assert timedelta(minutes=9) < after <= timedelta(minutes=10)


@pytest.mark.parametrize(
    "exception",
    [
        ConnectionRefusedError(),
        socket.gaierror("no such host"),
        smtplib.SMTPAuthenticationError(535, b"bad password"),
        ssl.SSLCertVerificationError("expired"),
        ImportError("no such backend"),
    ],
)
def test_whatever_keeps_a_connection_from_opening_is_the_backends_fault(exception: Exception) -> None:
    assert classify_opening(exception).kind is Kind.BACKEND


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        (AttachmentGone("a.pdf", "x/y.pdf"), Kind.PERMANENT),
        (TemplateGone("welcome"), Kind.PERMANENT),
        (ZeroDivisionError(), Kind.PERMANENT),
        (ConnectionResetError("storage"), Kind.TRANSIENT),
        (OperationalError("database is locked"), Kind.TRANSIENT),
        # a storage of a provider's
        (aws("SlowDown", 503), Kind.TRANSIENT),
        (aws("ExpiredToken", 400), Kind.TRANSIENT),
        (aws("NoSuchBucket", 404), Kind.PERMANENT),
    ],
    ids=repr,
)
def test_a_fault_in_the_content_is_told(exception: Exception, kind: Kind) -> None:
    assert classify_content(exception).kind is kind
