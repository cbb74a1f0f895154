"""How long tests wait for another process: until something is true, and never by the clock alone."""

import time
from collections.abc import Callable

# Seconds after which something that should happen counts as not happening; the machine may be busy.
PATIENCE = 120
BETWEEN_LOOKS = 0.02


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as `condition` holds; fail, saying what did not come true, after PATIENCE."""
    __tracebackhide__ = True  # report the line of the test
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {PATIENCE} seconds: {what}")
        time.sleep(BETWEEN_LOOKS)
