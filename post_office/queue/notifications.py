"""Notifications of PostgreSQL: whoever queues mail says so in its transaction, dispatchers hear of it at
the commit.

They say nothing but "look into the queue", and may get lost: a dispatcher looks by itself as well, which
is how it finds mail that foreign code inserts, mail that becomes due, and all mail on other databases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, connections, router
from django.utils import timezone

from ..conf import conf
from ..models import Email
from ..signals import email_queued

CHANNEL = "post_office"
# A connection on which nothing is sent would not notice that the other end is gone (libpq, in seconds).
KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


def connect() -> None:
    """Let queued mail notify dispatchers."""
    email_queued.connect(announce, dispatch_uid="post_office.notifications")


def announce(emails: Sequence[Email], **facts: Any) -> None:
    """Notify dispatchers of mail that is due, when the transaction that queued it commits.

    PostgreSQL makes one notification of all that are sent in a transaction.
    """
    now = timezone.now()
    if not conf.NOTIFY or not any(_is_due(email, now) for email in emails):
        return
    connection = connections[emails[0]._state.db or router.db_for_write(Email)]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def _is_due(email: Email, now: Any) -> bool:
    return email.scheduled_time is None or email.scheduled_time <= now


class Listener:
    """Hears notifications, by a connection of its own. On other databases it stays deaf.

    Its methods raise `DatabaseError` where the connection cannot be made or is lost; `open` it again then.
    """

    def __init__(self) -> None:
        self._connection: Any = None

    def open(self) -> None:
        """Begin to listen, where that is possible and not done already."""
        using = router.db_for_write(Email)
        if self._connection is not None or not conf.NOTIFY or connections[using].vendor != "postgresql":
            return
        connection: Any = connections[using].copy()
        options = connection.settings_dict["OPTIONS"]
        options.pop("pool", None)  # it is kept for as long as we run
        for name, seconds in KEEPALIVES.items():
            options.setdefault(name, seconds)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f'LISTEN "{CHANNEL}"')
        except DatabaseError:
            connection.close()
            raise
        self._connection = connection

    def is_open(self) -> bool:
        return self._connection is not None

    def fileno(self) -> int:
        """Return the socket, which can be read when something has come."""
        return int(self._connection.connection.fileno())

    def heard(self) -> bool:
        """Return whether a notification has come since the last time; does not wait."""
        try:
            with self._connection.wrap_database_errors:
                return _take_notifications(self._connection.connection)
        except DatabaseError:
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _take_notifications(connection: Any) -> bool:
    pgconn = getattr(connection, "pgconn", None)
    if pgconn is None:  # psycopg2
        connection.poll()
        heard = bool(connection.notifies)
        connection.notifies.clear()
        return heard
    pgconn.consume_input()
    heard = False
    while pgconn.notifies():
        heard = True
    return heard
