"""Run a management command, and say what it took: timed.py COMMAND…. Prints {"seconds": …, "mb": …}.

"mb" is by how much the process has grown.
"""

import io
import json
import resource
import sys
import time

import django
from django.core.management import call_command


def main() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    call_command(*sys.argv[1:], stdout=io.StringIO())
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": seconds, "mb": grown / 1024}))


if __name__ == "__main__":
    django.setup()
    main()
