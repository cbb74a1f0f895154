"""A project's own tests: a delivery inside Django's TestCase sees and changes that test's data."""

from contextlib import ExitStack
from io import StringIO

from django.core.management import call_command
from django.db import connection
from django.test import TestCase, override_settings

from post_office import mail
from post_office.models import STATUS, Email, Log
from tests.acceptance.project import SUMMARY, smtp_backend
from tests.acceptance.smtp_server import SMTPServer


class DeliveryInsideATestCase(TestCase):
    def setUp(self) -> None:
        with ExitStack() as stack:
            self.server = stack.enter_context(SMTPServer())
            backends = {"default": smtp_backend(self.server)}
            stack.enter_context(override_settings(POST_OFFICE={"BACKENDS": backends}))
            self.addCleanup(stack.pop_all().close)
        # Each test begins without the rows of the others.
        assert not Email.objects.exists()

    def queue(self, **arguments: object) -> Email:
        return mail.send("ann@example.com", "shop@example.com", subject="Hi", message="Hello.", **arguments)

    def assert_sent(self, emails: list[Email]) -> None:
        assert self.server.message_ids() == {email.message_id: 1 for email in emails}
        assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}
        assert Log.objects.filter(status=STATUS.sent).count() == len(emails)
        assert connection.in_atomic_block

    def test_the_command_delivers_what_the_test_has_queued(self) -> None:
        emails = [self.queue() for _ in range(20)]
        output = StringIO()
        call_command("send_queued_mail", lockfile="", stdout=output)
        found = SUMMARY.search(output.getvalue())
        assert found
        assert found.groups() == ("20", "20", "0", "0")
        self.assert_sent(emails)

    def test_the_function_delivers_what_the_test_has_queued(self) -> None:
        emails = [self.queue() for _ in range(20)]
        assert mail.send_queued() == (20, 0, 0)
        self.assert_sent(emails)

    def test_mail_that_is_to_go_now_goes_now(self) -> None:
        self.assert_sent([self.queue(priority="now")])

    def test_a_refusal_is_recorded_in_the_data_of_the_test(self) -> None:
        self.server.refusals = {"ann@example.com": "550 5.1.1 Who?"}
        email = self.queue()
        call_command("send_queued_mail", lockfile="", stdout=StringIO())
        email.refresh_from_db()
        assert email.status == STATUS.failed
        assert email.logs.get().code == 550
