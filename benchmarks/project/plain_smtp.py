"""What is possible without a queue: plain_smtp.py bytes|messages NUMBER PROCESSES THREADS.

Each thread has a connection of smtplib's. "bytes" sends the same ready message each time; "messages" makes
each by Django's EmailMessage first, as a project without a queue does.
"""

import smtplib
import sys
import threading
from multiprocessing import get_context

import django
import sample
from django.conf import settings
from django.core.mail import EmailMultiAlternatives


def message(number: int) -> EmailMultiAlternatives:
    made = EmailMultiAlternatives(
        sample.subject(number), sample.TEXT, sample.SENDER, [sample.recipient(number)]
    )
    made.attach_alternative(sample.HTML, "text/html")
    return made


def send_bytes(server: smtplib.SMTP, number: int, ready: bytes) -> None:
    server.sendmail("shop@example.com", [sample.recipient(number)], ready)


def send_message(server: smtplib.SMTP, number: int, ready: bytes) -> None:
    made = message(number).message()
    if django.VERSION >= (6, 0):
        data = made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
    else:
        data = made.as_bytes(linesep="\r\n")
    server.sendmail("shop@example.com", [sample.recipient(number)], data)


def process(kind: str, number: int, threads: int) -> None:
    send = {"bytes": send_bytes, "messages": send_message}[kind]
    ready = message(0).message().as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def work(own: int) -> None:
        server = smtplib.SMTP(settings.EMAIL_HOST, settings.EMAIL_PORT)
        for index in range(own):
            send(server, index, ready)
        server.quit()

    workers = [threading.Thread(target=work, args=(number // threads,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main() -> None:
    kind, number, processes, threads = sys.argv[1], *map(int, sys.argv[2:5])
    # fork: quick to start, and nothing of this program's runs yet.
    children = [
        get_context("fork").Process(target=process, args=(kind, number // processes, threads))
        for _ in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()


if __name__ == "__main__":
    django.setup()
    main()
