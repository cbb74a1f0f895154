"""What goes first, what waits, and what does not go at all."""

from datetime import timedelta

from django.utils import timezone

from post_office import mail
from post_office.models import STATUS, Email, Log
from tests.acceptance.project import THREADS, Project, queue
from tests.acceptance.smtp_server import SMTPServer


def test_mail_goes_by_priority_then_by_the_time_it_was_due_then_by_id(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["THREADS_PER_PROCESS"] = 1
    now = timezone.now()
    hour_ago, minute_ago = now - timedelta(hours=1), now - timedelta(minutes=1)
    queued = [
        # priority, due (None: from the start), and its place in the order of delivery
        ("low", hour_ago, 8),
        ("medium", None, 6),
        ("medium", minute_ago, 4),
        ("high", None, 2),
        ("low", None, 9),
        ("medium", minute_ago, 5),
        ("high", minute_ago, 1),
        ("medium", None, 7),
        ("medium", hour_ago, 3),
    ]
    for priority, due, place in queued:
        queue_for(f"{place}@example.com", priority=priority, scheduled_time=due)

    assert project.run("send_queued_mail").complaints == []
    assert server.recipients() == [f"{place}@example.com" for place in range(1, 10)]


def test_a_mail_of_high_priority_overtakes_a_newsletter_that_is_going_out(
    project: Project, server: SMTPServer
) -> None:
    project.post_office["BATCH_SIZE"] = 20
    queue(200, priority="low")
    server.hold_after(10)
    run = project.start("send_queued_mail")
    server.wait_until_accepted(10 + THREADS)
    queue_for("urgent@example.com", priority="high")
    server.let_go()

    assert run.finish().summary.sent == 201
    # It goes after what was claimed before it came, which is one batch at most.
    assert server.recipients().index("urgent@example.com") <= 10 + 20 + THREADS


def test_scheduled_mail_waits_and_expired_mail_is_never_sent(project: Project, server: SMTPServer) -> None:
    now = timezone.now()
    later = queue_for("later@example.com", scheduled_time=now + timedelta(hours=1))
    expired = queue_for("expired@example.com", expires_at=now - timedelta(seconds=1))
    in_time = queue_for("in-time@example.com", expires_at=now + timedelta(hours=1))

    finished = project.run("send_queued_mail")

    assert finished.code == 0
    assert finished.summary == (1, 1, 0, 0)
    assert f"Email {expired.pk} expired before it could be sent." in finished.errors
    assert server.recipients() == ["in-time@example.com"]
    statuses = dict(Email.objects.values_list("pk", "status"))
    assert statuses == {later.pk: STATUS.queued, expired.pk: STATUS.expired, in_time.pk: STATUS.sent}
    assert Log.objects.get().email == in_time

    Email.objects.filter(pk=later.pk).update(scheduled_time=now)
    assert project.run("send_queued_mail").summary == (1, 1, 0, 0)
    assert server.recipients() == ["in-time@example.com", "later@example.com"]


def queue_for(recipient: str, **arguments: object) -> Email:
    return mail.send(recipient, "shop@example.com", subject="News", message="Nothing new.", **arguments)
