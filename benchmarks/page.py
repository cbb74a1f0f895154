"""What a run found, as docs/explanation/performance.md shows it: where, when, with what, and the tables."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import sinks, systems
from .plan import ROOT, Plan
from .report import Section

PAGE = ROOT / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEADING = re.compile(r"^### ", re.MULTILINE)


@dataclass(kw_only=True)
class Results:
    """The sections of one benchmark."""

    plan: Plan
    command: str
    sections: Sequence[Section]

    def lines(self, section: Section) -> Iterator[str]:
        """Yield it in Markdown."""
        heading, *rest = section.lines()
        yield heading
        yield ""
        yield from self._circumstances()
        yield from rest

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
        """Put each section between the marks of the page, in the place of the last one of its heading."""
        before, begin, rest = PAGE.read_text().partition(BEGIN)
        measured, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{PAGE} has no marks between which the tables could stand.")
        known = {part.partition("\n")[0]: part for part in HEADING.split(measured) if part.strip()}
        for section in self.sections:
            known[section.heading] = "\n".join(self.lines(section)).removeprefix("### ")
        parts = "\n\n".join(f"### {part.strip()}" for part in known.values())
        PAGE.write_text(f"{before}{begin}\n\n{parts}\n\n{end}{after}")
