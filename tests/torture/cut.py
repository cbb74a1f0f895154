"""Connections to the database are cut in the middle, time and again: the dispatchers go on, and each mail is
delivered once. Where the outcome of a mail was on its way, it is written by the next connection."""

import pytest
from django.db import connection

from post_office.models import STATUS, Email
from tests.acceptance.project import Project, assert_all_sent, queue
from tests.acceptance.test_database import cut_other_connections, other_connections
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import kept

SIZE = 3000
DISPATCHERS, PROCESSES = 2, 2
TIMES = 10


def run(project: Project, size: int = SIZE, times: int = TIMES) -> Figures:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be cut.")
    server = project.server
    # So that there is mail left for whoever comes late.
    server.seconds_per_mail = 0.02
    emails = queue(size)
    cut = 0
    watch = Watch(server)
    with kept(project, DISPATCHERS, PROCESSES) as keeper:
        workers = [keeper.workers(run) for run in keeper.runs]
        for number in range(times):
            keeper.wait_for(lambda: len(server.accepted), size * (number + 1) // (times + 2), "mails arrive")
            # All have come back from the last time.
            keeper.wait_for(
                lambda: len(other_connections()), DISPATCHERS * PROCESSES, "workers are connected"
            )
            cut += cut_other_connections()
        keeper.wait_for(Email.objects.filter(status=STATUS.sent).count, size, "mails are sent")
        figures = watch.figures(emails, f"each mail once; {cut} connections were cut at {times} moments")
        assert [keeper.workers(run) for run in keeper.runs] == workers, "a process has ended"
    assert cut >= times * DISPATCHERS * PROCESSES
    assert (figures.once, figures.repeated, figures.lost) == (size, 0, 0), figures
    assert_all_sent(emails)
    return figures
