"""A rate that four processes share: no second has more than a burst too many, and the rate is reached.

Both by the clock of the server that gets the mail.
"""

from post_office.models import STATUS, Email
from post_office.queue.limits import AHEAD
from tests.acceptance.project import Project, assert_all_sent, queue
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import kept

RATE = 50
SIZE = 25 * RATE
PROCESSES = 4
# What may come in beside the rate where all that was given out ahead goes late.
BURST = 1 + AHEAD * RATE
REACHED = 0.95


def run(project: Project, size: int = SIZE, reached: float = REACHED, bursts: int = 1) -> Figures:
    """Deliver, and measure.

    Args:
        reached: The part of the rate that is to be reached.
        bursts: How many there may be in one second; a busy machine puts together what was sent apart.
    """
    server = project.server
    project.post_office["BACKENDS"]["default"]["RATE"] = f"{RATE}/s"
    emails = queue(size)
    watch = Watch(server)
    with kept(project, 1, PROCESSES) as keeper:
        keeper.wait_for(Email.objects.filter(status=STATUS.sent).count, size, "mails are sent")
    most, rate = measure(sorted(server.arrivals))
    figures = watch.figures(
        emails,
        f"each mail once; at most {RATE + bursts * BURST:.1f} in any second (was {most}), "
        f"{reached * RATE:.1f}/s in all (was {rate:.1f})",
    )
    assert (figures.once, figures.repeated, figures.lost) == (size, 0, 0), figures
    assert most <= RATE + bursts * BURST, figures
    assert rate >= reached * RATE, figures
    assert_all_sent(emails)
    return figures


def measure(moments: list[float]) -> tuple[int, float]:
    """Return how many there were in the busiest second, and how many a second in all."""
    busiest, begin = 0, 0
    for end, moment in enumerate(moments):
        while moment - moments[begin] >= 1:
            begin += 1
        busiest = max(busiest, end - begin + 1)
    return busiest, (len(moments) - 1) / (moments[-1] - moments[0])
