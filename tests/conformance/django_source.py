"""Django's own tests of mail, as they ship in the source distribution of the Django in use.

No wheel has them, so pip fetches the source distribution once, from wherever this machine gets its packages;
tests/mail is kept in a folder that git ignores, for all later runs. Nothing of it is part of this project.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from types import ModuleType

import django

CACHE = Path(__file__).resolve().parent / ".cache"
PACKAGE = "mail"  # as Django's tests call themselves: "mail.custombackend.EmailBackend"
SECONDS_TO_FETCH = 180


class Unavailable(Exception):
    """The tests of this Django cannot be had; the text says why."""


def import_mail_tests() -> list[ModuleType]:
    """Return the modules of Django's tests/mail that have tests. Raises `Unavailable`."""
    folder = _folder()
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module(f"{PACKAGE}.custombackend")  # named by its path in tests
        names = sorted(path.stem for path in (folder / PACKAGE).glob("*test*.py"))
        return [importlib.import_module(f"{PACKAGE}.{name}") for name in names]
    except ImportError as error:  # such as a name that only a newer micro version of Python has
        raise Unavailable(f"Django's tests cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(folder))


def _folder() -> Path:
    """Return the folder with tests/mail of this Django, fetched if need be."""
    version = django.get_version()
    folder = CACHE / f"django-{version}"
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as workspace:
            unpacked = Path(workspace) / "unpacked"
            _unpack(fetch(version, Path(workspace)), unpacked)
            _take(unpacked, folder)
    return folder


def fetch(version: str, target: Path) -> Path:
    """Have pip download a source distribution, with the index and the proxies that pip is set up for.

    Raises `Unavailable`.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["--no-deps", "--no-binary=:all:", f"--dest={target}", f"Django=={version}"]
    # PYTHONWARNINGS is for us: what pip runs to read the metadata may have warnings of its own.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    try:
        subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=SECONDS_TO_FETCH
        )
        return next(target.glob("*.tar.gz"))
    except subprocess.TimeoutExpired:
        reason = f"pip took more than {SECONDS_TO_FETCH} seconds"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or "pip said nothing").splitlines()[-1]
    except StopIteration:
        reason = "pip downloaded something else"
    raise Unavailable(f"the source distribution of Django {version} cannot be fetched: {reason}")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack tests/mail alone."""
    with tarfile.open(archive) as tar:
        for member in tar:
            _, *inside = PurePosixPath(member.name).parts  # below the folder with Django's name
            if member.isfile() and inside[:2] == ["tests", PACKAGE] and ".." not in inside:
                file = target.joinpath(*inside[1:])
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
    if not target.exists():
        raise Unavailable(f"{archive.name} has no tests/{PACKAGE}")


def _take(unpacked: Path, folder: Path) -> None:
    """Put the folder into its place, whole; another run may have done it in the meantime."""
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.exists():
            raise
