"""Arbitrary messages, as recipes: a failing test prints the recipe, and each call makes a new message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from email.message import EmailMessage as PythonMessage
from email.message import MIMEPart
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.text import MIMEText
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import lazystr
from hypothesis import strategies as st

from post_office.compat import HAS_MODERN_EMAIL


class Newsletter(EmailMultiAlternatives):
    """A project's own class, which adds nothing that shows."""


class Signed(EmailMultiAlternatives):
    """A project's own class with a message that Django would not make."""

    def message(self, **kwargs: Any) -> Any:
        made = super().message(**kwargs)
        made["X-Signature"] = "signed"
        return made


class Copied(EmailMessage):
    """A project's own class that writes to more people than it says."""

    def recipients(self) -> list[str]:
        return [*super().recipients(), "archive@example.com"]


@dataclass(frozen=True)
class Lazy:
    """A string that is not one yet."""

    text: str

    def __call__(self) -> Any:
        return lazystr(self.text)


@dataclass(frozen=True)
class Part:
    """An attachment that is a part of Python's email package, of the kind that this Django takes."""

    mimetype: str
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def __call__(self) -> Any:
        maintype, subtype = self.mimetype.split("/")
        part: Any
        if HAS_MODERN_EMAIL:
            part = MIMEPart()
            if maintype == "text":
                part.set_content(self.content.decode(errors="replace"), subtype, "utf-8")
            else:
                part.set_content(self.content, maintype, subtype)
        elif maintype == "image":
            part = MIMEImage(self.content, subtype)
        elif maintype == "text":
            part = MIMEText(self.content.decode(errors="replace"), subtype, "utf-8")
        else:
            part = MIMEBase(maintype, subtype)
            part.set_payload(self.content)
        for name, value in self.headers:
            del part[name]
            part[name] = value
        return part


@dataclass(frozen=True)
class Forwarded:
    """A message within a message, in one of the forms that Django takes."""

    form: str
    subject: str
    body: str

    def __call__(self) -> Any:
        # White space around a value is no part of it for a program that reads the message.
        subject = " ".join(self.subject.splitlines()).strip()
        if self.form == "django":
            return EmailMessage(subject, self.body, "me@example.com", ["you@example.com"])
        message = PythonMessage()
        message["Subject"], message["From"] = subject, "me@example.com"
        message.set_content(self.body)
        return {"python": message, "bytes": message.as_bytes(), "text": message.as_string()}[self.form]


@dataclass(frozen=True)
class Recipe:
    """All that goes into a message."""

    of: type[EmailMessage]
    arguments: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> EmailMessage:
        message = self.of(**{name: made(value) for name, value in self.arguments.items()})
        for name, value in self.attributes.items():
            setattr(message, name, made(value))
        return message


def made(value: Any) -> Any:
    """Return what a recipe, or a list, tuple or dict of recipes, stands for."""
    if isinstance(value, (Lazy, Part, Forwarded)):
        return value()
    if isinstance(value, (list, tuple)):
        return type(value)(made(item) for item in value)
    if isinstance(value, dict):
        return {key: made(item) for key, item in value.items()}
    return value


# --- texts and addresses -------------------------------------------------------------------------

# Of all characters, even those that no database holds as text; in a header, but those that end it.
_IN_A_LINE = st.characters(exclude_characters="\r\n")
texts = st.text(max_size=60) | st.sampled_from(
    [
        "",
        "Grüße\n",
        "a\r\nb",
        ".\n..\nFrom me\n",
        "x" * 1200,
        "Привет " * 200,
        "{{ x }} {% now 'Y' %}",
        "no end",
    ]
)
lines = st.text(_IN_A_LINE, max_size=40) | st.sampled_from(
    ["Grüße aus Köln", "x" * 120, "word " * 250, "日本語の件名" * 20, "{{ name }} & <b>", " spaces "]
)
names = st.text(_IN_A_LINE, max_size=20) | st.sampled_from(
    ["Doe, John", 'The "Boss"', "Jürgen", "日本", "a; b: c@d", "back\\slash", "(comment)", "x" * 300]
)
addr_specs = st.sampled_from(
    [
        "ann@example.com",
        "ann+tag@example.com",
        '"a b"@example.com',
        '"a,b"@example.com',
        '"a@b"@example.com',
        "o'hara@example.com",
        "ann@bücher.example",
        "root@localhost",
        "root",
        "ann@[192.0.2.1]",
        "x" * 64 + "@example.com",
    ]
)


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")


def _quoted(name: str, address: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>' if name else f"<{address}>"


mailboxes = addr_specs | st.builds(_quoted, names, addr_specs) | addr_specs.map(Lazy)
lists_of_mailboxes = st.lists(mailboxes, max_size=3)

# --- parts ---------------------------------------------------------------------------------------

text_types = st.sampled_from(
    [
        "text/plain",
        "text/calendar; method=REQUEST",
        "text/html",
        "text/csv",
        "text/calendar",
        "text/x-amp-html",
    ]
)
other_types = st.sampled_from(
    ["application/json", "application/octet-stream", "image/png", "application/x-foo"]
)
file_names = (
    st.none()
    | lines
    | st.sampled_from(
        [
            "a.txt",
            "a.txt",
            "b.pdf",
            "Grüße.txt",
            'q"uote.bin',
            "dir/name.csv",
            "no_suffix",
            "x" * 150 + ".txt",
            "",
        ]
    )
)
contents = texts | st.binary(max_size=60) | texts.map(_encoded)

triples = st.tuples(file_names, contents, text_types | other_types)
guessed = st.tuples(st.sampled_from(["a.txt", "b.pdf", "c.csv", "d.html", "e"]), contents)
rfc822 = st.tuples(
    file_names,
    st.builds(Forwarded, st.sampled_from(["django", "python", "bytes", "text"]), lines, texts),
    st.just("message/rfc822"),
)
parts = st.builds(
    Part,
    st.sampled_from(["image/png", "application/pdf", "text/plain", "text/csv", "application/x-foo"]),
    st.binary(max_size=60) | texts.map(_encoded),
    st.sampled_from(
        [
            (),
            (("Content-ID", "<logo@example.com>"), ("Content-Disposition", "inline")),
            (("Content-Disposition", 'attachment; filename="part.bin"'), ("X-Of-A-Part", "yes")),
            (("Content-Description", "Grüße " * 30),),
        ]
    ),
)
# The constructor completes what it is given, as attach() does; what is put into `attachments` afterwards
# stays as it is.
attachments = triples | rfc822 | parts

alternatives = (
    st.tuples(texts, text_types)
    | st.tuples(st.binary(max_size=40) | texts, other_types)
    | st.tuples(texts.map(_encoded), text_types)
)

# --- headers -------------------------------------------------------------------------------------

LONG_URL = "https://example.com/unsubscribe/" + "0123456789abcdef" * 12
REFERENCES = " ".join(f"<{number}.{'f' * 30}@mail.example.com>" for number in range(12))
header_values = (
    lines.filter(bool) | lines.filter(bool).map(Lazy) | st.sampled_from([f"<{LONG_URL}>", REFERENCES])
)
_free_headers = st.dictionaries(
    st.sampled_from(
        ["X-Campaign", "List-Unsubscribe", "References", "In-Reply-To", "x-lower", "Auto-Submitted"]
    ),
    header_values | st.integers() | st.booleans() | st.none(),
    max_size=4,
)
_headers_with_a_meaning = st.fixed_dictionaries(
    {},
    optional={
        "From": st.builds(_quoted, names, st.just("other@example.com")),
        "To": st.just("undisclosed-recipients:;"),
        "Cc": st.just("Somebody <else@example.com>"),
        "Reply-To": st.just("replies@example.com"),
        "Sender": st.just("sender@example.com"),
        "Message-ID": st.just("<given@example.com>"),
        "Date": st.just("Fri, 09 Nov 2001 01:08:47 -0000")
        | (
            st.just(datetime(2001, 11, 9, 1, 8, 47, tzinfo=timezone.utc))
            if HAS_MODERN_EMAIL
            else st.nothing()
        ),
        "X-A": header_values,
    },
)
headers = st.builds(lambda first, second: first | second, _free_headers, _headers_with_a_meaning)

# --- what providers read -------------------------------------------------------------------------

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | lines,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(lines, inner, max_size=3),
    max_leaves=6,
)
_by_address = st.dictionaries(addr_specs, st.dictionaries(lines, _json, max_size=2), max_size=2)
_moments = st.sampled_from(
    [
        datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
        datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(2030, 1, 2, 3, 4, 5),
        date(2030, 1, 2),
        1893553445,
        1893553445.5,
    ]
)
provider_attributes = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.lists(lines, min_size=1, max_size=3),
        "metadata": st.dictionaries(
            lines, st.integers(-(2**53), 2**53) | lines | st.booleans(), min_size=1, max_size=3
        ),
        "esp_extra": st.dictionaries(lines, _json, max_size=3),
        "template_id": lines | st.integers(0, 2**31),
        "merge_data": _by_address,
        "merge_global_data": st.dictionaries(lines, _json, max_size=3),
        "merge_metadata": _by_address,
        "merge_headers": st.dictionaries(
            addr_specs, st.dictionaries(st.just("List-Unsubscribe"), lines, max_size=1), max_size=2
        ),
        "send_at": _moments,
        "track_opens": st.booleans(),
        "track_clicks": st.booleans(),
        "envelope_sender": addr_specs,
    },
)

# --- messages ------------------------------------------------------------------------------------

_arguments: dict[str, Any] = {
    "subject": lines | lines.map(Lazy),
    "body": texts,
    "from_email": mailboxes,
    "to": st.lists(mailboxes, min_size=1, max_size=3),  # somebody, else nothing is queued
}
_more_arguments: dict[str, Any] = {
    "cc": lists_of_mailboxes,
    "bcc": lists_of_mailboxes,
    "reply_to": lists_of_mailboxes,
    "attachments": st.lists(attachments | guessed, max_size=3),
    "headers": headers,
}
_attributes = st.builds(
    lambda first, second: first | second,
    st.fixed_dictionaries(
        {},
        optional={
            "content_subtype": st.sampled_from(["html", "calendar", "x-foo"]),
            "encoding": st.sampled_from(["utf-8", "iso-8859-1", "us-ascii", "koi8-r"]),
            "attachments": st.lists(attachments, max_size=2),
        },
    ),
    provider_attributes,
)


def _recipes(of: st.SearchStrategy[type[EmailMessage]], **more: Any) -> st.SearchStrategy[Recipe]:
    arguments = st.fixed_dictionaries(_arguments, optional=_more_arguments | more)
    return st.builds(Recipe, of, arguments, _attributes)


recipes: st.SearchStrategy[Callable[[], EmailMessage]] = _recipes(
    st.sampled_from([EmailMessage, Copied])
) | _recipes(
    st.sampled_from([EmailMultiAlternatives, Newsletter, Signed]),
    alternatives=st.lists(alternatives, max_size=3),
)
