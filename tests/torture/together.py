"""Three dispatchers of two processes with five threads each, on one queue: each mail is delivered once."""

from post_office.models import STATUS, Dispatcher, Email
from tests.acceptance.project import THREADS, Project, assert_all_sent, queue
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import kept

SIZE = 5000
DISPATCHERS, PROCESSES = 3, 2


def run(project: Project, size: int = SIZE) -> Figures:
    server = project.server
    emails = queue(size)
    server.hold_after(0)
    watch = Watch(server)
    with kept(project, DISPATCHERS, PROCESSES) as keeper:
        # Every thread of every process has a mail before the first is answered: they are at it together.
        server.wait_until_accepted(DISPATCHERS * PROCESSES * THREADS)
        server.let_go()
        finished = Email.objects.filter(status=STATUS.sent)
        keeper.wait_for(finished.count, size, "mails are sent")
        figures = watch.figures(emails, "each mail once")
    assert (figures.once, figures.repeated, figures.lost) == (size, 0, 0), figures
    assert keeper.restarts == 0
    shares = list(Dispatcher.objects.values_list("sent", flat=True))
    assert sum(shares) == size, shares
    assert all(shares), shares
    assert_all_sent(emails)
    return figures
