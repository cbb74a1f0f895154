"""Brakes of an environment: a copied queue sends nothing, and mail goes only to whom it may."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command

from post_office import mail
from post_office.backends import EmailBackend
from post_office.exceptions import WrongEnvironment
from post_office.models import STATUS, Email, Environment
from post_office.queue import environment

pytestmark = pytest.mark.django_db


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**more: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, **more}

    return change


def queue(*recipients: str, **arguments: Any) -> Email:
    return mail.send(list(recipients) or ["ann@example.com"], "me@example.com", **arguments)


def test_the_first_dispatcher_makes_the_queue_its_own(configure: Any) -> None:
    queue()
    configure(ENVIRONMENT="production")
    assert mail.send_queued() == (1, 0, 0)
    assert environment.owner_of_queue() == "production"
    queue()
    assert mail.send_queued() == (1, 0, 0)
    assert Environment.objects.count() == 1


def test_without_the_setting_nothing_is_remembered() -> None:
    queue()
    mail.send_queued()
    assert not Environment.objects.exists()


def test_a_restored_queue_sends_nothing_elsewhere(configure: Any) -> None:
    environment.adopt("production")
    configure(ENVIRONMENT="staging")
    email = queue()
    sentence = "belongs to the environment 'production', and .* is 'staging': nothing is sent"
    with pytest.raises(WrongEnvironment, match=sentence):
        mail.send_queued()
    with pytest.raises(WrongEnvironment, match=sentence):
        email.dispatch()
    with pytest.raises(CommandError, match=sentence):
        call_command("send_queued_mail", stdout=StringIO())
    assert outbox.outbox == []
    assert Email.objects.get().status == STATUS.queued


def test_mail_for_now_is_refused_before_there_is_a_row(configure: Any) -> None:
    environment.adopt("production")
    configure(ENVIRONMENT="staging")
    with pytest.raises(WrongEnvironment):
        queue(priority="now")
    assert outbox.outbox == []
    assert not Email.objects.exists()


def test_the_command_releases_the_queue(configure: Any) -> None:
    environment.adopt("production")
    configure(ENVIRONMENT="staging")
    queue()
    said = StringIO()
    call_command("mail_adopt", interactive=False, stdout=said)
    assert "belongs to 'staging' now" in said.getvalue()
    assert mail.send_queued() == (1, 0, 0)
    call_command("mail_adopt", stdout=said)
    assert "belongs to 'staging' already" in said.getvalue()


@pytest.mark.parametrize(("answer", "owner"), [("y", "staging"), ("", "production"), ("n", "production")])
def test_the_command_asks_first(
    answer: str, owner: str, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.adopt("production")
    configure(ENVIRONMENT="staging")
    queue()
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    said = StringIO()
    call_command("mail_adopt", stdout=said)
    assert "1 mails wait in this database, 1 of them due. It belongs to 'production'" in said.getvalue()
    assert environment.owner_of_queue() == owner


def test_the_command_needs_the_setting() -> None:
    with pytest.raises(CommandError, match=r"POST_OFFICE\['ENVIRONMENT'\] is not set"):
        call_command("mail_adopt")


# --- to whom ----------------------------------------------------------------------------------

STAGING = ["staging@example.net"]
# Name, override, allowed domains, what To, Cc and Bcc become, what is kept of the originals.
RESTRICTIONS: list[tuple[str, Any, Any, Any, Any]] = [
    ("all may", None, ["example.com", "Example.ORG"], ("ann", "bob", "eve"), None),
    ("some may", None, ["example.com"], ("ann", None, "eve"), "bob@example.org"),
    ("none may, one gets all", STAGING, None, ("staging", None, None), "bob@example.org"),
    (
        "some may, one gets the rest",
        STAGING,
        ["example.com"],
        ("ann, staging", None, "eve"),
        "bob@example.org",
    ),
]


@pytest.mark.parametrize(
    ("override", "domains", "left", "original"),
    [case[1:] for case in RESTRICTIONS],
    ids=[case[0] for case in RESTRICTIONS],
)
def test_mail_goes_only_to_whom_it_may(
    override: Any, domains: Any, left: Any, original: Any, configure: Any
) -> None:
    configure(OVERRIDE_RECIPIENTS=override, ALLOWED_DOMAINS=domains)
    queue("Ann <ann@example.com>", cc=["bob@example.org"], bcc=["eve@EXAMPLE.com"])
    mail.send_queued()
    (message,) = outbox.outbox
    names = [
        ", ".join(mailbox.partition("@")[0].rpartition("<")[2] for mailbox in mailboxes) or None
        for mailboxes in (message.to, message.cc, message.bcc)
    ]
    assert tuple(names) == left
    assert message.extra_headers.get("X-Original-Cc") == original


def test_mail_that_is_left_with_nobody_fails_and_says_so(configure: Any) -> None:
    configure(ALLOWED_DOMAINS=["example.net"])
    email, other = queue(), queue("bob@example.net")
    assert mail.send_queued() == (1, 1, 0)
    assert (
        "None of the recipients is in POST_OFFICE['ALLOWED_DOMAINS']: ann@example.com."
        in email.logs.get().message
    )
    assert outbox.outbox[0].to == other.to


class OwnRecipients(EmailMessage):
    def recipients(self) -> list[str]:
        return ["ann@example.com", "hidden@example.net"]


class OwnBytes(EmailMessage):
    def message(self, **kwargs: Any) -> Any:
        return super().message(**kwargs)


def test_an_envelope_of_a_messages_own_is_restricted_too(configure: Any) -> None:
    configure(ALLOWED_DOMAINS=["example.net"])
    EmailBackend().send_messages([OwnRecipients("s", "b", "me@example.com", ["ann@example.com"])])
    mail.send_queued()
    assert outbox.outbox[0].recipients() == ["hidden@example.net"]


def test_so_are_the_headers_of_a_message_that_stands_as_bytes(configure: Any) -> None:
    configure(ALLOWED_DOMAINS=["example.net"])
    message = OwnBytes("s", "b", "me@example.com", ["ann@example.com"], cc=["bob@example.net"])
    EmailBackend().send_messages([message])
    mail.send_queued()
    built = outbox.outbox[0].message()
    assert (built["To"], built["Cc"], built["X-Original-To"]) == (None, "bob@example.net", "ann@example.com")


def test_what_all_may_get_is_not_touched(configure: Any) -> None:
    configure(ALLOWED_DOMAINS=["example.com", "example.net"])
    own = OwnRecipients("s", "b", "me@example.com", ["a@example.com"], cc=["c@example.com"])
    itself = OwnBytes("s", "b", "me@example.com", ["List <list@example.com>"], bcc=["c@example.com"])
    EmailBackend().send_messages([own, itself])
    mail.send_queued()
    first, second = sorted(outbox.outbox, key=lambda message: len(message.to[0]))
    assert (first.to, first.cc, first.recipients()) == (own.to, own.cc, own.recipients())
    assert b"To: List <list@example.com>" in second.message().as_bytes()
    assert "X-Original-To" not in second.message()


def test_an_envelope_is_never_shown(configure: Any) -> None:
    configure(ALLOWED_DOMAINS=["example.net"], OVERRIDE_RECIPIENTS=["staging@example.net"])
    EmailBackend().send_messages([OwnRecipients("s", "b", "me@example.com", ["a@example.com"])])
    mail.send_queued()
    (message,) = outbox.outbox
    assert message.to == ["staging@example.net"]
    assert message.recipients() == ["hidden@example.net", "staging@example.net"]
