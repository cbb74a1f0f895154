"""Fixtures: a project, and the SMTP server that it delivers to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.project import Project
from tests.acceptance.smtp_server import SMTPServer


@pytest.fixture
def server() -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        yield server


@pytest.fixture
def project(transactional_db: None, tmp_path: Path, server: SMTPServer) -> Iterator[Project]:
    """A project on the test database, which is emptied when its processes have ended."""
    project = Project(tmp_path, server)
    yield project
    project.end()
