"""One cron run per host and database at a time: the operating system's lock on a file.

The kernel frees it when its holder dies, however it dies; the file itself means nothing and stays.
Safety does not rest on it: any number of runs may deliver from one queue. It only keeps a slow
run from being joined by another every minute.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from django.apps import apps
from django.core.files import locks
from django.db import DEFAULT_DB_ALIAS, connections, router

from .conf import conf
from .exceptions import CannotLock
from .exceptions import FileLocked as FileLocked


def default_path() -> str:
    """Return the lock file of this database, in the host's folder for temporary files."""
    using = router.db_for_write(apps.get_model("post_office", "Email")) or DEFAULT_DB_ALIAS
    options = connections[using].settings_dict
    name = str(options.get("NAME", ""))
    parts = [options.get(key, "") for key in ("ENGINE", "HOST", "PORT")]
    parts.append(options.get("OPTIONS", {}).get("service", ""))
    # A relative path means another file in another folder.
    parts.append(os.path.abspath(name) if "sqlite" in str(options.get("ENGINE")) else name)
    identity = "\0".join(map(str, parts))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return str(Path(tempfile.gettempdir()) / f"{conf.LOCK_FILE_NAME}-{digest}")


def __getattr__(name: str) -> Any:
    if name == "default_lockfile":
        return default_path()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class FileLock:
    """Holds `<lock_filename>.lock` while it lives; use it as a context manager.

    Args:
        lock_filename: Path without the ending `.lock`.
        timeout, force: Accepted for code written for earlier versions; a lock whose holder is
            dead is free without them.
    """

    def __init__(
        self, lock_filename: str | os.PathLike[str], timeout: float | None = None, force: bool = False
    ):
        self.lock_filename = f"{os.fspath(lock_filename)}.lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `FileLocked` when another run holds it."""
        file = self._open()
        try:
            if not locks.lock(file, locks.LOCK_EX | locks.LOCK_NB):
                raise FileLocked(self.lock_filename)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def _open(self) -> int:
        # No link is followed: the folder may be writable for everyone.
        no_link = getattr(os, "O_NOFOLLOW", 0)
        try:
            return os.open(self.lock_filename, os.O_RDWR | os.O_CREAT | no_link, 0o666)
        except OSError:
            pass  # another user's, perhaps; to lock it, reading is enough
        try:
            return os.open(self.lock_filename, os.O_RDONLY | no_link)
        except OSError as fault:
            raise CannotLock(self.lock_filename, fault) from fault

    def release(self) -> None:
        if self._file is not None:
            locks.unlock(self._file)
            os.close(self._file)
            self._file = None

    def is_locked(self, force: bool = False) -> bool:
        """Return whether anybody holds the lock at this moment."""
        if self._file is not None:
            return True
        try:
            self.acquire()
        except FileLocked:
            return True
        self.release()
        return False

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
