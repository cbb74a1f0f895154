"""The documents say what the code does, as far as that can be told."""

import re
import runpy
from pathlib import Path

import pytest

from post_office.conf import PostOfficeSettings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_of_settings_is_current() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))
    assert made["PAGE"].read_text() == made["page"](), "run: python docs/make_settings.py"


def test_every_setting_has_a_comment() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for key in PostOfficeSettings.__annotations__:
        section = page.partition(f"## {key}\n")[2].partition("\n## ")[0]
        assert len(section.partition("Default:")[2].splitlines()) > 2, key


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_the_page_about_upgrading_says_what_each_migration_costs() -> None:
    page = (ROOT / "docs" / "upgrading.md").read_text()
    for migration in sorted((ROOT / "post_office" / "migrations").glob("0*.py"))[1:]:
        assert f"| `{migration.stem}` |" in page, migration.stem
