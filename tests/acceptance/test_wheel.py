"""The package as users get it: built, installed elsewhere with what it depends on, and used there."""

import os
import shutil
import subprocess
import sys
import venv
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import django
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    os.environ.get("DATABASE", "sqlite") != "sqlite",
    reason="What is in the wheel does not depend on the database: the run on SQLite looks at it.",
)

SETTINGS = """
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECRET_KEY = "only for tests"
USE_TZ = True
INSTALLED_APPS = ["post_office"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}}
POST_OFFICE = {
    "BACKENDS": {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": str(FOLDER / "outbox")},
        },
    },
}
"""

QUEUE_A_MAIL = """
import django
django.setup()
import post_office
from post_office import mail
mail.send("ann@example.com", "shop@example.com", subject="Hello", message="It came from the wheel.")
print(post_office.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and from the sdist the wheel, so that each is known to be complete."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    # From a copy: setuptools packs whatever lies in an old build/ too, and would leave a new one.
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "post_office", source / "post_office", ignore=compiled)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", source, cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "post_office").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert packed == expected
    # The comparison would also hold if the source tree had lost them.
    assert "post_office/py.typed" in packed
    assert "post_office/migrations/0001_initial.py" in packed


def test_a_mail_is_queued_and_delivered_by_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "venv")
    project = tmp_path / "project"
    project.mkdir()
    (project / "settings.py").write_text(SETTINGS)

    # -W error: the installed package starts, migrates and delivers without one warning.
    run(python, "-W", "error", "-m", "django", "check", cwd=project)
    run(python, "-W", "error", "-m", "django", "migrate", cwd=project)
    used = run(python, "-W", "error", "-c", QUEUE_A_MAIL, cwd=project)
    assert Path(used.strip()).is_relative_to(tmp_path / "venv")
    assert not (project / "outbox").exists(), "it was sent at once instead of being queued"

    run(python, "-W", "error", "-m", "django", "send_queued_mail", cwd=project)
    (delivered,) = (project / "outbox").iterdir()
    message = message_from_bytes(delivered.read_bytes())
    assert message["To"] == "ann@example.com"
    assert message["Subject"] == "Hello"
    assert "It came from the wheel." in message.get_payload()


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a new environment with the Django of this run; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(python, "-m", "pip", "install", "--quiet", wheel, f"Django=={django.get_version()}", cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    return python


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the source tree and return its output; fail with all that it printed."""
    ours = ("DATABASE", "DATABASE_NAME", "DJANGO_SETTINGS_MODULE", "PYTHONPATH", "TEST_FOLDER")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    finished = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment | {"DJANGO_SETTINGS_MODULE": "settings"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    if finished.returncode:
        pytest.fail(f"{command} ended with {finished.returncode}:\n{finished.stdout}{finished.stderr}")
    return finished.stdout
