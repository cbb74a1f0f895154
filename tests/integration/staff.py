"""Staff who use the admin, and mail for them to look at."""

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from post_office import mail
from post_office.models import Email
from post_office.queue import claims, liveness

LIST = "/admin/post_office/email/"


def page(client: Client, url: str, **data: Any) -> str:
    response = client.get(url, data)
    assert response.status_code == 200
    return response.content.decode()


def told(response: Any) -> str:
    """What the admin says on the page to which a POST leads."""
    return " ".join(str(message) for message in response.context["messages"])


def address(email: Email, verb: str = "change") -> str:
    return f"{LIST}{email.pk}/{verb}/"


def send(**arguments: Any) -> Email:
    return mail.send(**{"recipients": "ann@example.com", "sender": "me@example.com", **arguments})


def queued(**columns: Any) -> Email:
    """A mail in the queue, with columns as given."""
    email = send(subject="Hello", message="Good morning", html_message="<p>Good <b>morning</b></p>")
    if columns:
        Email.objects.filter(pk=email.pk).update(**columns)
        email.refresh_from_db()
    return email


def held() -> Email:
    email = queued()
    assert claims.claim_one(email, liveness.register(timezone.now()), timezone.now())
    return email


def row(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


def staff(*permissions: str) -> Client:
    name = "-".join(permissions)[:150] or "nobody"
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, action: str, *emails: Email, **data: Any) -> Any:
    selected = {"action": action, "_selected_action": [email.pk for email in emails]}
    return client.post(LIST, {**selected, **data}, follow=True)
