"""Put mail into a system's queue by its public functions: queue_mail.py NUMBER. Prints {"seconds": …}."""

import json
import sys
import time

import django
import sample
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection

# So many at once: memory stays small, and each system has its chance to write many rows by one query.
AT_ONCE = 4000


def main() -> None:
    number = int(sys.argv[1])
    queue = queue_messages if settings.SYSTEM == "mailer" else queue_mails
    start = time.perf_counter()
    for first in range(0, number, AT_ONCE):
        queue(range(first, min(first + AT_ONCE, number)))
    seconds = time.perf_counter() - start
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Now rather than by the server's housekeeping in the middle of what is measured next.
            cursor.execute("VACUUM ANALYZE")
    print(json.dumps({"seconds": seconds}))


def queue_mails(numbers: range) -> None:
    from post_office import mail

    mail.send_many(
        [
            {
                "recipients": [sample.recipient(number)],
                "sender": sample.SENDER,
                "subject": sample.subject(number),
                "message": sample.TEXT,
                "html_message": sample.HTML,
            }
            for number in numbers
        ]
    )


def queue_messages(numbers: range) -> None:
    messages = []
    for number in numbers:
        message = EmailMultiAlternatives(
            sample.subject(number), sample.TEXT, sample.SENDER, [sample.recipient(number)]
        )
        message.attach_alternative(sample.HTML, "text/html")
        messages.append(message)
    get_connection().send_messages(messages)


if __name__ == "__main__":
    django.setup()
    main()
