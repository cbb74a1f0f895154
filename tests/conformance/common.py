"""Messages of the common shape, and what may spoil it: strategies for the bytes of messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.mail.message import EmailAlternative, EmailAttachment
from hypothesis import strategies as st

from post_office.compat import mime_part
from post_office.rendering.message import BuiltMessage
from tests.conformance import recipes

# --- words ----------------------------------------------------------------------------------------

ASCII = ["a", "Your", "order", "is", "sent!", "#1234", "50%", "a=b", "what?", "(now)", "x_y", "it's", "Re:"]
LETTERS = ["Grüße", "für", "Köln", "Ваш", "заказ", "日本語", "é", "naïve", "€5", "😀", "İ", "ﬁ", "à-la"]
SPECIAL = ["=?utf-8?q?a?=", "=?", "?=", "a\tb", "\u00a0", "\u2028", "\x0b", "", "a" * 80, "b" * 200, "\u200b"]
HOSTILE = ["\0", "a\nb", "a\r\nBcc: x@y.z", "\r", "\ud800", "\udcff", "\x1c", "\x85", "é" * 300]

few_words = st.lists(st.sampled_from(ASCII), min_size=1, max_size=7)
words_with_letters = st.lists(st.sampled_from(ASCII + LETTERS), min_size=1, max_size=7)
many_words = st.lists(
    st.sampled_from([*ASCII, "longer-than-others", "x" * 40, "y" * 71]), min_size=8, max_size=40
)
words_of_letters = st.lists(st.text("жзийклéüß日本ab", min_size=1, max_size=9), min_size=1, max_size=4)
lines_of_all_lengths = st.builds(lambda a, b: f"{'x' * a} {'y' * b}", st.integers(1, 80), st.integers(1, 80))
spoilt = st.lists(st.sampled_from(ASCII + LETTERS + SPECIAL), max_size=7)
hostile = st.lists(st.sampled_from(ASCII + HOSTILE), min_size=1, max_size=3)


def _joined(words: st.SearchStrategy[list[str]]) -> st.SearchStrategy[str]:
    return words.map(" ".join)


plain = _joined(few_words) | _joined(words_with_letters) | _joined(many_words)
subjects = plain | _joined(words_of_letters) | lines_of_all_lengths
odd_texts = _joined(spoilt) | recipes.lines | _joined(hostile)

# --- mailboxes --------------------------------------------------------------------------------------

addresses = st.sampled_from(
    [
        "ann@example.com",
        "o'hara+tag@mail.example.com",
        "first.last@example.co",
        "root@localhost",
        "A_B@EXAMPLE.COM",
    ]
) | st.integers(1, 70).map(lambda length: "x" * length + "@example.com")
first_names = st.sampled_from(
    ["Ann", "Ann Other", "Jürgen", "Jürgen Groß", "Anna Müller Ott", "Дмитрий", "李 雷", "O'Hara"]
)
names = (
    first_names
    | first_names.map(lambda name: f'"{name}"')
    | st.sampled_from(['"Doe, J."', '"a@b"', '"a  b"'])
)
everyday = addresses | st.builds("{} <{}>".format, names, addresses)
unusual = st.sampled_from(
    [
        *("Ann <ann@bücher.example>", "jürgen@example.com", "root", "<ann@example.com>", "ann@[192.0.2.1]"),
        *('"a b"@example.com', "J. Doe <j@example.com>", '"a\\"b" <a@example.com>', '"" <a@example.com>'),
        *("a@b, c@d", "list: a@b, c@d;", "a@b (comment)", "ann", "", " ", "a@b@c", "<>", "a..b@example.com"),
        *("=?utf-8?q?J=C3=BC?= <j@example.com>", '"Zoé X." <zoe@example.com>', "Zoé.X <z@example.com>"),
        *("ann@example.com\n", "a@b\r\nBcc: x@y.z", "\0@example.com", "\ud800 <a@example.com>", "a@-b.c"),
        *("ann@example.com.", "É <é@é.example>", '"Jürgen  Groß" <j@example.com>', "x" * 300 + " <a@b.c>"),
    ]
) | recipes.mailboxes.map(recipes.made)

# --- headers ----------------------------------------------------------------------------------------

usual_headers = st.fixed_dictionaries(
    {},
    optional={
        "Message-ID": st.sampled_from(["<1.2.3@example.com>", "<a@localhost>", f"<{'i' * 80}@example.com>"]),
        "List-Unsubscribe": st.integers(5, 200).map(lambda length: f"<https://example.com/{'u' * length}>"),
        "List-Unsubscribe-Post": st.just("List-Unsubscribe=One-Click"),
        "X-Priority": st.sampled_from(["1", "1 (Highest)", "3"]),
        "References": st.just(f"<{'r' * 60}@example.com> <{'s' * 90}@example.com> <t@example.com>"),
        "In-Reply-To": st.just("<before@example.com>"),
        "X-Note": plain,
        "Auto-Submitted": st.just("auto-generated"),
        "Expires": st.just("Thu, 01 Jan 2032 00:00:00 +0000"),
        "Sender": everyday,
        "Reply-To": everyday,
        "List-Id": st.just("News <news.example.com>"),
    },
)
odd_headers = st.dictionaries(
    st.sampled_from(
        [
            *(
                "From",
                "from",
                "To",
                "tO",
                "Cc",
                "CC",
                "Reply-To",
                "reply-to",
                "Subject",
                "Bcc",
                "Date",
                "date",
            ),
            *(
                "Message-Id",
                "message-id",
                "Content-Type",
                "Content-Transfer-Encoding",
                "Content-ID",
                "MIME-Version",
            ),
            *(
                "Sender",
                "sender",
                "Resent-To",
                "X-a",
                "x-A",
                "X-" + "n" * 90,
                "X Y",
                "X:Y",
                "Ü",
                "",
                "X-Empty",
            ),
            *("References", "Return-Path", "Received", "DKIM-Signature", "List-Id", "Mime-version"),
        ]
    ),
    subjects
    | odd_texts
    | everyday
    | unusual
    | st.sampled_from([1, None, "", "Thu, 01 Jan 2026 00:00:00 -0000", "<a@b>"]),
    max_size=2,
)

# --- texts and attachments --------------------------------------------------------------------------

line = st.one_of(
    _joined(few_words),
    _joined(words_with_letters),
    _joined(many_words),
    st.sampled_from(
        ["", ".", "..", "From me", "x" * 77, "x" * 78, "x" * 79, "=" * 60, "a ", "b\t", "ü" * 39, "ü" * 40]
    ),
    st.sampled_from(
        ["x" * 998, "x" * 999, "ü" * 500, "日" * 30, "--", "a\tb", "\x0c", "\x85", "\u2028", "\0", "=3D"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
    st.text("ab=é \t", min_size=70, max_size=180),
)
bodies = st.builds(
    lambda lines, separator, end: separator.join(lines) + end,
    st.lists(line, max_size=25),
    st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\r", "\n\n"]),
    st.sampled_from(["", "\n", "\r\n", "\n\n", " ", "\r"]),
)
odd_bodies = recipes.texts | st.sampled_from(["", "\ud800", "a\udcff\n", "\ufeff"])
html = st.lists(st.tuples(bodies, st.just("text/html")), max_size=1)
odd_alternatives = st.lists(
    st.tuples(
        bodies | odd_bodies, st.sampled_from(["text/calendar", "text/html", "text/calendar; method=REQUEST"])
    )
    | st.just((b"{}", "application/json")),
    max_size=3,
)
file_names = st.sampled_from(
    [None, "a.pdf", "two words.pdf", "Größe.pdf", 'q"uote', "n" * 120, "", "日本.pdf"]
)
files = st.one_of(
    st.tuples(
        file_names, st.binary(max_size=200), st.sampled_from(["application/pdf", "image/png", "font/woff2"])
    ),
    st.tuples(file_names, bodies, st.sampled_from(["text/plain", "text/csv", "text/html"])),
)
odd_files = recipes.triples | recipes.rfc822 | recipes.parts


@dataclass(frozen=True)
class Shape:
    """All that a message is made of; each call makes a new one."""

    subtype: str
    subject: Any
    body: Any
    from_email: Any
    to: list[Any]
    cc: list[Any]
    reply_to: list[Any]
    headers: dict[str, Any]
    alternatives: list[Any]
    attachments: list[Any]
    images: list[bytes]

    def __call__(self) -> BuiltMessage:
        message = BuiltMessage(
            subject=self.subject,
            body=self.body,
            from_email=self.from_email,
            to=self.to,
            cc=self.cc,
            reply_to=self.reply_to,
            # Without one, each serialisation makes its own.
            headers={**self.headers, **({} if self._has_id else {"Message-ID": "<1@example.com>"})},
        )
        message.content_subtype = self.subtype
        message.alternatives = [EmailAlternative(*each) for each in self.alternatives]
        images = [_image(content) for content in self.images]
        files = [recipes.made(each) for each in self.attachments]
        files = [EmailAttachment(*each) if isinstance(each, tuple) else each for each in files]
        message.attachments = [*images, *files]
        message._related = tuple(images)
        return message

    @property
    def _has_id(self) -> bool:
        return "message-id" in {name.lower() for name in self.headers}


def _image(content: bytes) -> Any:
    shown = {"Content-Disposition": 'inline; filename="abc"', "Content-ID": "<abc>"}
    return mime_part("image/png", content, shown.items())


COMMON: dict[str, st.SearchStrategy[Any]] = {
    "subtype": st.just("plain"),
    "subject": subjects,
    "body": bodies,
    "from_email": everyday,
    "to": st.lists(everyday, min_size=1, max_size=7),
    "cc": st.just([]) | st.lists(everyday, max_size=2),
    "reply_to": st.just([]) | st.lists(everyday, max_size=2),
    "headers": usual_headers,
    "alternatives": html,
    "attachments": st.just([]) | st.lists(files, max_size=2),
    "images": st.just([]),
}
ODD: dict[str, st.SearchStrategy[Any]] = {
    "subtype": st.sampled_from(["html", "x-own", "HTML", ""]),
    "subject": odd_texts | st.sampled_from([None, 1]),
    "body": odd_bodies | st.just(b"bytes"),
    "from_email": unusual,
    "to": st.lists(unusual | everyday, max_size=3),
    "cc": st.lists(unusual | everyday, max_size=3),
    "reply_to": st.lists(unusual | everyday, max_size=3),
    "headers": st.builds(lambda usual, odd: {**usual, **odd}, usual_headers, odd_headers),
    "alternatives": odd_alternatives,
    "attachments": st.lists(odd_files, max_size=2),
    "images": st.lists(st.binary(max_size=90), min_size=1, max_size=2),
}


@st.composite
def _shapes(draw: st.DrawFn, odd: st.SearchStrategy[set[str]]) -> Shape:
    found = draw(odd)
    return Shape(**{name: draw((ODD if name in found else COMMON)[name]) for name in COMMON})


common_shapes = _shapes(st.just(set()))
odd_shapes = _shapes(st.sets(st.sampled_from([*ODD]), min_size=1, max_size=2))
