"""Show whether mail flows: to people, to programs, and to what watches over both."""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ... import health
from ...exceptions import InvalidLimit
from ...health import PRIORITY_NAMES, Limits, count, span
from ...queue.depth import Depth
from ...queue.figures import Figures, Program, Rate

# Exit codes, as Nagios takes them.
CRITICAL, UNKNOWN = 2, 3
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Command(BaseCommand):
    help = "Show what is in the queue, how old it is, and who delivers it."
    # Some of them ask the database, and what it comes to when that is away is said here.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print it for programs.")
        parser.add_argument(
            "--check",
            action="store_true",
            help=(
                "Exit with 2 and a sentence for each limit that is passed; with 3 when the queue cannot be "
                "read. Limits that are not given here are those of POST_OFFICE['HEALTH_LIMITS']."
            ),
        )
        limits = parser.add_argument_group("limits, for --check")
        limits.add_argument(
            "--max-age", type=_span, metavar="SPAN", help="Of the mail that is due for longest, such as 10m."
        )
        limits.add_argument("--max-due", type=int, metavar="N", help="Mails that are due.")
        limits.add_argument("--max-failed", type=int, metavar="N", help="Mails that failed in the last hour.")
        limits.add_argument(
            "--max-orphaned",
            type=int,
            metavar="N",
            help=(
                "Mails that nobody will claim: of one backend that is not configured, without a status, or "
                "of an unknown priority."
            ),
        )
        limits.add_argument(
            "--max-silence", type=_span, metavar="SPAN", help="Since a dispatcher was seen; for cron."
        )
        limits.add_argument(
            "--require-dispatcher", action="store_const", const=True, help="A dispatcher is alive."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            limits = self._limits(options)
            found = health.look()
        except InvalidLimit as fault:
            raise CommandError(str(fault), returncode=UNKNOWN) from fault
        except DatabaseError as fault:
            raise CommandError(f"The queue cannot be read: {fault}", returncode=UNKNOWN) from fault
        complaints = health.complaints(found, limits)
        if options["json"]:
            self.stdout.write(json.dumps(health.as_json(found, complaints), indent=2))
        elif options["check"]:
            self.stdout.write("\n".join(complaints) or f"Mail flows: {_in_a_line(found)}.")
        else:
            self.stdout.write("\n".join([*_page(found), *(f"! {said}" for said in complaints)]))
        if options["check"] and complaints:
            sys.exit(CRITICAL)

    def _limits(self, options: dict[str, Any]) -> Limits:
        """Return the limits of the settings, with those in their place that are given here."""
        given = {name: options[name] for name in Limits.__dataclass_fields__ if options[name] is not None}
        return replace(health.configured_limits(), **given)


def _span(text: str) -> timedelta:
    """Read a span of time such as "90s", "10m", "2h" or "1d"; a number alone is seconds."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text)
    if match is None or not int(match[1]):
        raise ArgumentTypeError(f"{text!r} is no span of time such as 90s, 10m, 2h or 1d")
    return timedelta(seconds=int(match[1]) * UNITS[match[2] or "s"])


def _in_a_line(found: Figures) -> str:
    oldest = "" if found.oldest_due is None else f", for at most {span(found.oldest_due)}"
    return f"{count(found.total.due)} due{oldest}, {_rate(found.last_minute, 'sent')} sent in the last minute"


# --- the page ---------------------------------------------------------------------------------


def _page(found: Figures) -> Iterator[str]:
    yield from _table(_depth_rows(found))
    yield ""
    yield from _table(_facts(found))
    yield ""
    yield from _table(_backend_rows(found))
    yield ""
    if found.programs:
        yield from _table(
            [
                ["DISPATCHER", "PROCESS", "STATE", "SENDING", "SENT", "FAILED"],
                *map(_program_row, found.programs),
            ]
        )
    else:
        yield "No dispatcher was seen."
    if found.environment is not None:
        yield ""
        yield f"The queue belongs to the environment {found.environment!r}."


def _depth_rows(found: Figures) -> Iterator[list[str]]:
    yield ["PRIORITY", "DUE", "SCHEDULED", "RETRYING", "OLDEST DUE"]
    for number, name in PRIORITY_NAMES.items():
        depth = found.of_priority(number)
        if number is not None or depth != Depth():
            yield _depth_row(name, depth, found)
    yield _depth_row("total", found.total, found)


def _depth_row(name: str, depth: Depth, found: Figures) -> list[str]:
    oldest = "-" if depth.oldest_due_at is None else span(found.at - depth.oldest_due_at)
    return [name, count(depth.due), count(depth.scheduled), count(depth.retrying), oldest]


def _facts(found: Figures) -> Iterator[list[str]]:
    yield ["", "NOW", "LAST MINUTE", "LAST HOUR"]
    yield ["sending", f"{found.sending:,}", "", ""]
    yield ["sent", "", _rate(found.last_minute, "sent"), _rate(found.last_hour, "sent")]
    yield ["failed", "", _rate(found.last_minute, "failed"), _rate(found.last_hour, "failed")]


def _rate(rate: Rate, kind: str) -> str:
    return f"{getattr(rate, kind):,}{'' if rate.exact else '+'}"


def _backend_rows(found: Figures) -> Iterator[list[str]]:
    yield ["BACKEND", "DUE", ""]
    for alias in found.aliases:
        yield [alias, count(found.of_backend(alias).due), found.brakes.sentence(alias)]
    for alias, orphans in found.orphaned.items():
        yield [alias, count(orphans), "not configured: nobody will send this mail"]
    if found.without_status:
        yield ["-", count(found.without_status), "without a status: nobody will send this mail"]
    if found.unknown_priority:
        yield ["-", count(found.unknown_priority), "of an unknown priority: nobody will send this mail"]


def _program_row(program: Program) -> list[str]:
    row = program.row
    numbers = [f"{number:,}" for number in (program.sending, row.sent, row.failed)]
    return [row.command, f"{row.host}:{row.pid}", _state(program), *numbers]


def _state(program: Program) -> str:
    if program.is_gone:
        return "dead: its process is gone"
    seen = f"{program.seen_at:%Y-%m-%d %H:%M:%S}"
    if program.state == "dead":
        return f"dead, by the clocks: last seen {seen}"
    return f"{program.state} {seen}" if program.state == "ended" else "alive"


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    """Align columns: names to the left, what begins with a digit or a dash to the right."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    for row in listed:
        cells = [
            cell.rjust(width) if number and _is_figure(listed, number) else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _is_figure(rows: list[list[str]], column: int) -> bool:
    return all(not row[column] or row[column][0].isdigit() or row[column][0] == "-" for row in rows[1:])
