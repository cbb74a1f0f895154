"""Run the tests on each database that answers: `python -m tests [arguments for pytest]`.

A database that does not answer is left out, with its reason; with REQUIRE_SERVICES=1 that is a failure.
With DATABASE set, the tests run on that one alone. With ACCEPTANCE set to names of databases, the tests with
real processes, which take longest, run on these only. BROWSER_TESTS says the same of the tests in a browser:
on SQLite only, if it is not set. Where there is no browser they are skipped.

Without arguments, the tests share the processors of this machine. Those with real processes come after the
others: they wait more than they work.
"""

import os
import re
import subprocess
import sys

from tests import services

PROCESSES = "tests/acceptance"
BROWSER = "tests/browser"
DATABASES = ("sqlite", "postgres", "mariadb")
CLOSING_LINE = re.compile(r"=*\s*((?:\d+ \w+|no tests ran)\b.* in \d[^=]*?)\s*=*")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: list[str]) -> int:
    chosen = os.environ.get("DATABASE")
    results: list[tuple[str, str]] = []
    failed = False
    for database in [chosen] if chosen else DATABASES:
        if reason := services.why_missing(database):
            results.append((database, f"left out: {reason}"))
            failed |= services.required()
            continue
        for selection in [arguments] if arguments else everything(database):
            print(f"\n---- {database}", flush=True)
            code, result = run(database, selection)
            results.append((database, result))
            failed |= code != 0

    print("\n---- summary")
    for database, result in results:
        print(f"{database:>9}  {result}")
    return int(failed)


def everything(database: str) -> list[list[str]]:
    """Return the arguments of the runs that all tests take."""
    # A file's tests stay together, as they share what is costly to make.
    runs = [["--numprocesses=auto", "--dist=loadfile", f"--ignore={PROCESSES}", f"--ignore={BROWSER}"]]
    if database in os.environ.get("ACCEPTANCE", database).split():
        runs.append(["--numprocesses=auto", "--dist=loadfile", PROCESSES])
    if database in os.environ.get("BROWSER_TESTS", "sqlite").split():
        runs.append(["--numprocesses=auto", "--dist=worksteal", BROWSER])
    return runs


def run(database: str, arguments: list[str]) -> tuple[int, str]:
    """Run pytest on `database`, show what it prints; return its exit code and its closing line."""
    command = [sys.executable, "-m", "pytest", *arguments]
    if sys.stdout.isatty():
        command.append("--color=yes")  # it writes to a pipe, so it cannot see the terminal
    closing = "pytest ended without its closing line"
    with subprocess.Popen(
        command,
        env=os.environ | {"DATABASE": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            if match := CLOSING_LINE.fullmatch(COLOURS.sub("", line).strip()):
                closing = match[1]
    return process.returncode, closing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
