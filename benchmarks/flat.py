"""Flat: what is done often costs the same with a thousand rows in the table and with two millions."""

from __future__ import annotations

import json
import time
from pathlib import Path

from . import systems
from .plan import CACHE, Plan, say
from .report import Growth, Section
from .systems import LABELS, OURS, Site

# Sent, scheduled for later, due.
SMALL, BIG = (300, 300, 400), (1_000_000, 1_000_000, 100_000)
# Filling takes a minute, so it is not done again for every run. What was sent "lately" does not stay so.
KEEP_SECONDS = 45 * 60


def measure(plan: Plan) -> list[Section]:
    tables = [_table(plan, database) for database in plan.databases]
    return [Section(heading="Flat", tables=tables)]


def _table(plan: Plan, database: str) -> Growth:
    sizes = [SMALL, tuple(plan.mails(number) for number in BIG)]
    places = [f"{sum(size):,} rows" for size in sizes]
    table = Growth(
        title=LABELS[database], unit="milliseconds", places=(places[0], places[1]), aim="1.5 at most"
    )
    sites = [systems.site(plan, OURS, database, f"flat_{size[0]}") for size in sizes]
    for site, size in zip(sites, sizes, strict=True):
        _fill(site, size)
    for number in range(plan.rounds):
        say(f"Flat: {LABELS[database]}, round {number + 1} of {plan.rounds}")
        small, big = (site.ask("frequent_work.py") for site in sites)
        for work, milliseconds in small.items():
            table.add(work, milliseconds, big[work])
    plans = sites[1].run("frequent_work.py", "plans").strip()
    table.notes.append(
        f"<details><summary>How {LABELS[database]} finds the rows</summary>\n\n"
        f"```text\n{plans}\n```\n\n</details>"
    )
    return table


def _fill(site: Site, size: tuple[int, ...]) -> None:
    """Fill its table, unless an earlier run has done it a short while ago."""
    stamp = CACHE / "databases" / f"{Path(site.name).stem}.{site.database}.filled"
    wanted = json.dumps({"size": size, "migrations": site.migrations()})
    if stamp.exists() and stamp.read_text() == wanted and time.time() - stamp.stat().st_mtime < KEEP_SECONDS:
        return
    say(f"Flat: {LABELS[site.database]}, filling in {sum(size):,} rows")
    stamp.unlink(missing_ok=True)
    site.begin()
    site.run("big_table.py", *map(str, size))
    stamp.write_text(wanted)
