"""The health view: who may ask, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import include, path, reverse
from django.utils import timezone

from post_office import mail, probe
from post_office.models import Email

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("mail/", include("post_office.urls"))]

TOKEN = "a secret of 31 characters, or so"


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**more: Any) -> None:
        settings.POST_OFFICE = {**settings.POST_OFFICE, **more}

    return change


@pytest.fixture
def with_token(configure: Any) -> Client:
    configure(HEALTH_TOKEN=TOKEN)
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def url() -> str:
    return reverse("post_office:health")


def queue_late() -> None:
    mail.send("ann@example.com", "me@example.com", subject="a secret")
    Email.objects.update(scheduled_time=timezone.now() - timedelta(hours=2))


# --- who may ask ------------------------------------------------------------------------------

# The token of the settings, the header that comes, the answer.
TOKENS: list[tuple[str | None, str | None, int]] = [
    (None, None, 403),
    (None, "Bearer ", 403),
    (None, "Bearer None", 403),
    ("", "Bearer ", 403),
    (TOKEN, None, 403),
    (TOKEN, "Bearer ", 403),
    (TOKEN, f"Bearer {TOKEN[:-1]}", 403),
    (TOKEN, f"Bearer {TOKEN}x", 403),
    (TOKEN, f"Basic {TOKEN}", 403),
    (TOKEN, TOKEN, 403),
    (TOKEN, "Bearer \N{SNOWMAN}", 403),
    (TOKEN, f"Bearer {TOKEN}", 200),
    (TOKEN, f"bearer {TOKEN}", 200),
]


@pytest.mark.parametrize(("token", "header", "code"), TOKENS)
def test_the_token_opens_it(configure: Any, token: str | None, header: str | None, code: int) -> None:
    configure(HEALTH_TOKEN=token)
    answer = Client(headers={"Authorization": header} if header is not None else {}).get(url())
    assert answer.status_code == code
    assert ("healthy" in answer.json()) is (code == 200)


@pytest.mark.parametrize(
    ("staff", "active", "permitted", "code"),
    [(True, True, True, 200), (False, True, True, 403), (True, False, True, 403), (True, True, False, 403)],
)
def test_so_does_the_permission_of_staff(staff: bool, active: bool, permitted: bool, code: int) -> None:
    user = User.objects.create(username="eve", is_staff=staff, is_active=active)
    if permitted:
        user.user_permissions.add(Permission.objects.get(codename="view_email"))
    client = Client()
    client.force_login(user)
    assert client.get(url()).status_code == code


def test_a_project_without_users_can_use_the_token(configure: Any) -> None:
    configure(HEALTH_TOKEN=TOKEN)
    # As requests are without the middleware that sets `user`.
    assert probe.health(RequestFactory().get("/")).status_code == 403
    known = RequestFactory().get("/", headers={"Authorization": f"Bearer {TOKEN}"})
    assert probe.health(known).status_code == 200


# --- what it answers --------------------------------------------------------------------------


def test_mail_that_flows_is_healthy(with_token: Client) -> None:
    mail.send("ann@example.com", "me@example.com")
    answer = with_token.get(url())
    assert answer.status_code == 200
    assert (answer.json()["healthy"], answer.json()["due"]) == (True, 1)


def test_a_limit_that_is_passed_makes_it_503(with_token: Client, configure: Any) -> None:
    queue_late()
    answer = with_token.get(url())
    assert answer.status_code == 503
    assert answer.json()["complaints"] == ["Mail has been due for 2h, which is more than 1h."]
    configure(HEALTH_LIMITS={"MAX_AGE": timedelta(hours=3)})
    assert with_token.get(url()).status_code == 200


def test_it_tells_nothing_of_what_is_in_mail(with_token: Client) -> None:
    queue_late()
    said = with_token.get(url()).content.decode()
    assert "example.com" not in said
    assert "secret" not in said


def test_nobody_keeps_the_answer(with_token: Client) -> None:
    for client in (with_token, Client()):
        assert "no-store" in client.get(url()).headers["Cache-Control"]


def test_it_is_only_read(with_token: Client) -> None:
    head = with_token.head(url())
    assert (head.status_code, head.content) == (200, b"")
    for method in (with_token.post, with_token.put, with_token.delete):
        assert method(url()).status_code == 405


@pytest.fixture
def without_a_table() -> Iterator[None]:
    """The queue's table has another name meanwhile, so that reading it fails."""

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("post_office_email", "away")
    yield
    rename("away", "post_office_email")


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_cannot_be_read_is_not_healthy(with_token: Client, without_a_table: None) -> None:
    answer = with_token.get(url())
    assert answer.status_code == 503
    assert not answer.json()["healthy"]
    assert answer.json()["complaints"][0].startswith("The queue cannot be read: ")
    assert "post_office_email" not in answer.content.decode()
