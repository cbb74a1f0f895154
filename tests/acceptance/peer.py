"""The published django-post_office 3.12.0, installed from the package index into an environment of its own.

It is run as a program, never imported here. The environment is made once and kept for later runs, by whatever
Python comes first; `make clean` removes it. PEER_VENV names another folder for it.
"""

import os
import subprocess
import venv
from functools import cache
from pathlib import Path

import pytest
from django.core.files import locks

from tests import services

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PEER_VENV") or ROOT / ".venv-peer").absolute()
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# One Django for it, on all versions of Python and beside all versions of Django that ours is tested with.
PACKAGES = ["django-post_office==3.12.0", "Django~=5.2.0", "jsonfield", "django-picklefield"]
DRIVERS = {"sqlite": [], "postgres": ["psycopg[binary]>=3.2"], "mariadb": ["mysqlclient>=2.2.1"]}
SECONDS_TO_INSTALL = 300


def require(database: str) -> Path:
    """Return its Python, with the driver of this database; skip the test, or fail it, where there is none."""
    __tracebackhide__ = True
    if reason := why_missing(database):
        (pytest.fail if services.required() else pytest.skip)(f"django-post_office 3.12.0: {reason}")
    return PYTHON


@cache
def why_missing(database: str) -> str:
    """Install what is not there yet; say why that is impossible, or nothing."""
    # Several runs of the tests may want to do this at once.
    with FOLDER.with_name(f"{FOLDER.name}.lock").open("a") as lock:
        locks.lock(lock, locks.LOCK_EX)
        try:
            _install("package", PACKAGES)
            _install(database, DRIVERS[database])
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            return f"it cannot be installed ({' '.join(said.split())[-300:]})"
        finally:
            locks.unlock(lock)
    return ""


def _install(name: str, packages: list[str]) -> None:
    stamp = FOLDER / f"{name}.stamp"
    wanted = "\n".join(packages)
    if not packages or (PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted):
        return
    if name == "package":
        venv.create(FOLDER, with_pip=True, clear=True)
    subprocess.run(
        [PYTHON, "-m", "pip", "install", "--quiet", *packages],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS_TO_INSTALL,
        check=True,
    )
    stamp.write_text(wanted)
