"""Migrations are complete, whatever class keeps the contexts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONTEXT_CLASSES = [
    "",
    "django.db.models.JSONField",
    "jsonfield.JSONField",
    "picklefield.fields.PickledObjectField",
]


@pytest.mark.parametrize("context_class", CONTEXT_CLASSES, ids=lambda path: path or "unset")
def test_no_migration_is_missing(context_class: str, tmp_path: Path) -> None:
    if context_class.startswith("picklefield"):
        pytest.importorskip("picklefield")
    (tmp_path / "context_settings.py").write_text(
        "from tests.settings import *\n"
        'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}\n'
        + (f"POST_OFFICE['CONTEXT_FIELD_CLASS'] = {context_class!r}\n" if context_class else "")
    )
    root = Path(__file__).resolve().parents[2]
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "context_settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)]),
    }
    command = [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run", "post_office"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
