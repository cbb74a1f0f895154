"""Faults of the database, made where a project would meet them: in a statement on its way."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

# Runs the statement.
Execute = Callable[[], Any]


@contextmanager
def watched(watch: Callable[[Execute, str], Any]) -> Iterator[None]:
    """Let `watch` run each statement, of our own connections and of those that threads open meanwhile."""
    affected: list[BaseDatabaseWrapper] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        return watch(lambda: execute(sql, params, many, context), sql)

    def affect(connection: BaseDatabaseWrapper, **facts: Any) -> None:
        if wrapper not in connection.execute_wrappers:
            connection.execute_wrappers.append(wrapper)
            affected.append(connection)

    for connection in connections.all(initialized_only=True):
        affect(connection)
    connection_created.connect(affect)
    try:
        yield
    finally:
        connection_created.disconnect(affect)
        for connection in affected:
            connection.execute_wrappers.remove(wrapper)


@contextmanager
def failing(
    pattern: str, *, after: int = 0, times: int | None = None, fault: Exception | None = None
) -> Iterator[list[str]]:
    """Let statements that match a pattern fail, so often or always. Yields those that did.

    Args:
        after: So many of them are let through before.
    """
    failed: list[str] = []
    passed = 0

    def watch(execute: Execute, sql: str) -> Any:
        nonlocal passed
        if re.search(pattern, sql) and (times is None or len(failed) < times):
            passed += 1
            if passed > after:
                failed.append(sql)
                raise fault or OperationalError("the database is away")
        return execute()

    with watched(watch):
        yield failed
