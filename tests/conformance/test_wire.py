"""What a real server receives of headers with long tokens."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMessage
from django.test import override_settings

from post_office import mail
from post_office.models import STATUS, Email
from tests.acceptance.project import smtp_backend
from tests.acceptance.smtp_server import SMTPServer
from tests.conformance.recipes import REFERENCES

pytestmark = pytest.mark.django_db

URL = "https://example.com/unsubscribe?token=" + "0123456789abcdef" * 11  # more than 200 characters
LONG = {
    "List-Unsubscribe": f"<{URL}>",
    "In-Reply-To": f"<{'f' * 120}@mail.example.com>",
    "References": REFERENCES,
}


def test_long_urls_and_ids_arrive_in_one_piece(server: SMTPServer) -> None:
    with override_settings(POST_OFFICE={"BACKENDS": {"default": smtp_backend(server)}}):
        EmailMessage("s", "b", "me@example.com", ["ann@example.com"], headers=LONG).send()
        mail.send_queued()

    assert Email.objects.get().status == STATUS.sent
    (accepted,) = server.accepted
    # Between tokens a line may end; within one there is neither that nor an encoded word.
    assert {name: accepted.message[name].split() for name in LONG} == {
        name: value.split() for name, value in LONG.items()
    }
