"""Clean up: how fast old mail is deleted, and how much memory that takes."""

from __future__ import annotations

from . import systems
from .plan import Plan, say
from .report import Section, Table
from .systems import LABELS, OURS, POST_OFFICE

NUMBER = 30_000
# Of ours alone, to see whether memory grows with the number.
LARGE = 1_000_000


def measure(plan: Plan) -> list[Section]:
    tables = []
    for database in plan.databases:
        tables.append(_speed(plan, database))
        if database != "mariadb":  # where it takes minutes, and is no other question
            tables.append(_memory(plan, database))
    return [Section(heading="Clean up", tables=tables)]


def _speed(plan: Plan, database: str) -> Table:
    number = plan.mails(NUMBER)
    table = Table(
        title=f"{LABELS[database]}, cleanup_mail of {number:,} mails, each with a row in the log",
        unit="mails per second",
        aims={POST_OFFICE.name: "1"},
    )
    # On MariaDB the other one ends with an error: it deletes by a subquery with a limit.
    compared = [OURS] if database == "mariadb" else [OURS, POST_OFFICE]
    sites = [systems.site(plan, system, database, "cleanup") for system in compared]
    for round_ in range(plan.rounds):
        say(f"Clean up: {LABELS[database]}, round {round_ + 1} of {plan.rounds}")
        for site in sites:
            site.begin()
            site.run("finished.py", str(number))
            took = site.ask("timed.py", "cleanup_mail", "--days=90")
            table.add(site.system.name, number / float(took["seconds"]))
    for site in sites:
        site.end()
    return table


def _memory(plan: Plan, database: str) -> Table:
    table = Table(
        title=f"{LABELS[database]}, cleanup_mail: growth of the process",
        unit="MB",
        more_is_better=False,
        ratio="of this",
    )
    site = systems.site(plan, OURS, database, "cleanup")
    for number in (plan.mails(NUMBER), plan.mails(LARGE)):
        say(f"Clean up: {LABELS[database]}, memory for {number:,} mails")
        site.begin()
        site.run("finished.py", str(number))
        took = site.ask("timed.py", "cleanup_mail", "--days=90")
        table.add(f"{number:,} mails", float(took["mb"]))
        table.notes.append(f"{number:,} mails took {took['seconds']:.0f} s.")
    site.end()
    return table
