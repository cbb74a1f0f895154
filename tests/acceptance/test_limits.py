"""A rate that several processes share, by the clock of the server that gets the mail."""

from post_office.models import Log
from post_office.queue.limits import AHEAD
from tests.acceptance.project import Project, queue
from tests.acceptance.smtp_server import SMTPServer

RATE = 20  # a second
BURST = 1 + AHEAD * RATE  # one mail, and what was given out ahead


def test_processes_share_a_rate_keep_it_in_every_second_and_use_it(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["BACKENDS"]["default"]["RATE"] = f"{RATE}/s"
    # What a busy machine holds up arrives together, or late: so the best of some runs counts.
    assert any(rate_is_kept_and_used(project, server) for _ in range(3))


def rate_is_kept_and_used(project: Project, server: SMTPServer) -> bool:
    """Deliver for six seconds, and return whether no second had too many mails, and all together enough."""
    before = len(server.arrivals)
    emails = queue(6 * RATE)
    assert project.run("send_queued_mail", "--processes", "2").summary.sent == len(emails)
    ours = {email.message_id for email in emails}
    assert {known: times for known, times in server.message_ids().items() if known in ours} == dict.fromkeys(
        ours, 1
    )
    assert Log.objects.filter(email__in=emails).count() == len(emails)

    moments = sorted(server.arrivals[before:])
    busiest = max(sum(1 for other in moments if at <= other < at + 1) for at in moments)
    reached = (len(moments) - 1) / (moments[-1] - moments[0])
    return busiest <= RATE + BURST and reached >= 0.95 * RATE
