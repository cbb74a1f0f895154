"""`kill -9` at random, of worker processes, of supervisors and of whole dispatchers: no mail is lost, and
only what was in flight is repeated.

In flight is what a process has handed to the server and not written down. The server knows over which
connection a mail came, and the system whose connection that was; what is written down is read when the
process is gone.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass
from signal import SIGKILL, SIGSTOP

from post_office.delivery.unsettled import SETTLE_AT
from post_office.models import STATUS, Email
from tests.acceptance.project import THREADS, Project, Run, assert_all_sent, queue, sent
from tests.acceptance.smtp_server import SMTPServer
from tests.torture.figures import Figures, Watch
from tests.torture.keeper import Keeper, kept, ports_of

SIZE = 5000
KILLS = 20
DISPATCHERS, PROCESSES = 3, 2
# What one process can have in flight: a mail with each thread, another that it took while outcomes were being
# written, and those outcomes.
MOST_IN_FLIGHT = 2 * THREADS + SETTLE_AT
SECONDS_PER_MAIL = 0.02


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What was known when processes had been killed.

    Attributes:
        ports: From which they were connected to the server.
        before: How many mails had arrived by then.
        after: And when `settled` had been read.
        settled: Mails that the database called sent.
    """

    processes: int
    ports: set[int]
    before: int
    after: int
    settled: set[str]

    def in_flight(self, server: SMTPServer) -> set[str]:
        """Return what these processes had handed to the server and not written down."""
        accepted = list(server.accepted)
        from_them = {mail.message_id for mail in accepted if mail.port in self.ports}
        # Others may have got and settled it before we could look.
        by_others = {
            mail.message_id for mail in accepted[self.before : self.after] if mail.port not in self.ports
        }
        return from_them - (self.settled - by_others)


def run(project: Project, size: int = SIZE, kills: int = KILLS, seed: int = 1) -> Figures:
    rng = random.Random(seed)
    server = project.server
    # A mail that is in the hands of several that die is not taken for what kills them.
    project.post_office["MAX_CLAIMS"] = kills + 1
    server.seconds_per_mail = SECONDS_PER_MAIL
    emails = queue(size)
    watch = Watch(server)
    done: list[Kill] = []
    with kept(project, DISPATCHERS, PROCESSES) as keeper:
        for number in range(kills):
            settled_by_then = size * (number + 1) // (kills + 2)
            keeper.wait_for(lambda: len(server.message_ids()), settled_by_then, "mails arrive")
            done.append(kill(keeper, server, rng))
        keeper.wait_for(Email.objects.filter(status=STATUS.sent).count, size, "mails are sent")
    allowed = Counter(message_id for each in done for message_id in each.in_flight(server))
    in_flight = sum(allowed.values())
    figures = watch.figures(
        emails, f"no loss; repeats of the {in_flight} that were in flight at {kills} kills (seed {seed})"
    )

    assert figures.lost == 0, figures
    arrived = server.message_ids()
    too_often = {mail: times for mail, times in arrived.items() if times > 1 + allowed[mail]}
    assert not too_often, f"repeated, and not in flight: {too_often}"
    for each in done:
        assert len(each.in_flight(server)) <= each.processes * MOST_IN_FLIGHT, each
    assert_all_sent(emails)
    return figures


def kill(keeper: Keeper, server: SMTPServer, rng: random.Random) -> Kill:
    """Kill a worker, a supervisor alone or a whole dispatcher."""
    keeper.wait_for(lambda: len(living(keeper)), 1, "there is one to be killed")
    run = rng.choice(living(keeper))
    workers = sorted(keeper.workers(run))
    kind = rng.choice(["worker", "worker", "dispatcher", "dispatcher", "supervisor"])
    if kind == "worker":
        victims = {rng.choice(workers)}
    elif kind == "dispatcher":
        victims = run.group()
    else:
        # Its workers finish what is in flight.
        victims = {run.pid}
    # They stand still while we look whose connections there are, and never go on.
    for pid in victims:
        os.kill(pid, SIGSTOP)
    ports = ports_of(victims, server.port)
    before = len(server.accepted)
    for pid in victims:
        os.kill(pid, SIGKILL)
    settled = sent()
    return Kill(
        processes=len(set(workers) & victims),
        ports=ports,
        before=before,
        after=len(server.accepted),
        settled=settled,
    )


def living(keeper: Keeper) -> list[Run]:
    """Return the dispatchers that have workers."""
    return [run for run in keeper.runs if not run.has_ended() and keeper.workers(run)]
