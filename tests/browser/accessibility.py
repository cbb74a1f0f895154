"""What axe-core finds in a page: https://github.com/dequelabs/axe-core, kept as it is in the folder axe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parent / "axe" / "axe.min.js"
GRAVE = ("serious", "critical")
# What Django's admin does by itself: rule, where, and why it is no fault of ours.
OF_DJANGO = [
    ("label-title-only", "#searchbar", "its label is a picture with a text, which the rule does not count"),
    ("link-in-text-block", ".breadcrumbs > a", "Django 5.2 and 6.0 tell links there by their colour alone"),
    ("label", ".vDateField, .vTimeField", "Django 5.2 names a date and a time beside the fields only"),
    ("target-size", "#changelist-filter a", "the lines of the filter are 20 pixels high"),
]
# What a mode changes, where all else was looked at in light on a desk.
IN_THE_DARK = ["color-contrast", "link-in-text-block"]
ON_A_PHONE = ["scrollable-region-focusable", "target-size"]


def faults(page: Page, rules: Sequence[str] | None = None, inside: str = "html") -> list[str]:
    """Return what is grave, in words; documents in frames have no scripts, so axe cannot look into them.

    Args:
        rules: Those to be looked at, if not all.
        inside: The part of the page that is new.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"() => {{ {AXE.read_text()} }}")
    options: dict[str, Any] = {"iframes": False, "preload": False, "resultTypes": ["violations"]}
    if rules is not None:
        options["runOnly"] = rules
    found = page.evaluate(
        "async ([part, options]) => (await axe.run(part, options)).violations", [inside, options]
    )
    return [
        f"{rule['id']} ({rule['impact']}) at {node['target'][-1]}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
        if not _is_of_django(page, rule["id"], node)
    ]


def _is_of_django(page: Page, rule: str, node: dict[str, Any]) -> bool:
    return any(
        page.locator(node["target"][-1]).first.evaluate("(found, where) => found.matches(where)", where)
        for its_rule, where, _reason in OF_DJANGO
        if its_rule == rule
    )
