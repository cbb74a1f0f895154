"""Run the scenarios at full size, print the figures, and keep them in the documentation:
`python -m tests.torture [scenarios and databases] [--scale 0.2]`.

Without words, all scenarios run on all databases, each in a database of its own, which is made and dropped.
The documentation is written by a complete run at full size only, when nothing failed.
"""

import argparse
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests import services
from tests.__main__ import DATABASES
from tests.torture.page import Row, machine, print_row, write

SCENARIOS = {
    "together": "3 dispatchers × 2 processes × 5 threads",
    "kills": "`kill -9` of workers, supervisors and whole dispatchers",
    "rude": "a server that drops, refuses, hangs and goes away",
    "locked": "an application that holds the lock, six claimers",
    "cut": "connections to the database cut",
    "clocks": "the clock steps by an hour, forward and back",
    "poison": "as much poison as good mail",
    "pace": "a rate of 50/s, four processes",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="|".join([*SCENARIOS, *DATABASES]))
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes (default: 1)")
    parser.add_argument("--on", choices=DATABASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.words) - {*SCENARIOS, *DATABASES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    chosen = [name for name in SCENARIOS if name in options.words] or list(SCENARIOS)
    if options.on:
        run_here(chosen, options.scale)
        return 0
    databases = [name for name in DATABASES if name in options.words] or list(DATABASES)
    rows: list[Row] = []
    versions: dict[str, str] = {}
    failed = False
    print(machine(), flush=True)
    for database in databases:
        if reason := services.why_missing(database):
            print(f"{database} is left out: {reason}")
            failed |= services.required()
            continue
        for told in run_on(database, chosen, options.scale):
            if "version" in told:
                versions[database] = told["version"]
            elif "fault" in told:
                print(f"FAILED: {told['scenario']} on {database}\n{told['fault']}", flush=True)
                failed = True
            elif "left_out" in told:
                print(f"{SCENARIOS[told['scenario']]}, {database}: left out. {told['left_out']}", flush=True)
            else:
                rows.append(Row(scenario=SCENARIOS[told["scenario"]], database=database, **told["figures"]))
                print_row(rows[-1])
    complete = not options.words and options.scale == 1 and len(versions) == len(DATABASES)
    if complete and not failed:
        write(rows, versions)
    return int(failed)


def run_on(database: str, chosen: list[str], scale: float) -> Iterator[dict[str, object]]:
    """Run scenarios in a process for this database; yield what it tells."""
    command = [sys.executable, "-m", "tests.torture", *chosen, "--scale", str(scale), "--on", database]
    environment = os.environ | {
        "DATABASE": database,
        "DATABASE_NAME": os.environ.get("DATABASE_NAME", "post_office_torture"),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        yield {"scenario": "all of it", "fault": f"its process ended with {process.returncode}"}


# --- in the process for a database ------------------------------------------------------------


def run_here(chosen: list[str], scale: float) -> None:
    import shutil

    import django
    import pytest

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from tests.torture.page import version_of

    settings.TEST_FOLDER.mkdir()
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    tell(version=version_of(connection))
    try:
        for name in chosen:
            try:
                tell(scenario=name, figures=asdict(run(name, scale, settings.TEST_FOLDER / name)))
            except pytest.skip.Exception as reason:
                tell(scenario=name, left_out=str(reason))
            except (Exception, pytest.fail.Exception):
                tell(scenario=name, fault=traceback.format_exc())
            call_command("flush", verbosity=0, interactive=False)
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)
        shutil.rmtree(settings.TEST_FOLDER)


def run(name: str, scale: float, folder: Path) -> object:
    """Run a scenario with a server and a project of its own."""
    from importlib import import_module

    from tests.acceptance.project import Project
    from tests.acceptance.smtp_server import SMTPServer

    scenario = import_module(f"tests.torture.{name}")
    folder.mkdir()
    with SMTPServer() as server:
        project = Project(folder, server)
        try:
            return scenario.run(project, size=int(scenario.SIZE * scale))
        finally:
            project.end()


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
