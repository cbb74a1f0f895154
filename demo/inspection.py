"""Reads mails as they arrived, with Python's own parser, and compares them with what was planned."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from demo.scenario import KINDS, Planned


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A file of the outbox."""

    file: str
    message: EmailMessage

    @property
    def address(self) -> str:
        return str(self.message["To"].addresses[0].addr_spec)

    @property
    def kind(self) -> tuple[str, str, str]:
        """Template and language, as the subject tells, and the parts that are really there."""
        subject = str(self.message["Subject"])
        for kind in KINDS:
            if kind.recognises(subject):
                return kind.template, kind.language, self.parts
        return "unknown", "", self.parts

    @property
    def parts(self) -> str:
        bodies = [name for name, kind in (("text", "plain"), ("html", "html")) if self.body(kind) is not None]
        images = ["image" for _ in self.images]
        files = [Path(name).suffix.lstrip(".") for name in self.files]
        return ", ".join([*bodies, *images, *files])

    def body(self, kind: str) -> str | None:
        """Return the text or the HTML ("plain" or "html"), None where there is none."""
        part = self.message.get_body((kind,))
        return None if part is None else str(part.get_content())

    @property
    def images(self) -> dict[str, bytes]:
        """The images that stand beside the HTML, by their Content-ID (RFC 2387, RFC 2392)."""
        related = [part for part in self.message.walk() if part.get_content_type() == "multipart/related"]
        return {
            str(part["Content-ID"]).strip("<>"): part.get_content()
            for group in related
            for part in group.iter_parts()
            if part.get_content_maintype() == "image"
        }

    @property
    def files(self) -> dict[str, bytes]:
        return {
            str(part.get_filename()): part.get_content()
            for part in self.message.iter_attachments()
            if part.get_content_disposition() == "attachment"
        }


def read(outbox: Path) -> list[Arrived]:
    """Read every file of the outbox."""
    return [
        Arrived(file=path.name, message=message_from_bytes(path.read_bytes(), policy=policy.default))
        for path in sorted(outbox.glob("*.eml"))
    ]


def faults(arrived: Arrived, planned: Planned) -> Iterator[str]:
    """Say in what a mail differs from what was planned."""
    message = arrived.message
    if any(part.defects for part in message.walk()):
        yield "it is not well-formed"
    if message["To"].addresses[0].display_name != planned.name:
        yield "it is addressed to another name"
    if message["Subject"] != planned.subject:
        yield "its subject is another one"
    if any(message[name] != value for name, value in planned.headers.items()):
        yield "its headers are not those that were given"
    if arrived.parts != planned.kind.parts:
        yield f"it has {arrived.parts} instead of {planned.kind.parts}"
    yield from _faults_of_bodies(arrived, planned)
    if arrived.files != planned.files:
        yield "what is attached is not what was attached"


def _faults_of_bodies(arrived: Arrived, planned: Planned) -> Iterator[str]:
    text = arrived.body("plain") or ""
    if planned.kind.sentence not in text or planned.name not in text:
        yield "its text is another one"
    shown = arrived.body("html")
    if shown is None:
        return
    if planned.kind.sentence not in shown or html.escape(planned.name) not in shown:
        yield "its HTML is another one"
    # Each image that the HTML names is there, and none that it does not name.
    named = re.findall(r'src="cid:([^"]+)"', shown)
    if set(named) != set(arrived.images) or [arrived.images[cid] for cid in named] != planned.images:
        yield "its HTML shows other images"
