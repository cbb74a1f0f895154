"""A folder of templates, for tests that need files of their own."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    path: Path

    def write(self, name: str, content: str) -> Path:
        """Write a file of the name that Django's engines know it by."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path
