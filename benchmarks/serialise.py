"""Serialise: what the work between a row and the bytes for the server costs, beside Django's own."""

from __future__ import annotations

from . import systems
from .plan import Plan, say
from .report import Section, Table
from .systems import OURS

SHAPES = {
    "same": "the same texts for all",
    "own": "texts of its own for each",
    "letters": "subject and texts with letters beyond ASCII",
    "file": "a file of 100 kB beside the texts",
}
MAILS = 5_000


def measure(plan: Plan) -> list[Section]:
    site = systems.site(plan, OURS, plan.databases[0])
    number = plan.mails(MAILS)
    tables = []
    for shape, title in SHAPES.items():
        table = Table(
            title=f"1 kB of text and 2 kB of HTML: {title}", unit="µs of CPU per mail", more_is_better=False
        )
        for each in range(plan.rounds):
            say(f"Serialise: {title}, round {each + 1} of {plan.rounds}")
            found = site.ask("serialise.py", shape, str(number))
            table.add(OURS.name, found["ours"])
            table.add(f"Django {plan.django}", found["theirs"])
        tables.append(table)
    return [Section(heading="Serialise", tables=tables)]
