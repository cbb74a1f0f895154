import random
from datetime import datetime, timedelta, timezone

import pytest

from post_office.queue.retry import JITTER, RETRIES_BY_DEFAULT, RetryPolicy

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def policy(**changes: object) -> RetryPolicy:
    fields: dict[str, object] = {"retries": 3, "interval": MINUTE, "backoff": 2, "longest": 10 * MINUTE}
    return RetryPolicy(**{**fields, **changes})  # type: ignore[arg-type]


class NoChance(random.Random):
    """A source of chance that always says the least."""

    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("retries", "so_far", "allowed"),
    [
        (0, 0, False),  # never
        (3, 2, True),
        (3, 3, False),
        (None, RETRIES_BY_DEFAULT - 1, True),  # unset
        (None, RETRIES_BY_DEFAULT, False),
    ],
)
def test_retries_are_counted(retries: int | None, so_far: int, allowed: bool) -> None:
    assert policy(retries=retries).allows(so_far) is allowed


@pytest.mark.parametrize(
    ("backoff", "so_far", "minutes"),
    [
        (2, 0, 1),
        (2, 1, 2),
        (2, 3, 8),
        (2, 4, 10),  # capped
        (2, 5000, 10),  # a power that no float holds
        (1, 4, 1),  # constant
    ],
)
def test_intervals_grow_up_to_the_longest(backoff: float, so_far: int, minutes: int) -> None:
    assert policy(backoff=backoff).delay(so_far, NoChance()) == minutes * MINUTE


def test_a_first_interval_beyond_the_longest_is_kept() -> None:
    assert policy(interval=60 * MINUTE).delay(0, NoChance()) == 60 * MINUTE


def test_mails_that_failed_together_come_back_apart() -> None:
    rng = random.Random(1)
    delays = [policy().delay(0, rng) for _ in range(100)]
    assert len(set(delays)) == 100
    assert min(delays) >= MINUTE
    assert max(delays) <= MINUTE * (1 + JITTER)


@pytest.mark.parametrize(
    ("expires_in", "after", "tries_in"),
    [
        (None, None, 1),
        (5, None, 1),
        (None, 7, 7),  # the server names a longer time
        (None, 0.1, 1),  # or a shorter one
        (1, None, None),  # not at or past its expiry
        (5, 7, None),
    ],
)
def test_the_next_try_is_before_expiry_and_after_what_the_server_asks(
    expires_in: int | None, after: float | None, tries_in: int | None
) -> None:
    at = policy().next_try(
        0,
        now=NOW,
        expires_at=NOW + expires_in * MINUTE if expires_in else None,
        after=after * MINUTE if after else None,
        rng=NoChance(),
    )
    assert at == (NOW + tries_in * MINUTE if tries_in else None)
