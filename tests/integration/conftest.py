"""What several modules of this folder share."""

from pathlib import Path
from typing import Any

import pytest

from post_office.rendering import lookup
from tests.integration.files import Folder


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """What a test before had in its database is not in that of this one."""
    lookup.cache().clear()


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Folder:
    """A folder in which all engines look for templates first."""
    settings.TEMPLATES = [
        {**engine, "DIRS": [tmp_path / "templates", *engine["DIRS"]]} for engine in settings.TEMPLATES
    ]
    return Folder(tmp_path / "templates")
