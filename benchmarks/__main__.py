"""python -m benchmarks NAME…: measure, print the tables, and with --write put them into the documentation."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys

from . import cleanup, drain, enqueue, flat, lean, page, prompt, serialise, systems
from .plan import CACHE, Plan, say

# Each has measure(plan), which returns sections of tables.
BENCHMARKS = {
    "drain": drain,
    "serialise": serialise,
    "enqueue": enqueue,
    "flat": flat,
    "lean": lean,
    "prompt": prompt,
    "cleanup": cleanup,
}
# In less than a minute together.
QUICK = ("drain",)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*BENCHMARKS, "all", "clean"],
        metavar="NAME",
        help=f"{', '.join(BENCHMARKS)}; all of them; or clean, which removes what earlier runs have left.",
    )
    parser.add_argument("--rounds", type=int, help="Default: 3, and 1 with --quick.")
    parser.add_argument(
        "--database",
        action="append",
        choices=list(systems.LABELS),
        help="May be given several times. Default: all that answer.",
    )
    newest = "6.1" if sys.version_info >= (3, 12) else "5.2"
    parser.add_argument("--django", default=newest, help=f"A series, such as 5.2. Default: {newest}.")
    parser.add_argument("--quick", action="store_true", help="A first impression in less than a minute.")
    parser.add_argument("--scale", type=float, help="Of the number of mails. Default: 1, 0.2 with --quick.")
    parser.add_argument("--write", action="store_true", help="Also write docs/explanation/performance.md.")
    return parser


def main() -> int:
    parser = arguments()
    options = parser.parse_args()
    if options.names == ["clean"]:
        clean(Plan(rounds=1, databases=(), django=options.django))
        return 0
    names = options.names if options.names and "all" not in options.names else list(BENCHMARKS)
    if options.quick:
        names = [name for name in names if name in QUICK]
    plan = Plan(
        rounds=options.rounds or (1 if options.quick else 3),
        databases=tuple(options.database or systems.LABELS),
        django=options.django,
        is_quick=options.quick,
        scale=options.scale or (0.2 if options.quick else 1),
    )
    missing = [database for database in plan.databases if not systems.answers(plan, database)]
    for database in missing:
        say(f"{systems.LABELS[database]} does not answer, and is left out.")
    plan = plan.of([database for database in plan.databases if database not in missing])
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    for name in names:
        measured = page.Results(plan=plan, command=command, sections=BENCHMARKS[name].measure(plan))
        for section in measured.sections:
            print("\n".join(measured.lines(section)), flush=True)
        if options.write:
            measured.write()
    return 0


def clean(plan: Plan) -> None:
    """Drop the databases that are kept between runs, and remove all files."""
    for database in systems.LABELS:
        if systems.answers(plan, database):
            systems.site(plan, systems.OURS, database).run("server.py", "drop_all")
    shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
