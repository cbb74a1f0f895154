"""What a run found, as docs/explanation/performance.md shows it: where, when, with what, and the tables."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import sinks, systems
from .plan import ROOT, Plan
from .report import Section

PAGE = ROOT / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(kw_only=True)
class Results:
    plan: Plan
    command: str
    sections: list[Section] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield it in Markdown."""
        yield from self._circumstances()
        for section in self.sections:
            yield ""
            yield from section.lines()

    def _circumstances(self) -> Iterator[str]:
        installed = systems.packages(self.plan, systems.OURS)
        databases = ", ".join(systems.version(self.plan, database) for database in self.plan.databases)
        python = subprocess.check_output([self.plan.python, "--version"], text=True).strip()
        sink = "Postfix's smtp-sink" if sinks.smtp_sink() else "a sink of our own in Python"
        rounds = f"{self.plan.rounds} rounds" if self.plan.rounds > 1 else "one round"
        yield f"Measured on {time.strftime('%Y-%m-%d')} by `{self.command}`, in {rounds}:"
        yield ""
        yield f"- {python}, Django {installed['django']}; {databases}"
        yield f"- {os.cpu_count()} CPUs ({platform.machine()}, {platform.system()} {platform.release()})"
        yield f"- {sink} on the loopback interface, unless another server is named"
        yield f"- commit {self._commit()}"

    def _commit(self) -> str:
        try:
            commit = ["git", "describe", "--always", "--dirty"]
            return subprocess.check_output(commit, cwd=ROOT, text=True).strip()
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    def write(self) -> None:
        """Put it between the marks of the page."""
        before, begin, rest = PAGE.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{PAGE} has no marks between which the tables could stand.")
        PAGE.write_text("\n".join([f"{before}{begin}", "", *self.lines(), "", f"{end}{after}"]))
