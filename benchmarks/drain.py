"""Drain: how fast a full queue is delivered, from the first to the last mail that the server takes."""

from __future__ import annotations

from . import sinks, systems
from .plan import Plan, say
from .report import Section, Table
from .systems import LABELS, MAILER, OURS, POST_OFFICE, Site

THREADS = 5
# Seconds from a mail's end to its acceptance, by a server that is slow.
DELAY, SLOW_MAILS = 0.03, 2_000
# Quick ones get more, so that each takes some seconds.
MAILS = {OURS.name: 15_000, POST_OFFICE.name: 3_000, MAILER.name: 1_500}
READY, BUILT = "smtplib, ready bytes", "smtplib, messages of Django's"
PLAIN = {READY: ("bytes", 20_000), BUILT: ("messages", 3_000)}


def measure(plan: Plan) -> list[Section]:
    databases = plan.databases[:1] if plan.is_quick else plan.databases
    tables = []
    for database in databases:
        if database != "mariadb":
            for processes in (2,) if plan.is_quick else (1, 2):
                tables.append(_in_turn(plan, database, processes))
            if not plan.is_quick:
                tables.append(_slow_server(plan, database))
    # Django 5.2, whose own messages cost less, has aims of its own.
    heading = "Drain with Django 5.2" if plan.django == "5.2" else "Drain"
    return [Section(heading=heading, tables=tables)]


def _slow_server(plan: Plan, database: str) -> Table:
    """Deliver to a server that thinks about each mail: the connections alone should be what limits it."""
    allowed = f"what {2 * THREADS} connections allow"
    server = f"a server that accepts after {1000 * DELAY:.0f} ms"
    table = Table(
        title=f"{LABELS[database]}, 2 × {THREADS} connections, {server}",
        unit="mails per second",
        aims={allowed: "0.9 at least"},
        ratio="of this",
    )
    site = systems.site(plan, OURS, database, "drain")
    number = plan.mails(SLOW_MAILS)
    for round_ in range(plan.rounds):
        say(f"Drain: {table.title}, round {round_ + 1} of {plan.rounds}")
        site.begin()
        site.queue(number)
        with sinks.running(delay=DELAY) as sink:
            table.add(OURS.name, site.drain(sink, number, processes=2).rate)
        table.add(allowed, 2 * THREADS / DELAY)
    site.end()
    return table


def _in_turn(plan: Plan, database: str, processes: int) -> Table:
    table = Table(title=f"{LABELS[database]}, {processes} × {THREADS} connections", unit="mails per second")
    if processes == 2:
        wanted = "6 (4 at least)" if plan.django != "5.2" else "2.5"
        table.aims = {POST_OFFICE.name: wanted, READY: "0.5 (0.35 at least)"}
    queues = [OURS, POST_OFFICE]
    if processes == 1 and not plan.is_quick:
        queues.append(MAILER)  # which has no other way
    sites = [systems.site(plan, system, database, "drain") for system in queues]
    ways = [READY] if plan.is_quick else [READY, BUILT]
    for number in range(plan.rounds):
        say(f"Drain: {table.title}, round {number + 1} of {plan.rounds}")
        for site in sites:
            table.add(site.system.name, _drain(site, processes))
        for way in ways:
            table.add(way, _plain(sites[0], way, processes))
    for site in sites:
        site.end()
    return table


def _drain(site: Site, processes: int) -> float:
    number = site.plan.mails(MAILS[site.system.name])
    site.begin()
    site.queue(number)
    with sinks.running() as sink:
        return site.drain(sink, number, processes).rate


def _plain(site: Site, way: str, processes: int) -> float:
    kind, number = PLAIN[way]
    number = site.plan.mails(number)
    with sinks.running() as sink:
        arguments = ["plain_smtp.py", kind, str(number), str(processes), str(THREADS)]
        return site.flow(sink, number, arguments).rate
