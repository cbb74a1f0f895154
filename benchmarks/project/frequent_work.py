"""What is done often, on the table that is there: frequent_work.py [plans].

Prints {name: milliseconds}, the median of some tries; or how the database finds the rows for each.
"""

import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import StringIO
from urllib.parse import urlencode

import django
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

TRIES = 15
CLAIM = 100


class Claiming:
    """Claims CLAIM mails each time, and gives them back in between."""

    def __init__(self) -> None:
        from post_office.queue import claims, liveness

        self.worker = liveness.register(timezone.now())
        self.claimer = claims.Claimer(self.worker)

    def __call__(self) -> None:
        self.claimer.in_company = False
        claimed = self.claimer.claim(CLAIM, ["", "default"], timezone.now())
        assert len(claimed) == CLAIM, f"{len(claimed)} mails were claimed"

    def give_back(self) -> None:
        from post_office.models import Email

        held = Email.objects.filter(worker=self.worker)
        held.update(worker=None, claimed_at=None, claims=0)


def frequent_work() -> dict[str, Callable[[], object]]:
    """Return it by name."""
    work: dict[str, Callable[[], object]] = {
        f"a claim of {CLAIM}": Claiming(),
        "`mail_status`, its start left out": lambda: call_command("mail_status", stdout=StringIO()),
    }
    client = staff()
    pages = {
        "the health view": "post_office_health",
        "the admin's list": "admin:post_office_email_changelist",
        "the admin's overview": "admin:post_office_overview",
    }
    for name, view in pages.items():
        try:
            path = reverse(view)
        except NoReverseMatch:
            continue
        work[name] = lambda path=path: visit(client, path)
    listing = reverse("admin:post_office_email_changelist")
    for name, query in searches().items():
        work[name] = lambda query=query: visit(client, f"{listing}?{urlencode(query)}")
    return work


def searches() -> dict[str, dict[str, str]]:
    """Return what is asked of the admin's list, by name."""
    return {
        "its search for a recipient": {"q": "reader177@example.com"},
        "its search for a Message-ID": {"q": "<177@shop>"},
        "what failed in it, which is nothing": {"status__exact": "1"},
        "what is urgent in it, which is nothing": {"priority": "3"},
    }


def staff() -> Client:
    from django.contrib.auth.models import User

    user, _ = User.objects.get_or_create(username="staff", is_staff=True, is_superuser=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def visit(client: Client, path: str) -> None:
    response = client.get(path)
    # 503 is the health view's word for a queue in which mail waits for long.
    assert response.status_code in (200, 503), f"{path}: {response.status_code}"


def milliseconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(TRIES):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
        if isinstance(work, Claiming):
            work.give_back()
    return statistics.median(taken)


# --- plans ------------------------------------------------------------------------------------


def plans(work: Callable[[], object]) -> Iterator[str]:
    """Yield how the rows are found for each statement about the table of emails, the same ones once."""
    seen: list[tuple[str, object]] = []

    def note(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        if "post_office_email" in sql and sql.startswith(("SELECT", "UPDATE")):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        work()
    told = set()
    for sql, params in seen:
        lines = [f"{number} × {line}" if number > 1 else line for line, number in explained(sql, params)]
        said = "\n".join([f"  {abridged(sql)}", *(f"      {line}" for line in lines)])
        if said not in told:
            told.add(said)
            yield said


def abridged(sql: str) -> str:
    sql = re.sub(r'["`]|post_office_email\.|\bU0\.', "", sql)
    sql = re.sub(r"^SELECT .* FROM (?=post_office_email )", "SELECT … FROM ", sql)
    return sql if len(sql) < 200 else f"{sql[:100]} … {sql[-80:]}"


def explained(sql: str, params: object) -> list[tuple[str, int]]:
    """Return the lines of a plan that name the table or sort, and how often they are there."""
    vendor = connection.vendor
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN (COSTS OFF)"}.get(vendor, "EXPLAIN")
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params)
        rows = cursor.fetchall()
    if vendor == "mysql":
        # id, select_type, table, type, possible_keys, key, key_len, ref, rows, Extra
        lines = [" ".join(map(str, (row[2], row[3], row[5], row[9]))) for row in rows]
    else:
        lines = [re.sub(r"^[\s>-]+", "", str(row[-1])) for row in rows]
        lines = [re.sub(r"(post_office_email|\"?U0)_\d+\"?$", r"\1", line) for line in lines]
        wanted = re.compile(r"post_office_email|\bU0\b|^Sort$|B-TREE")
        lines = [line for line in lines if wanted.search(line) and ":" not in line]
    return list(Counter(lines).items())


def main() -> None:
    try:
        if sys.argv[1:] == ["plans"]:
            for name, work in frequent_work().items():
                print(name, *plans(work), "", sep="\n")
                if isinstance(work, Claiming):
                    work.give_back()
        else:
            print(json.dumps({name: milliseconds(work) for name, work in frequent_work().items()}))
    finally:
        from post_office.models import Worker

        Worker.objects.all().delete()


if __name__ == "__main__":
    django.setup()
    main()
