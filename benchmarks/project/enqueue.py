"""Queue mail in one way, and say how long it took: enqueue.py KIND NUMBER. Prints {"seconds": …, "mb": …}.

"mb" is by how much the process has grown.
"""

import json
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import django
import sample
from queue_mail import queue_mails, queue_messages

WARM_UP = 50


def main() -> None:
    kind, number = sys.argv[1], int(sys.argv[2])
    ways: dict[str, Any] = {
        "send_many": queue_mails,
        "send_messages": queue_messages,
        "bulk_create": bulk_create,
        "send": send,
        "create": create,
        "template": send_many_by_template,
        "stream": send_stream,
    }
    way = ways[kind]
    way(range(WARM_UP))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    way(range(WARM_UP, WARM_UP + number))
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": seconds, "mb": grown / 1024}))


def columns(number: int) -> dict[str, Any]:
    """Return what `send` puts into the row of this mail."""
    return {
        "from_email": sample.SENDER,
        "to": [sample.recipient(number)],
        "cc": [],
        "bcc": [],
        "subject": sample.subject(number),
        "message": sample.TEXT,
        "html_message": sample.HTML,
        "status": 2,
        "priority": 1,
        "message_id": f"<{uuid.uuid4()}@example.com>",
        "backend_alias": "",
        "on_unknown": "resend",
    }


def arguments(number: int) -> dict[str, Any]:
    return {
        "recipients": [sample.recipient(number)],
        "sender": sample.SENDER,
        "subject": sample.subject(number),
        "message": sample.TEXT,
        "html_message": sample.HTML,
    }


def bulk_create(numbers: range) -> None:
    from post_office.models import Email

    Email.objects.bulk_create([Email(**columns(number)) for number in numbers])


def create(numbers: range) -> None:
    from post_office.models import Email

    for number in numbers:
        Email.objects.create(**columns(number))


def send(numbers: range) -> None:
    from post_office import mail

    for number in numbers:
        mail.send(**arguments(number))


def send_many_by_template(numbers: range) -> None:
    from post_office import mail
    from post_office.models import EmailTemplate

    EmailTemplate.objects.get_or_create(
        name="parcel",
        defaults={
            "subject": "Parcel {{ number }} is on its way",
            "content": sample.TEXT + "{{ name }}",
            "html_content": sample.HTML + "<p>{{ name }}</p>",
        },
    )
    mail.send_many(
        [
            {
                "recipients": [sample.recipient(number)],
                "sender": sample.SENDER,
                "template": "parcel",
                "context": {"number": number, "name": f"Customer {number}"},
            }
            for number in numbers
        ]
    )


def send_stream(numbers: range) -> None:
    from post_office import mail

    def stream() -> Iterator[dict[str, Any]]:
        return (arguments(number) for number in numbers)

    mail.send_stream(stream())


if __name__ == "__main__":
    django.setup()
    main()
