"""The environment that the queue belongs to: a copy of it, restored elsewhere, sends nothing.

The name is kept in the queue's own database, so it goes along with a copy. The first dispatcher that
has ENVIRONMENT set writes it there; one with another name refuses.
"""

from __future__ import annotations

from django.db import router

from ..conf import conf
from ..exceptions import WrongEnvironment
from ..models import Environment

# The table has one row.
ROW = 1


def require_own() -> None:
    """Make sure that the mail in this database is ours to send; the queue without a name becomes ours.

    Raises:
        WrongEnvironment: It belongs to another environment.
    """
    if not conf.ENVIRONMENT:
        return
    owner = owner_of_queue()
    if owner is None:
        rows = Environment.objects.using(router.db_for_write(Environment))
        owner = rows.get_or_create(pk=ROW, defaults={"name": conf.ENVIRONMENT})[0].name
    if owner != conf.ENVIRONMENT:
        raise WrongEnvironment(owner, conf.ENVIRONMENT)


def owner_of_queue() -> str | None:
    """Return the name of the environment that the queue belongs to; None where no one has said."""
    rows = Environment.objects.using(router.db_for_write(Environment))
    return rows.filter(pk=ROW).values_list("name", flat=True).first()


def adopt(name: str) -> None:
    """Make the queue, with all mail that is in it, that of this environment."""
    rows = Environment.objects.using(router.db_for_write(Environment))
    rows.update_or_create(pk=ROW, defaults={"name": name})
