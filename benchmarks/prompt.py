"""Prompt: how soon a waiting dispatcher has handed a mail to its server, from the commit on."""

from __future__ import annotations

from . import sinks, systems
from .plan import Plan, say
from .report import Section, Table
from .systems import LABELS, OURS

MAILS = 30


def measure(plan: Plan) -> list[Section]:
    # The others have no notifications: there a dispatcher looks once in POLL_INTERVAL.
    databases = [database for database in plan.databases if database == "postgres"]
    tables, mails = [], plan.mails(MAILS, least=5)
    for database in databases:
        name = f"of {mails} mails"
        table = Table(
            title=f"From the commit to the server's acceptance, {LABELS[database]}",
            unit="milliseconds",
            compared=False,
            aims={f"median {name}": "below 50"},
        )
        for number in range(plan.rounds):
            say(f"Prompt: round {number + 1} of {plan.rounds}")
            with sinks.running(moments=1) as sink:
                site = systems.site(plan, OURS, database, "prompt")
                site.begin()
                found = site.ask("prompt_mail.py", str(mails), str(sink.counters), sink=sink)
                site.end()
            table.add(f"median {name}", found["median"])
            table.add(f"slowest {name}", found["slowest"])
        tables.append(table)
    return [Section(heading="Prompt", tables=tables)]
