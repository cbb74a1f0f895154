"""The figures as people read them: a line for each scenario, and the table in the documentation."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import django

from post_office.version import VERSION_STRING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "delivery-guarantees.md"
BEGIN, END = "<!-- made by make torture: begin -->", "<!-- made by make torture: end -->"
HEADINGS = ("scenario", "database", "mails", "sent once", "repeated", "lost", "allowed", "seconds")
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The figures of a scenario on a database; see `figures`."""

    scenario: str
    database: str
    mails: int
    once: int
    repeated: int
    lost: int
    allowed: str
    seconds: float

    def cells(self) -> list[str]:
        numbers = [f"{number:,}" for number in (self.mails, self.once, self.repeated, self.lost)]
        return [self.scenario, NAMES[self.database], *numbers, self.allowed, f"{self.seconds:.0f}"]


def print_row(row: Row) -> None:
    scenario, database, mails, once, repeated, lost, allowed, seconds = row.cells()
    print(
        f"{scenario}, {database}: {mails} mails, {once} sent once, {repeated} repeated, {lost} lost, "
        f"{seconds} s. Allowed: {allowed}",
        flush=True,
    )


def machine() -> str:
    """Return what all of it ran on, but for the databases."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"post_office {VERSION_STRING}, Python {platform.python_version()}, Django {django.get_version()}, "
        f"{os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GB of memory, {platform.system()}"
    )


def version_of(connection: Any) -> str:
    """Return which database this is, as it says itself."""
    if connection.vendor == "sqlite":
        return f"SQLite {connection.Database.sqlite_version}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT version()")
        (told,) = cursor.fetchone()
    return " ".join(told.split()[:2]) if connection.vendor == "postgresql" else f"MariaDB {told}"


def write(rows: Sequence[Row], versions: Mapping[str, str]) -> None:
    """Put the table in the place of the last one."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"{PAGE} has lost its marks"
    PAGE.write_text(f"{before}{BEGIN}\n{section(rows, versions)}{END}{after}")


def section(rows: Sequence[Row], versions: Mapping[str, str]) -> str:
    day = datetime.now(tz=timezone.utc).date()
    table = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(
        [
            f"Made by `make torture` on {day}: {machine()}; {', '.join(versions.values())}.",
            "",
            *(f"| {' | '.join(cells)} |" for cells in table),
            "",
        ]
    )
