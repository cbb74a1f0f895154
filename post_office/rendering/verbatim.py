"""Django's messages as rows: taken apart when they are queued, so that they come back as they were.

The columns of an email hold what they can, for people and for programs that read them. What they would
not give back exactly is kept beside them in `Email.as_given`; a message whose class builds its bytes
in its own way is kept as bytes, too, like an attachment. Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.charset import Charset
from email.message import Message
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, EmailMultiAlternatives

from ..compat import built
from ..exceptions import CannotStore
from ..given import ADDRESSES, AS_QUEUED, COLUMNS, TEXTS, fingerprint, headers_column
from ..headers import storable
from ..packing import pack
from ..validators import validate_comma_separated_emails, validate_email_with_name
from . import source as sources
from .attachments import Upload
from .parts import is_modern, source_of, upload_of, upload_of_whole

# What the constructor of a message takes, and what Django keeps for itself.
_OF_DJANGO = {
    *("subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers", "attachments"),
    *("alternatives", "content_subtype", "encoding", "connection"),
}
# What Anymail reads from messages, set on the message or on its class.
_OF_PROVIDERS = (
    *("tags", "metadata", "esp_extra", "template_id", "merge_data", "merge_global_data", "merge_metadata"),
    *("merge_headers", "send_at", "track_opens", "track_clicks", "envelope_sender"),
)
# What 5.2 reads from a message beside its fields, and later versions do not know.
_OF_MIME = ("mixed_subtype", "alternative_subtype")


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """A message taken apart.

    Attributes:
        columns: Columns of an email and their values.
        as_given: What the columns would not give back.
        message_id: Its Message-ID, where it has one.
    """

    columns: dict[str, Any]
    as_given: dict[str, Any] | None
    message_id: str | None
    uploads: tuple[Upload, ...] = field(default=())


def take_apart(message: EmailMessage) -> Verbatim:
    """Take a message apart, leaving it as it is.

    Raises:
        CannotStore: An attribute for the provider is no plain value.
        ValueError: Whatever Django raises for a message that it cannot build.
    """
    whole = built(message)  # raises for what Django itself would refuse
    text, html, layout = _bodies(message)
    given = {**_fields(message), **_headers(message), **_attributes(message), **layout}
    source = source_of(whole) if _builds_itself(message) else None
    columns = {name: _column(name, value) for name, value in given.items() if name in COLUMNS}
    beyond = _beyond(given)
    uploads = [upload_of(attachment) for attachment in message.attachments]
    if source is not None or "recipients" in given:
        beyond[AS_QUEUED] = {name: columns[name] for name in ("subject", *ADDRESSES)}
    if source is not None:
        beyond[AS_QUEUED][TEXTS] = fingerprint(text, html)
        uploads.append(upload_of_whole(source))
    return Verbatim(
        columns={**columns, "message": text, "html_message": html},
        as_given=beyond or None,
        message_id=_message_id(message, source),
        uploads=tuple(uploads),
    )


def _column(name: str, value: Any) -> Any:
    return COLUMNS[name](value)


def _beyond(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a row with these columns does not give back by itself."""
    return {name: value for name, value in given.items() if not _is_given_back(name, value)}


def _is_given_back(name: str, value: Any) -> bool:
    if name == "headers":
        extra = value["extra_headers"]
        # The column has an order of its own.
        return not value["reply_to"] and len(extra) < 2 and headers_column(**value) == (extra or None)
    if name in ("tags", "metadata") or name not in COLUMNS:
        return False
    return _column(name, value) == value and not (name in ADDRESSES and _is_unusual(name, value))


def _is_unusual(name: str, value: Any) -> bool:
    """Return whether these addresses are refused by the rules of the model, which are `mail.send`'s."""
    try:
        if name == "from_email":
            validate_email_with_name(value)
        else:
            validate_comma_separated_emails(value)
    except ValidationError:
        return True
    return False


# --- what a message consists of -----------------------------------------------------------------


def _fields(message: EmailMessage) -> dict[str, Any]:
    found: dict[str, Any] = {
        "subject": str(message.subject),
        "from_email": str(message.from_email),
        "to": _texts(message.to),
        "cc": _texts(message.cc),
        "bcc": _texts(message.bcc),
    }
    recipients = _texts(message.recipients())
    if recipients != [mailbox for kind in ("to", "cc", "bcc") for mailbox in found[kind] if mailbox]:
        found["recipients"] = recipients
    if message.encoding is not None:
        found["encoding"] = _encoding(message.encoding)
    return found


def _texts(items: Iterable[Any]) -> list[str]:
    return [str(item or "") for item in items]


def _encoding(encoding: Any) -> Any:
    if isinstance(encoding, Charset):
        return {
            name: value
            for name, value in vars(encoding).items()
            if value is None or type(value) in (str, int)
        }
    return str(encoding)


def _headers(message: EmailMessage) -> dict[str, Any]:
    extra = {str(name): _header(value) for name, value in message.extra_headers.items()}
    return {"headers": {"extra_headers": extra, "reply_to": _texts(message.reply_to)}}


def _header(value: Any) -> Any:
    try:
        pack(value)
    except TypeError:
        return str(value)  # as Django does with whatever it does not know
    return value


def _attributes(message: EmailMessage) -> dict[str, Any]:
    """Return what a backend for a provider, or one of the project's own, may read from the message."""
    found: dict[str, Any] = {}
    for name in _attribute_names(message):
        value = getattr(message, name)
        try:
            pack(value)
        except TypeError as fault:
            if name in _OF_PROVIDERS:
                raise CannotStore(f"{name}: {fault}") from fault
            continue  # a program's own object, which nobody else could know
        found[name] = value
    given = {name: found.pop(name) for name in list(found) if name in COLUMNS}
    return given | ({"attributes": found} if found else {})


def _attribute_names(message: EmailMessage) -> list[str]:
    own_classes = [kind for kind in type(message).__mro__ if not issubclass(EmailMultiAlternatives, kind)]
    of_classes = [name for kind in own_classes for name, value in vars(kind).items() if _is_plain(value)]
    return [
        name
        for name in dict.fromkeys([*of_classes, *vars(message)])
        if not (name.startswith("_") or name in _OF_DJANGO or hasattr(EmailMultiAlternatives, name))
        or name in _OF_MIME
    ]


def _is_plain(value: Any) -> bool:
    """Return whether a value on a class is one that its instances have, and no method or property."""
    return not (callable(value) or hasattr(value, "__get__"))


def _bodies(message: EmailMessage) -> tuple[str, str, dict[str, Any]]:
    """Return the text and the HTML for the columns, and the layout where that is not the usual one."""
    body = message.body if isinstance(message.body, (str, bytes)) else str(message.body)
    alternatives = [list(alternative) for alternative in getattr(message, "alternatives", None) or ()]
    contents = [[body, f"text/{message.content_subtype}"], *alternatives]
    text, html = _first(contents, "text/plain"), _first(contents, "text/html")
    columns = {
        content: column
        for content, column in ((html, "html_message"), (text, "message"))
        if content and storable(content) == content
    }
    usual = [message.content_subtype, *contents] == usual_layout(text, html)
    if usual and all(content in columns for content in (text, html) if content):
        return text, html, {}
    references = [[_reference(content, columns), mimetype] for content, mimetype in contents]
    in_columns = {reference.get("column") for reference, _mimetype in references}
    layout = {
        "subtype": message.content_subtype,
        "contents": references,
        # Columns that it does not show. An edit of these is not lost: it ends the layout.
        "unshown": {
            column: fingerprint(storable(content))
            for column, content in (("message", text), ("html_message", html))
            if column not in in_columns
        },
    }
    return storable(text), storable(html), {"layout": layout}


def _first(contents: list[list[Any]], mimetype: str) -> str:
    return next((content for content, kind in contents if kind == mimetype and isinstance(content, str)), "")


def usual_layout(text: str, html: str) -> list[Any]:
    """Return how the text and the HTML of a mail stand in its message: the subtype of the body, and the
    body and its alternatives with their types.
    """
    if html and not text:
        return ["html", [html, "text/html"]]
    return ["plain", [text, "text/plain"], *([[html, "text/html"]] if html else [])]


def _reference(content: Any, columns: dict[str, str]) -> dict[str, Any]:
    if isinstance(content, EmailMessage):
        content = built(content)
    if isinstance(content, Message):
        return {"message": source_of(content), "modern": is_modern(content)}
    if isinstance(content, str) and content in columns:
        return {"column": columns[content]}
    return {"value": content if isinstance(content, (str, bytes)) else str(content)}


# Methods of Django's messages that may be overridden without changing how the message is built.
_HARMLESS = {
    "send",
    "recipients",
    "attach",
    "attach_file",
    "attach_alternative",
    "get_connection",
    "body_contains",
}


def _builds_itself(message: EmailMessage) -> bool:
    """Return whether the class of a message changes how Django builds it."""
    base = EmailMultiAlternatives if isinstance(message, EmailMultiAlternatives) else EmailMessage
    building = [
        name
        for name in {*vars(EmailMessage), *vars(base)} - _HARMLESS
        if callable(getattr(base, name)) and not name.startswith("__")
    ]
    return any(
        name in vars(message) or getattr(type(message), name) is not getattr(base, name) for name in building
    )


def _message_id(message: EmailMessage, source: bytes | None) -> str | None:
    given = next(
        (value for name, value in message.extra_headers.items() if name.lower() == "message-id"), None
    )
    if given is None and source is not None:
        given = sources.message_id_of(source)
    return storable(str(given))[:255] if given else None
