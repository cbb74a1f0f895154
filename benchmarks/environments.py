"""A Python environment for each system, made from the package index once and kept.

Other queues are installed as they are published, and are never imported here.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .plan import CACHE, ROOT, say

DRIVERS = ("psycopg[binary]>=3.2",)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is installed together."""

    name: str
    packages: tuple[str, ...]
    # The source tree is measured, not a published version.
    has_ours: bool = False

    def python(self, base: str, django: str) -> Path:
        """Return its Python, after installing what is missing."""
        return _made(self.name, base, (f"Django~={django}.0", *self.packages, *DRIVERS))

    def variables(self) -> dict[str, str]:
        """Return the environment variables under which it runs."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        # Django 6.1 deprecates what the published queues are still set up by.
        inherited["PYTHONWARNINGS"] = "ignore"
        return {**inherited, "PYTHONPATH": str(ROOT)} if self.has_ours else inherited


OURS = Environment(name="ours", packages=("bleach[css]>=6", "jsonfield>=3.1"), has_ours=True)
POST_OFFICE = Environment(name="django-post_office", packages=("django-post_office==3.12.0",))
MAILER = Environment(name="django-mailer", packages=("django-mailer==2.3.2",))


@cache
def _made(name: str, base: str, packages: tuple[str, ...]) -> Path:
    version = packages[0].partition("~=")[2].replace(".", "")
    folder = CACHE / "environments" / f"{name}-{version}"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    wanted = "\n".join((base, *packages))
    if not (stamp.exists() and stamp.read_text() == wanted):
        say(f"Installing {', '.join(packages)}")
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True, stdin=subprocess.DEVNULL)
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True, stdin=subprocess.DEVNULL)
        _install_mariadb(install)
        stamp.write_text(wanted)
    return python


def _install_mariadb(install: list[str | Path]) -> None:
    """Install the driver that has to be compiled, where that is possible."""
    subprocess.run([*install, "mysqlclient>=2.2.1"], stdin=subprocess.DEVNULL, capture_output=True)
