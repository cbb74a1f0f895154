"""A rate that several processes share, by the clock of the server that gets the mail."""

from post_office.models import Log
from tests.acceptance.project import Project, queue
from tests.acceptance.smtp_server import SMTPServer

RATE = 20  # a second
BURST = 1 + RATE // 5  # one mail, and not quite a fifth of a second's worth


def test_processes_share_a_rate_keep_it_in_every_second_and_use_it(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["BACKENDS"]["default"]["RATE"] = f"{RATE}/s"
    emails = queue(6 * RATE)
    assert project.run("send_queued_mail", "--processes", "2").summary.sent == len(emails)

    moments = sorted(server.arrivals)
    busiest = max(sum(1 for other in moments if at <= other < at + 1) for at in moments)
    reached = (len(moments) - 1) / (moments[-1] - moments[0])
    assert busiest <= RATE + BURST
    assert reached >= 0.95 * RATE
    assert server.message_ids() == {email.message_id: 1 for email in emails}
    assert Log.objects.count() == len(emails)
