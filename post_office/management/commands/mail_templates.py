"""List templates, compare those of the database with those made of files, and bring one to the other."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...rendering import template_exchange as exchange
from ...rendering.template_exchange import Pair, Step
from ...rendering.versions import unified


class Command(BaseCommand):
    help = "List the templates of mail, compare database and files, and bring one to the other."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|diff|import|export")
        shown = verbs.add_parser("list", help="Show where templates are, and which languages they lack.")
        compared = verbs.add_parser(
            "diff", help="Show what the database says and the files do not. Exit with 1 where there is any."
        )
        brought = verbs.add_parser("import", help="Make rows of files.")
        written = verbs.add_parser("export", help="Make files of rows.")
        written.add_argument("folder", type=Path, help="In which Django looks for templates.")
        for each in (shown, compared, brought, written):
            each.add_argument("names", nargs="*", help="Of templates; all, where none is given.")
        for each in (shown, compared):
            each.add_argument("--json", action="store_true", help="Print it for programs.")
        for each in (brought, written):
            each.add_argument("--dry-run", action="store_true", help="Say what would be done only.")
            each.add_argument("--overwrite", action="store_true", help="Change what is there and differs.")

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["names"]
        if options["verb"] == "list":
            self._list(_known(exchange.pairs(names), names), options["json"])
        elif options["verb"] == "diff":
            self._diff(_known(exchange.pairs(names), names), options["json"])
        elif options["verb"] == "import":
            _known(exchange.pairs(names), names)
            done = {name: options[name] for name in ("overwrite", "dry_run")}
            self._tell(exchange.bring_in(names, **done), options["dry_run"])
        else:
            _known(exchange.pairs(names), names)
            if not options["folder"].is_dir():
                raise CommandError(f"{options['folder']} is not a folder.")
            done = {name: options[name] for name in ("overwrite", "dry_run")}
            self._tell(exchange.write_out(options["folder"], names, **done), options["dry_run"])

    def _list(self, pairs: Sequence[Pair], as_json: bool) -> None:
        rows = [_row(name, list(group)) for name, group in groupby(pairs, key=lambda pair: pair.name)]
        if as_json:
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        for row in rows:
            self.stdout.write(f"{row['name']}: {' and '.join(row['in'])}")
            self.stdout.write(f"  languages: {_listed(row['languages'])}")
            for key in ("missing", "differing"):
                if row[key]:
                    self.stdout.write(self.style.WARNING(f"  {key}: {_listed(row[key])}"))
        if not rows:
            self.stdout.write("There are no templates.")

    def _diff(self, pairs: Sequence[Pair], as_json: bool) -> None:
        found: list[dict[str, Any]] = [
            {
                "name": pair.name,
                "language": pair.language,
                "field": field,
                "lines": list(unified((pair.in_files or {})[field], (pair.in_database or {})[field])),
            }
            for pair in pairs
            for field in pair.differing
        ]
        alone = [pair for pair in pairs if pair.in_database is None or pair.in_files is None]
        if as_json:
            one_sided = [
                {"name": pair.name, "language": pair.language, "in": _sides(pair)[0]} for pair in alone
            ]
            self.stdout.write(
                json.dumps({"differing": found, "alone": one_sided}, indent=2, ensure_ascii=False)
            )
        else:
            for each in found:
                title = exchange.title_of(each["name"], each["language"])
                self.stdout.write(f"--- files: {title}, {each['field']}")
                self.stdout.write(f"+++ database: {title}, {each['field']}")
                self.stdout.write("\n".join(each["lines"]))
            for pair in alone:
                title = exchange.title_of(pair.name, pair.language)
                self.stdout.write(f"only in {_sides(pair)[0]}: {title}")
        if found or alone:
            sys.exit(1)

    def _tell(self, steps: Iterable[Step], dry_run: bool) -> None:
        refused = count = 0
        for step in steps:
            count += 1
            refused += step.verb == "refuse"
            said = f"{'would ' if dry_run else ''}{step.verb} {step.what}"
            self.stdout.write(f"{said}: {step.reason}" if step.reason else said)
        if not count:
            self.stdout.write("There is nothing to do.")
        if refused:
            raise CommandError(f"{refused} of them cannot be done.")


def _known(pairs: list[Pair], names: Sequence[str]) -> list[Pair]:
    unknown = set(names) - {pair.name for pair in pairs}
    if unknown:
        raise CommandError(f"There is no template named {', '.join(map(repr, sorted(unknown)))}.")
    return pairs


def _sides(pair: Pair) -> list[str]:
    sides = {"database": pair.in_database, "files": pair.in_files}
    return [side for side, texts in sides.items() if texts is not None]


def _row(name: str, pairs: list[Pair]) -> dict[str, Any]:
    sides = {side for pair in pairs for side in _sides(pair)}
    return {
        "name": name,
        "in": sorted(sides),
        "languages": [pair.language for pair in pairs],
        "missing": exchange.missing_languages(pairs),
        "differing": [pair.language for pair in pairs if pair.differing],
    }


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(code or "default" for code in codes)
