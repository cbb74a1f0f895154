"""Queue some 500 mails, deliver them to an SMTP server of our own, and show what became of each.

Exits with 0 only if every number is the one that the scenario asks for.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder that holds the package `demo`

import django

from demo import inspection, scenario
from demo.server import HOST, MailServer

DEMO = Path(__file__).resolve().parent
OUTBOX = DEMO / "outbox"


def main() -> int:
    start_clean()
    with MailServer(
        OUTBOX,
        refuse={scenario.UNKNOWN: scenario.NO_SUCH_USER},
        refuse_once={scenario.GREYLISTED: scenario.TRY_LATER},
    ) as server:
        os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"
        # The settings read it, here and in the processes that we start.
        os.environ["DEMO_SMTP_PORT"] = str(server.port)
        django.setup()
        return play(server)


def play(server: MailServer) -> int:
    """Play the scenario. Returns the exit code."""
    # Not at the top: these import models, for which Django must be set up.
    from demo import report, stage

    stage.set_up()
    plan = scenario.plan()
    say(f"Queueing {len(plan)} mails")
    say(f"  by {counted(planned.verb for planned in plan)}")
    say(f"  with priority {counted(planned.priority for planned in plan)}\n")
    stage.queue(plan)

    say(f"$ manage.py send_queued_mail --processes=2    (to an SMTP server on {HOST}:{server.port})")
    first = stage.send_queued_mail("--processes=2")
    say(f"{first.output}\n")
    stage.wait_for_retries()
    say("$ manage.py send_queued_mail    (again, now that the retry is due)")
    second = stage.send_queued_mail()
    say(f"{second.output}\n")

    if not report.show(plan, [first, second], inspection.read(OUTBOX), server.answers):
        say("The log of the deliveries is demo/demo.log.")
        return 1
    say("\nThe mails are in demo/outbox. To look at them in the admin: make web (user demo, password demo)")
    return 0


def counted(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in Counter(words).most_common())


def say(words: str) -> None:
    # At once, since what the commands write comes between.
    print(words, flush=True)


def start_clean() -> None:
    """Remove what an earlier run has left."""
    for pattern in ("demo.sqlite3*", "demo.log"):
        for file in DEMO.glob(pattern):
            file.unlink()
    for folder in (OUTBOX, DEMO / "media"):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped.")
