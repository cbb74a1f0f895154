"""Enqueue: how fast mail gets into the queue, beside a bare `bulk_create` or `create` of the same rows."""

from __future__ import annotations

from . import systems
from .plan import Plan, say
from .report import Section, Table
from .systems import LABELS, MAILER, OURS, POST_OFFICE, Site, System

# By what a row of a table is called: the system, and the kind that project/enqueue.py knows.
Rows = dict[str, tuple[System, str]]
MANY: Rows = {
    "mail.send_many": (OURS, "send_many"),
    "bulk_create": (OURS, "bulk_create"),
    f"send_many of {POST_OFFICE.name}": (POST_OFFICE, "send_many"),
    f"send_messages of {MAILER.name}": (MAILER, "send_messages"),
}
TEMPLATE: Rows = {
    "mail.send_many": (OURS, "template"),
    f"send_many of {POST_OFFICE.name}": (POST_OFFICE, "template"),
}
SINGLE: Rows = {
    "mail.send": (OURS, "send"),
    "Email.objects.create": (OURS, "create"),
    f"send of {POST_OFFICE.name}": (POST_OFFICE, "send"),
}
STREAMS = (10_000, 100_000)


def measure(plan: Plan) -> list[Section]:
    tables = []
    for database in plan.databases[:1] if plan.is_quick else plan.databases:
        label = LABELS[database]
        aims = {"bulk_create": "0.67 at least", f"send_many of {POST_OFFICE.name}": "1.5"}
        tables.append(_in_turn(plan, database, MANY, f"{label}, 4,000 mails at once", 4000, aims))
        if plan.is_quick:
            continue
        title = f"{label}, 4,000 mails of a template at once"
        tables.append(_in_turn(plan, database, TEMPLATE, title, 4000, {}))
        aims = {"Email.objects.create": "0.77 at least"}
        tables.append(_in_turn(plan, database, SINGLE, f"{label}, one at a time", 1000, aims))
        tables.append(_stream(plan, database))
    return [Section(heading="Enqueue", tables=tables)]


def _in_turn(plan: Plan, database: str, rows: Rows, title: str, number: int, aims: dict[str, str]) -> Table:
    table = Table(title=title, unit="mails per second", aims=aims)
    sites = {system.key: systems.site(plan, system, database, "enqueue") for system, _ in rows.values()}
    for round_ in range(plan.rounds):
        say(f"Enqueue: {title}, round {round_ + 1} of {plan.rounds}")
        for name, (system, kind) in rows.items():
            table.add(name, _speed(sites[system.key], kind, plan.mails(number)))
    for site in sites.values():
        site.end()
    return table


def _speed(site: Site, kind: str, number: int) -> float:
    site.begin()
    return number / float(site.ask("enqueue.py", kind, str(number))["seconds"])


def _stream(plan: Plan, database: str) -> Table:
    """Queue a few and many mails from a generator; memory should not tell which it was."""
    table = Table(
        title=f"{LABELS[database]}, mail.send_stream: growth of the process",
        unit="MB",
        more_is_better=False,
        ratio="of this",
    )
    site = systems.site(plan, OURS, database, "enqueue")
    for number in map(plan.mails, STREAMS):
        site.begin()
        table.add(f"{number:,} mails", float(site.ask("enqueue.py", "stream", str(number))["mb"]))
    site.end()
    return table
