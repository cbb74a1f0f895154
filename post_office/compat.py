"""The only file that names Django versions: what differs between 5.2, 6.0 and 6.1."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Iterable
from email.encoders import encode_base64
from email.message import Message, MIMEPart
from email.mime.base import MIMEBase
from email.policy import SMTP
from importlib import import_module
from typing import Any

import django
from django.conf import settings
from django.core.mail import EmailMessage, message
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

# 6.0: messages are built with Python's modern email API; MIMEBase attachments are deprecated.
HAS_MODERN_EMAIL = django.VERSION >= (6, 0)
# 6.0: the Tasks framework.
HAS_TASKS = django.VERSION >= (6, 0)
# 6.1: MAILERS and the keyword argument `alias` of backends.
HAS_MAILERS = django.VERSION >= (6, 1)
# 6.1: the admin's breadcrumbs are an ordered list, as its style sheet expects.
ADMIN_BREADCRUMBS_ARE_A_LIST = django.VERSION >= (6, 1)

# 6.0: what a message writes by itself can stand there once only, and Bcc not at all.
HEADERS_OF_DJANGO = frozenset(
    ("subject", "bcc", "mime-version", "content-type", "content-transfer-encoding")
    if HAS_MODERN_EMAIL
    else ()
)

_quiet = threading.Lock()


def mailers_are_configured() -> bool:
    """Return whether the project has moved to MAILERS."""
    return HAS_MAILERS and hasattr(settings, "MAILERS")


def legacy_email_backend() -> str:
    """Return EMAIL_BACKEND, without the warning that 6.1 gives on reading it."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        return settings.EMAIL_BACKEND


def construct_backend(
    backend_class: type[BaseEmailBackend], alias: str, options: dict[str, Any]
) -> BaseEmailBackend:
    """Make a backend as the project's Django would.

    From 6.1 on, a backend that is given an alias reads its options only and never an EMAIL_*
    setting. So one without options is made the old way as long as the project has no MAILERS.
    """
    if HAS_MAILERS and (options or mailers_are_configured()):
        return backend_class(alias=alias, **options)
    # 6.1 warns about the old way, which is the project's choice and not ours.
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        return backend_class(**options)


def mailers() -> dict[str, dict[str, Any]]:
    """Return MAILERS, empty where the project or its Django has none."""
    return dict(getattr(settings, "MAILERS", {})) if HAS_MAILERS else {}


def mailer(alias: str) -> BaseEmailBackend:
    """Make the backend of an alias of MAILERS. Raises `MailerDoesNotExist`, a KeyError."""
    from django.core import mail  # 6.1 only

    return mail.mailers[alias]


def check_mailbox(mailbox: str) -> None:
    """Raise ValueError for what Django's SMTP backend would not take for one mailbox.

    A local part alone is one: it is a mailbox of the server's own. So is one with characters that
    only a server with SMTPUTF8 (RFC 6531) takes.
    """
    if HAS_MODERN_EMAIL:
        SMTPBackend.prep_address(None, mailbox, force_ascii=False)  # type: ignore[arg-type]
    else:
        message.sanitize_address(mailbox, "utf-8")  # type: ignore[attr-defined, unused-ignore]


def built(email_message: EmailMessage) -> Message:
    """Build a message as Django's SMTP backend would; some encodings depend on the policy for that.

    Raises whatever Django raises for a message that it cannot build.
    """
    if not HAS_MODERN_EMAIL:
        return email_message.message()
    try:
        return email_message.message(policy=SMTP)  # type: ignore[call-arg, unused-ignore]
    except TypeError:  # a class of the project's own, written for an earlier Django
        return email_message.message()


def built_bytes(email_message: EmailMessage) -> bytes:
    """Return the bytes of a message as Django's SMTP backend hands them to smtplib.

    Raises whatever Django raises for a message that it cannot build.
    """
    if HAS_MODERN_EMAIL:
        return built(email_message).as_bytes()
    return built(email_message).as_bytes(linesep="\r\n")  # type: ignore[call-arg, unused-ignore]


def smtp_address(mailbox: str, encoding: str, backend: SMTPBackend | None = None) -> str:
    """Return a mailbox as Django's SMTP backend, or this one, hands it to smtplib.

    Raises ValueError for one that it refuses.

    Args:
        encoding: Of the message; matters to 5.2 only.
    """
    if not HAS_MODERN_EMAIL:
        return message.sanitize_address(mailbox, encoding)  # type: ignore[attr-defined, no-any-return, unused-ignore]
    if backend is None:
        return SMTPBackend.prep_address(None, mailbox)  # type: ignore[arg-type]
    return backend.prep_address(mailbox)


def field_of_5_2(name: str, value: str) -> tuple[str, str]:
    """Return a header field as Django 5.2 puts it into a message. Raises ValueError where it refuses it."""
    return message.forbid_multi_line_headers(name, value, "utf-8")  # type: ignore[attr-defined, no-any-return, unused-ignore]


def text_of_5_2(text: str) -> Message:
    """Return a text as Django 5.2 puts it into a message."""
    return message.SafeMIMEText(text, "plain", "utf-8")  # type: ignore[attr-defined, no-any-return, unused-ignore]


def connection_of(email_message: EmailMessage) -> Any:
    """Return the connection that a message was made with, if any."""
    return vars(email_message).get("_connection") or vars(email_message).get("connection")


def tasks_framework() -> Any:
    """Return the module of Django's Tasks framework, or of its backport. Raises ImportError without one."""
    return import_module("django.tasks" if HAS_TASKS else "django_tasks")


def mime_part(
    mimetype: str, payload: bytes | str, headers: Iterable[tuple[str, str]], *, filename: str = ""
) -> Message:
    """Make an attachment with headers of its own.

    Args:
        payload: bytes are encoded as base64. A str is taken as it is, for payloads that are
            stored in encoded form beside their Content-Transfer-Encoding.
        filename: For a Content-Disposition, where the headers have none.
    """
    maintype, _, subtype = (mimetype or "application/octet-stream").partition("/")
    part: Message
    if HAS_MODERN_EMAIL:
        part = MIMEPart()
        part["Content-Type"] = f"{maintype}/{subtype}"
    else:
        part = MIMEBase(maintype, subtype)
        del part["MIME-Version"]  # belongs to the message, not to its parts
    for name, value in headers:
        del part[name]
        part[name] = value
    if filename and "Content-Disposition" not in part:
        part.add_header("Content-Disposition", "attachment", filename=filename)
    part.set_payload(payload)
    if isinstance(payload, bytes):
        del part["Content-Transfer-Encoding"]
        encode_base64(part)
    return part


def relate(message: Message, images: list[Message]) -> None:
    """Turn the HTML part of a built message into multipart/related with its images (RFC 2387)."""
    html = next((part for part in message.walk() if part.get_content_type() == "text/html"), None)
    if html is None:
        html = message
    # A copy, since the payload cannot be taken out of a part and put into another: with text in 8 bits
    # it holds bytes that are no text.
    inner = copy.copy(html)
    for name in list(html):
        del (html if name.lower().startswith("content-") else inner)[name]
    html["Content-Type"] = f'multipart/related; type="{inner.get_content_type()}"'
    html.set_payload([inner, *images])
