"""The URLs of a small project: a shop that mails what is ordered."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import path

from post_office import mail


class MailHasADatabaseOfItsOwn:
    """A database router."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return "mail" if model._meta.app_label == "post_office" else None

    db_for_write = db_for_read


def order(request: HttpRequest, count: int) -> HttpResponse:
    """Queue so many mails, one by one; answer with an error after that if the request says so."""
    for number in range(count):
        mail.send(f"customer{number}@example.com", "shop@example.com", subject="Order", message="Thanks.")
    if "fail" in request.GET:
        raise RuntimeError("out of stock")
    return HttpResponse()


urlpatterns = [path("order/<int:count>/", order)]
