"""Queue mail while a dispatcher waits for it: prompt_mail.py NUMBER MOMENTS.

MOMENTS is the file to which the server writes when it accepted a mail. Prints {"median": …, "slowest": …} in
milliseconds from the commit on.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGTERM

import django
import sample
from django.db import transaction

PATIENCE = 120
# Longer than a worker looks again after a mail, so that each finds a dispatcher at rest.
PAUSE = 0.7


def main() -> None:
    number, moments = int(sys.argv[1]), Path(sys.argv[2])
    dispatcher = subprocess.Popen([sys.executable, "manage.py", "run_dispatcher", "--verbosity=0"])
    try:
        delays = [delay(count, moments) for count in range(number + 1)]
    finally:
        dispatcher.send_signal(SIGTERM)
        dispatcher.wait()
    delays = delays[1:]  # the first one waited for the dispatcher's start
    print(json.dumps({"median": 1000 * statistics.median(delays), "slowest": 1000 * max(delays)}))


def delay(count: int, moments: Path) -> float:
    """Queue a mail, and return how many seconds after the commit it was accepted."""
    from post_office import mail

    with transaction.atomic():
        mail.send(
            sample.recipient(count),
            sample.SENDER,
            subject=sample.subject(count),
            message=sample.TEXT,
            html_message=sample.HTML,
        )
    committed = time.monotonic()
    while len(accepted := moments.read_text().splitlines()) <= count:
        if time.monotonic() > committed + PATIENCE:
            raise SystemExit("No mail arrives.")
        time.sleep(0.005)
    time.sleep(PAUSE)
    return float(accepted[count]) - committed


if __name__ == "__main__":
    django.setup()
    main()
