"""Every address of the admin, by those who may see mail and those who may nothing: they change nothing."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core import mail as outgoing
from django.core.files.base import ContentFile
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from post_office.models import (
    PRIORITY,
    STATUS,
    Attachment,
    BackendState,
    Email,
    EmailTemplate,
    Log,
    TemplateVersion,
)
from tests.integration.staff import LIST, queued, staff

pytestmark = pytest.mark.django_db

# What any of the pages might take for an order.
ORDERS: dict[str, Any] = {
    "confirmed": "yes", "post": "yes", "_save": "Save", "_send": "yes", "index": "0", "select_across": "1",
    "from_email": "evil@example.com", "to": "evil@example.com", "recipients": "evil@example.com",
    "subject": "evil", "message": "evil", "html_message": "evil", "content": "evil", "name": "evil",
    "priority": "2", "scheduled_time": "", "verb": "pause", "alias": "default", "language": "",
    **{f"{rows}-{form}_FORMS": "0"
       for rows in ("Attachment_emails", "logs", "translated_templates", "versions")
       for form in ("TOTAL", "INITIAL")},
}  # fmt: skip
VIEWS = ["view_email", "view_log", "view_emailtemplate", "view_attachment", "view_backendstate"]
READ_ONLY = (200, 302, 400, 403, 404, 405)


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the route and the converters of every address."""
    for each in resolver.url_patterns:
        route = prefix + str(each.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(each, URLResolver):
            yield from patterns(each, route)
        elif isinstance(each, URLPattern):
            yield route, each


def ours() -> list[str]:
    return sorted(
        {route for route, _ in patterns(get_resolver("tests.urls")) if route.startswith("admin/post_office/")}
    )


def rows() -> dict[str, list[Any]]:
    models: list[type[Model]] = [
        *apps.get_app_config("post_office").get_models(),
        Email.attachments.through,  # type: ignore[attr-defined]
        apps.get_model("admin.LogEntry"),
    ]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


def an_address(route: str, key: Any) -> str:
    filled = re.sub(r"\(\?P<image>[^)]*\)", "0" * 32, route)
    filled = re.sub(r"\(\?P<\w+>\\d\+\)|<\w+:\w+>|<\w+>", str(key), filled)
    assert not re.search(r"[<>()\\?]", filled), f"{route}: say here what stands for its arguments"
    return f"/{filled}"


@pytest.fixture
def world() -> Email:
    template = EmailTemplate.objects.create(name="welcome", subject="Hi", content="Dear", html_content="<p>")
    EmailTemplate.objects.create(name="welcome", subject="Hallo", language="de", default_template=template)
    template.subject = "Hello"
    template.save()
    EmailTemplate.objects.create(name="deleted", content="x").delete()
    email = queued(priority=PRIORITY.low)
    for status in (STATUS.failed, STATUS.sent):
        Log.objects.create(email=queued(status=status), status=STATUS.failed, message="no")
    notes = Attachment(name="notes.txt", mimetype="text/plain")
    notes.file.save("notes.txt", ContentFile(b"x"))
    email.attachments.add(notes)
    Log.objects.create(email=email, status=STATUS.failed, message="no")
    BackendState.objects.create(alias="default", out_of_order_until=email.created)
    return email


def keys(route: str) -> list[Any]:
    if "<" not in route:
        return [0]
    emails = list(Email.objects.order_by("pk").values_list("pk", flat=True))
    if "/versions/<" in route:
        return list(TemplateVersion.objects.order_by("pk").values_list("pk", flat=True))
    templates = list(EmailTemplate.objects.order_by("pk").values_list("pk", flat=True))
    return templates if "/emailtemplate/" in route else ["default"] if "/backendstate/" in route else emails


@pytest.mark.parametrize("who", ["a viewer", "staff without permissions", "a visitor"])
def test_who_may_not_change_anything_changes_nothing_by_any_address(who: str, world: Email) -> None:
    client = {
        "a viewer": lambda: staff(*VIEWS),
        "staff without permissions": lambda: staff(),
        "a visitor": Client,
    }[who]()
    before = rows()
    asked = 0
    for route in ours():
        for key in keys(route):
            url = an_address(route, key)
            for send in (client.get, client.post):
                response = send(url, {**ORDERS, "chosen": f"{world.pk} {world.last_updated.isoformat()}"})
                assert response.status_code in READ_ONLY, url
                asked += 1
    assert asked > 80
    assert rows() == before
    assert outgoing.outbox == []


@pytest.mark.parametrize("who", ["a viewer", "staff without permissions"])
def test_who_may_not_change_anything_changes_nothing_by_any_action(who: str, world: Email) -> None:
    client = staff(*VIEWS) if who == "a viewer" else staff()
    before = rows()
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != "post_office":
            continue
        url = f"/admin/post_office/{model._meta.model_name}/"
        names = [
            action if isinstance(action, str) else action.__name__ for action in model_admin.actions or ()
        ]
        for action in ["delete_selected", *names]:
            selected = {
                "action": action,
                "_selected_action": list(model._default_manager.values_list("pk", flat=True)),
            }
            client.post(url, {**ORDERS, **selected})
    assert rows() == before
    assert outgoing.outbox == []


def test_a_viewer_sees_mail_and_staff_without_permissions_do_not(world: Email) -> None:
    assert staff(*VIEWS).get(f"{LIST}{world.pk}/change/").status_code == 200
    assert staff().get(f"{LIST}{world.pk}/change/").status_code == 403


def test_the_permissions_to_view_are_all_that_there_are() -> None:
    known = Permission.objects.filter(content_type__app_label="post_office", codename__startswith="view_")
    shown = {model._meta.model_name for model in admin.site._registry}
    assert set(VIEWS) >= {each for each in known.values_list("codename", flat=True) if each[5:] in shown}
