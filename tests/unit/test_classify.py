import smtplib
import socket
import ssl
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from post_office.delivery.classify import Kind, classify_content, classify_opening, classify_sending
from post_office.exceptions import AttachmentGone, TemplateGone


class ApiError(Exception):
    """Like those of backends for provider APIs: a status, and perhaps the response."""

    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.response = SimpleNamespace(
            headers={key.replace("_", "-"): value for key, value in headers.items()}
        )


SENDING = [
    (smtplib.SMTPRecipientsRefused({"a@x": (550, b"no such user")}), Kind.PERMANENT, 550),
    (smtplib.SMTPRecipientsRefused({"a@x": (451, b"try later")}), Kind.TRANSIENT, 451),
    # one may be taken later, so the mail is not lost
    (smtplib.SMTPRecipientsRefused({"a@x": (550, b"no"), "b@x": (450, b"busy")}), Kind.TRANSIENT, 450),
    (smtplib.SMTPSenderRefused(553, b"not yours", "me@x"), Kind.PERMANENT, 553),
    (smtplib.SMTPSenderRefused(530, b"authentication required", "me@x"), Kind.BACKEND, 530),
    (smtplib.SMTPDataError(554, b"spam"), Kind.PERMANENT, 554),
    (smtplib.SMTPDataError(452, b"disk full"), Kind.TRANSIENT, 452),
    (smtplib.SMTPSenderRefused(421, b"closing", "me@x"), Kind.TRANSIENT, 421),
    (smtplib.SMTPAuthenticationError(535, b"bad password"), Kind.BACKEND, 535),
    (smtplib.SMTPServerDisconnected("closed"), Kind.TRANSIENT, None),
    (smtplib.SMTPNotSupportedError("SMTPUTF8"), Kind.PERMANENT, None),
    (TimeoutError("timed out"), Kind.TRANSIENT, None),
    (ConnectionResetError(), Kind.TRANSIENT, None),
    (ssl.SSLError("bad record"), Kind.TRANSIENT, None),
    # the message cannot be written in this backend's form
    (ValueError("Invalid address"), Kind.PERMANENT, None),
    (UnicodeEncodeError("ascii", "ä", 0, 1, "no"), Kind.PERMANENT, None),
    # a backend's own exception says nothing, and may pass
    (Exception("boom"), Kind.TRANSIENT, None),
    (ApiError(429), Kind.THROTTLED, 429),
    (ApiError(401), Kind.BACKEND, 401),
    (ApiError(400), Kind.PERMANENT, 400),
    (ApiError(503), Kind.TRANSIENT, 503),
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
    ],
    ids=repr,
)
def test_a_fault_in_the_content_is_told(exception: Exception, kind: Kind) -> None:
    assert classify_content(exception).kind is kind
