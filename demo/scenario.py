"""What the shop sends, and what must come of each mail. Knows nothing of Django or of post_office.

All expected numbers are counted from here, never from what was delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path

from demo import pdf

LOGO = Path(__file__).resolve().parent / "static" / "demo" / "logo.png"
SINCE = date(2026, 3, 14)
NEWS = ["A new shop in Lyon", "Free delivery on Fridays", "Tea & biscuits for all"]

# Names that have to survive headers, text and HTML.
NAMES = [
    "Ann Miller",
    "Jürgen Groß",
    "Zoé Lefèvre",
    "O'Brien & Sons",
    "Doe, John",
    "山田太郎",
    "Łukasz Nowak",
    "María Peña",
    "<Ben>",
]

GREYLISTED = "greylisted@example.com"
UNKNOWN = "nobody@example.com"
TRY_LATER = "451 4.7.1 Greylisted, try again later"
NO_SUCH_USER = "550 5.1.1 No such user here"


class Fate(Enum):
    """What must come of a mail."""

    ARRIVES = "arrives"
    RETRIED = "refused for now, then sent"
    REFUSED = "refused for good"
    EXPIRES = "expires before it is sent"
    WAITS = "waits for its time"

    @property
    def reaches_outbox(self) -> bool:
        return self in (Fate.ARRIVES, Fate.RETRIED)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A template in one language, and how its mails look when they arrive.

    Attributes:
        subject: With <name> or <invoice> where these stand.
        sentence: Is in each body, and in no body of another kind.
        parts: What a mail program would list.
    """

    template: str
    language: str
    subject: str
    sentence: str
    parts: str

    def recognises(self, subject: str) -> bool:
        return subject.startswith(self.subject.partition("<")[0])


WELCOME_EN = Kind(
    template="welcome",
    language="en",
    subject="Welcome, <name>",
    sentence="it is good to have you with us since 14 March 2026.",
    parts="text, html, image",
)
WELCOME_DE = Kind(
    template="welcome",
    language="de",
    subject="Willkommen, <name>",
    sentence="schön, dass Sie seit dem 14. März 2026 bei uns sind.",
    parts="text, html, image",
)
WELCOME_FR = Kind(
    template="welcome",
    language="fr",
    subject="Bienvenue, <name>",
    sentence="nous sommes ravis de vous compter parmi nous depuis le 14 mars 2026.",
    parts="text, html, image",
)
INVOICE = Kind(
    template="invoice",
    language="en",
    subject="Your invoice <invoice>",
    sentence="thank you for your order.",
    parts="text, html, pdf",
)
NEWSLETTER = Kind(
    template="newsletter",
    language="en",
    subject="What is new, <name>?",
    sentence="we have 3 things to tell you this month:",
    parts="text, html",
)
# Django's send_mail() takes texts, which are no templates: the braces must arrive as they are.
NOTICE = Kind(
    template="(send_mail)",
    language="en",
    subject="How do I write {{ name }}?",
    sentence="a customer asks how to write {{ name }} and {% if %} in a template.",
    parts="text",
)
KINDS = (WELCOME_EN, WELCOME_DE, WELCOME_FR, INVOICE, NEWSLETTER, NOTICE)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One mail of the scenario."""

    number: int
    kind: Kind
    verb: str
    priority: str
    fate: Fate

    @property
    def name(self) -> str:
        return NAMES[self.number % len(NAMES)]

    @property
    def address(self) -> str:
        """Each mail has its own, by which it is known when it arrives."""
        special = {Fate.RETRIED: GREYLISTED, Fate.REFUSED: UNKNOWN}
        return special.get(self.fate, f"customer{self.number}@example.com")

    @property
    def mailbox(self) -> str:
        return f'"{self.name}" <{self.address}>'

    @property
    def subject(self) -> str:
        return self.kind.subject.replace("<name>", self.name).replace("<invoice>", self.invoice)

    @property
    def invoice(self) -> str:
        return f"2026-{self.number:04}"

    @property
    def images(self) -> list[bytes]:
        return [LOGO.read_bytes()] if "image" in self.kind.parts else []

    @property
    def files(self) -> dict[str, bytes]:
        if "pdf" not in self.kind.parts:
            return {}
        total = f"Total (net): {self.number * 1.25:.2f} EUR"
        lines = [f"Invoice {self.invoice}", f"To {self.address}", total]
        return {f"invoice-{self.invoice}.pdf": pdf.page(lines)}

    @property
    def headers(self) -> dict[str, str]:
        if self.kind is not NEWSLETTER:
            return {}
        return {"List-Unsubscribe": f"<https://shop.example.com/unsubscribe/{self.number}>"}


# How many, of which kind, queued by which function, with which priority, and to which fate.
SCENARIO = [
    (30, WELCOME_EN, "mail.send", "high", Fate.ARRIVES),
    (30, WELCOME_DE, "mail.send", "high", Fate.ARRIVES),
    (30, WELCOME_FR, "mail.send", "high", Fate.ARRIVES),
    (2, WELCOME_EN, "mail.send", "now", Fate.ARRIVES),
    (2, WELCOME_DE, "mail.send", "now", Fate.ARRIVES),
    (2, WELCOME_FR, "mail.send", "now", Fate.ARRIVES),
    (1, WELCOME_EN, "mail.send", "high", Fate.RETRIED),
    (1, INVOICE, "mail.send", "medium", Fate.REFUSED),
    (60, INVOICE, "mail.send_many", "medium", Fate.ARRIVES),
    (40, NOTICE, "send_mail", "medium", Fate.ARRIVES),
    (291, NEWSLETTER, "mail.send_many", "low", Fate.ARRIVES),
    (10, NEWSLETTER, "mail.send_many", "low", Fate.WAITS),
    (1, NEWSLETTER, "mail.send_many", "low", Fate.EXPIRES),
]


def plan() -> list[Planned]:
    """Return every mail of the scenario."""
    return list(_planned())


def _planned() -> Iterator[Planned]:
    number = 0
    for count, kind, verb, priority, fate in SCENARIO:
        for _ in range(count):
            number += 1
            yield Planned(number=number, kind=kind, verb=verb, priority=priority, fate=fate)
