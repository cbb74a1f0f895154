"""Storages for tests."""

import threading
from typing import Any

from django.core.files.base import File
from django.core.files.storage import InMemoryStorage
from django.db import connection


class StorageBreaks(Exception):
    """What a storage's library raises; no error of the operating system."""


class WatchedStorage(InMemoryStorage):
    """A storage without paths that says what it was asked, and fails where it is told to."""

    # The operations, in their order: "save", "open", "exists" or "delete", and the file's name.
    calls: list[tuple[str, str]] = []
    # What raises what: an operation, or an operation and how often it succeeds before.
    faults: dict[str, Exception] = {}
    good_saves: int = 0
    # Of each file that was opened: in which thread, and whether that has a connection to the database.
    opened_in: list[tuple[str, bool]] = []

    @classmethod
    def forget(cls) -> None:
        cls.calls, cls.faults, cls.opened_in, cls.good_saves = [], {}, [], 0

    def _note(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        if operation in self.faults and not (operation == "save" and self._one_more_good_save()):
            raise self.faults[operation]

    def _one_more_good_save(self) -> bool:
        type(self).good_saves -= 1
        return self.good_saves >= 0

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        self._note("save", name)
        return super()._save(name, content)

    def _open(self, name: str, mode: str = "rb") -> Any:
        self._note("open", name)
        self.opened_in.append((threading.current_thread().name, connection.connection is not None))
        return super()._open(name, mode)

    def exists(self, name: str) -> bool:
        self._note("exists", name)
        return super().exists(name)

    def delete(self, name: str) -> None:
        self._note("delete", name)
        super().delete(name)
