"""Lean: how little a run needs: statements for each mail, memory for a hundred thousand, time to find
nothing to do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

from . import sinks, systems
from .plan import Plan, say
from .report import Growth, Section, Table
from .systems import LABELS, OURS, Site

MAILS = 100_000
PROCESSES = 2
STARTS = 5
ASKED = 4_000
LOOK_EVERY = 0.1


def measure(plan: Plan) -> list[Section]:
    databases = [database for database in plan.databases if database != "mariadb"]
    tables: list[Table | Growth] = [
        _statements(plan, databases),
        _memory(plan, databases[-1:]),
        _starts(plan, databases),
    ]
    return [Section(heading="Lean", tables=tables)]


# --- statements -------------------------------------------------------------------------------


def _statements(plan: Plan, databases: list[str]) -> Table:
    number = plan.mails(ASKED)
    table = Table(
        title=f"A worker that delivers {number:,} mails",
        unit="statements for each mail",
        compared=False,
        aims={LABELS[database]: "0.15 at most" for database in databases},
    )
    for database in databases:
        site = systems.site(plan, OURS, database, "lean")
        for count in range(plan.rounds):
            say(f"Lean: {LABELS[database]}, statements, round {count + 1} of {plan.rounds}")
            site.begin()
            site.queue(number)
            with sinks.running() as sink:
                table.add(LABELS[database], site.ask("statements.py", str(number), sink=sink))
            site.end()
    return table


# --- memory -----------------------------------------------------------------------------------


def _memory(plan: Plan, databases: list[str]) -> Table:
    """Drain once: so many mails are rounds enough."""
    number = plan.mails(MAILS)
    name = "what the largest worker grew by"
    table = Table(
        title=f"A drain of {number:,} mails by {PROCESSES} workers",
        unit="MB",
        compared=False,
        aims={name: "30 at most"},
    )
    for database in databases:
        say(f"Lean: {LABELS[database]}, {number:,} mails")
        site = systems.site(plan, OURS, database, "lean")
        site.begin()
        site.queue(number)
        with sinks.running() as sink:
            sizes = _sizes(site, sink, number)
        site.end()
        table.add(name, max(last - first for first, last in sizes))
        table.add("what the largest worker had in the end", max(last for _, last in sizes))
    return table


def _sizes(site: Site, sink: sinks.Sink, number: int) -> list[tuple[float, float]]:
    """Return for each worker its megabytes when it had warmed up, and the most that it had from then on."""
    arguments = [part.format(processes=PROCESSES) for part in OURS.deliver]
    process = site.start(*arguments, sink=sink)
    seen: dict[int, list[float]] = {}
    while process.poll() is None:
        # Connections are open and caches are filled.
        if sink.taken() > number / 100:
            for pid in _children(process.pid):
                seen.setdefault(pid, []).append(_megabytes(pid))
        time.sleep(LOOK_EVERY)
    return [(sizes[0], max(sizes)) for sizes in seen.values()]


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [child for child in map(int, listed.read_text().split()) if _megabytes(child) > 20]
    except OSError:
        return []


def _megabytes(pid: int) -> float:
    """Return how much of the memory a process has; nothing for one that has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- start ------------------------------------------------------------------------------------


def _starts(plan: Plan, databases: list[str]) -> Growth:
    table = Growth(
        title="A run that finds nothing",
        unit="seconds",
        places=("`manage.py check`", "`manage.py send_queued_mail`"),
        aim="below 2",
    )
    for database in databases:
        site = systems.site(plan, OURS, database, "lean")
        site.begin()
        for number in range(plan.rounds):
            say(f"Lean: {LABELS[database]}, starts, round {number + 1} of {plan.rounds}")
            nothing = _seconds(site, "manage.py", "check")
            table.add(LABELS[database], nothing, _seconds(site, "manage.py", "send_queued_mail"))
        site.end()
    return table


def _seconds(site: Site, *arguments: str) -> float:
    taken = []
    for _ in range(STARTS):
        start = time.perf_counter()
        site.run(*arguments)
        taken.append(time.perf_counter() - start)
    return median(taken)
