"""The shop at work: it sets up its database, queues its mail, and has it delivered."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.mail import send_mail
from django.core.management import call_command
from django.db.models import Max
from django.utils import timezone

from demo.scenario import NEWS, SINCE, Fate, Planned
from post_office import mail
from post_office.models import STATUS, Email, EmailTemplate

DEMO = Path(__file__).resolve().parent
SUMMARY = re.compile(r"(\d+) (attempted|sent|failed|requeued)\b")


# --- the database -----------------------------------------------------------------------------


def set_up() -> None:
    """Make the database, with the templates and a user for the admin."""
    call_command("migrate", verbosity=0)
    for name in ("welcome", "invoice", "newsletter"):
        load_template(name, translations=["de", "fr"] if name == "welcome" else [])
    get_user_model().objects.create_superuser("demo", "demo@example.com", "demo")


def load_template(name: str, translations: Sequence[str]) -> None:
    template = EmailTemplate.objects.create(name=name, **texts(name))
    for language in translations:
        template.translated_templates.create(language=language, **texts(f"{name}.{language}"))


def texts(file: str) -> dict[str, str]:
    """Read a template from the folder mails: the text, whose first line is the subject, and the HTML."""
    folder = DEMO / "mails"
    subject, text = (folder / f"{file}.txt").read_text(encoding="utf-8").split("\n\n", maxsplit=1)
    return {
        "subject": subject.removeprefix("Subject: "),
        "content": text,
        "html_content": (folder / f"{file}.html").read_text(encoding="utf-8"),
    }


# --- queueing ---------------------------------------------------------------------------------


def queue(plan: Sequence[Planned]) -> None:
    """Queue every mail by the function that the scenario names."""
    for planned in plan:
        if planned.verb == "mail.send":
            mail.send(**arguments(planned))
        elif planned.verb == "send_mail":
            send_mail(planned.subject, notice(planned), None, [planned.mailbox])
    mail.send_many(arguments(planned) for planned in plan if planned.verb == "mail.send_many")


def arguments(planned: Planned) -> dict[str, Any]:
    """Return the arguments of mail.send() for a mail."""
    now = timezone.now()
    return {
        "recipients": planned.mailbox,
        "template": planned.kind.template,
        "priority": planned.priority,
        "headers": planned.headers,
        "scheduled_time": now + timedelta(days=1) if planned.fate is Fate.WAITS else None,
        "expires_at": now - timedelta(hours=1) if planned.fate is Fate.EXPIRES else None,
        **PARTICULARS[planned.kind.template](planned),
    }


def notice(planned: Planned) -> str:
    return f"Hello {planned.name},\n\n{planned.kind.sentence}\n"


def welcome(planned: Planned) -> dict[str, Any]:
    language = planned.kind.language
    return {
        "language": "" if language == settings.LANGUAGE_CODE else language,
        "context": {"name": planned.name, "since": SINCE},
    }


def invoice(planned: Planned) -> dict[str, Any]:
    return {
        "context": {"name": planned.name, "number": planned.invoice},
        "attachments": {name: ContentFile(content) for name, content in planned.files.items()},
    }


def newsletter(planned: Planned) -> dict[str, Any]:
    # Many mails of one text: rows with their context alone, rendered when it is their turn.
    return {
        "context": {"name": planned.name, "news": NEWS},
        "render_on_delivery": True,
    }


PARTICULARS: dict[str, Callable[[Planned], dict[str, Any]]] = {
    "welcome": welcome,
    "invoice": invoice,
    "newsletter": newsletter,
}


# --- delivering -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run of send_queued_mail said."""

    code: int
    output: str

    @property
    def numbers(self) -> dict[str, int]:
        """How many mails it attempted, sent, failed and requeued, by these words."""
        return {word: int(number) for number, word in SUMMARY.findall(self.output)}


def send_queued_mail(*options: str) -> Run:
    """Deliver as cron would: by the command, in a process of its own."""
    command = [sys.executable, str(DEMO / "manage.py"), "send_queued_mail", *options]
    # Its standard error stays the terminal, where it draws a progress bar.
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return Run(code=finished.returncode, output=finished.stdout.strip())


def wait_for_retries() -> None:
    """Return when the mail that the server refused for now is due again."""
    requeued = Email.objects.filter(status=STATUS.requeued)
    due_at = requeued.aggregate(due_at=Max("scheduled_time"))["due_at"]
    if due_at is not None:
        time.sleep(max((due_at - timezone.now()).total_seconds(), 0) + 0.1)
