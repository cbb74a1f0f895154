"""A program that sends mail in all of Django's ways and delivers it; where each warning is an error.

Started by `test_warnings.py` with the settings of a project.
"""

import logging

import django

django.setup()

from django.core import mail as django_mail  # noqa: E402
from django.core.mail import EmailMessage, EmailMultiAlternatives  # noqa: E402
from django.core.management import call_command  # noqa: E402

from post_office import mail  # noqa: E402

SENDER = "shop@example.com"


def send() -> None:
    """Send a mail in each way, nine in all."""
    django_mail.send_mail("send_mail", "b", SENDER, ["ann@example.com"], html_message="<p>b</p>")
    django_mail.send_mass_mail([("send_mass_mail", "b", SENDER, ["ann@example.com"])])
    django_mail.mail_admins("mail_admins", "b")
    django_mail.mail_managers("mail_managers", "b")
    logging.getLogger("django.request").error("the site is down")  # Django's default: to the admins
    call_command("sendtestemail", "ann@example.com")
    EmailMessage("message", "b", SENDER, ["ann@example.com"], headers={"X-A": "1"}).send()
    message = EmailMultiAlternatives(
        "alternatives", "b", SENDER, ["ann@example.com"], reply_to=["bob@example.com"]
    )
    message.attach_alternative("<p>b</p>", "text/html")
    message.attach("a.txt", "text", "text/plain")
    message.attach("a.bin", b"\0", "application/octet-stream")
    message.attach("a.eml", EmailMessage("inner", "b", SENDER, ["ann@example.com"]), "message/rfc822")
    message.send()
    mail.send("ann@example.com", SENDER, subject="mail.send", message="b", html_message="<p>b</p>")


if __name__ == "__main__":
    call_command("check", "--fail-level", "WARNING")
    send()
    call_command("send_queued_mail")
