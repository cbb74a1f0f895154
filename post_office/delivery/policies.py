"""What a project says of one backend beside how to reach it: keys of its entry in BACKENDS, or in POLICIES.

They are post_office's own and never reach the backend, whose arguments are in OPTIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ages
from ..aliases import default_alias
from ..conf import conf
from ..enums import UNKNOWN_POLICIES
from ..exceptions import InvalidRate
from ..queue.rates import Rate, parse_rates
from ..queue.retry import RetryPolicy

if TYPE_CHECKING:
    from ..models import Email


def _parse_domain_rates(given: Any) -> dict[str, tuple[Rate, ...]]:
    if not isinstance(given, Mapping):
        raise InvalidRate(given, "one for each domain, such as {'gmail.com': '20/s', '*': '50/s'}")
    return {domain.lower(): parse_rates(rate) for domain, rate in given.items()}


def _refusal(parse: Callable[[Any], Any], value: Any) -> str:
    try:
        parse(value)
    except InvalidRate as fault:
        return f"cannot be read: {str(fault).rstrip('.')}"
    return ""


# The keys, each with what is wrong with a value; an empty string where nothing is.
REFUSALS: dict[str, Any] = {
    "FALLBACK": lambda value: "" if isinstance(value, str) else "is no alias",
    "UNKNOWN": lambda value: "" if value in UNKNOWN_POLICIES else f"is none of {UNKNOWN_POLICIES}",
    "RATE": partial(_refusal, parse_rates),
    "DOMAIN_RATE": partial(_refusal, _parse_domain_rates),
    "MAX_RETRIES": lambda value: "" if type(value) is int and value >= 0 else "is not 0 or more",
    "MAX_AGE": lambda value: "" if isinstance(value, timedelta) else "is no timedelta",
    "MAX_CONNECTIONS": lambda value: "" if type(value) is int and value > 0 else "is not 1 or more",
    "MAX_MESSAGES": lambda value: "" if type(value) is int and value > 0 else "is not 1 or more",
    "MAX_CONNECTION_AGE": lambda value: "" if isinstance(value, timedelta) else "is no timedelta",
    "IDLE_TIMEOUT": lambda value: "" if isinstance(value, timedelta) else "is no timedelta",
}


def option(alias: str, key: str) -> Any:
    """Return what is said of a backend under a key; None where nothing is."""
    for entries in (conf.BACKENDS, conf.POLICIES):
        entry = entries.get(alias)
        # The type of most is known at once.
        if (type(entry) is dict or isinstance(entry, Mapping)) and key in entry:
            return entry[key]
    return None


def mistakes() -> Iterator[str]:
    """Yield what is said of backends that cannot be meant, a sentence each."""
    for setting, entries in (("BACKENDS", conf.BACKENDS), ("POLICIES", conf.POLICIES)):
        not_ours = {"BACKEND", "OPTIONS"} if setting == "BACKENDS" else set()
        for alias, entry in entries.items():
            for key, value in entry.items() if isinstance(entry, Mapping) else ():
                place = f"POST_OFFICE[{setting!r}][{alias!r}]"
                if key not in REFUSALS and key not in not_ours:
                    yield f"{place} has the key {key!r}, which nothing reads."
                elif key in REFUSALS and value is not None and (wrong := REFUSALS[key](value)):
                    yield f"{place}[{key!r}]: {value!r} {wrong}."


def on_unknown(stored: str) -> str:
    """Return what becomes of mail when its delivery is unknown, by what it has as its alias: "" for none."""
    if not _is_said("UNKNOWN"):  # by hardly any project, and this is asked for each mail
        return conf.UNKNOWN
    return str(option(stored or default_alias(), "UNKNOWN") or conf.UNKNOWN)


def _is_said(*keys: str) -> bool:
    """Return whether anything is said of any backend under one of these keys."""
    entries = (*conf.BACKENDS.values(), *conf.POLICIES.values())
    return any(
        not entry.keys().isdisjoint(keys)
        for entry in entries
        if type(entry) is dict or isinstance(entry, Mapping)
    )


def last_moment(email: Email) -> datetime | None:
    """Return when a mail is too old to be sent; None where it never is."""
    greatest = ages.greatest(email.backend_alias)
    if greatest is None:
        return email.expires_at
    too_old = (email.first_due_at or email.scheduled_time or email.created) + greatest
    return min(too_old, email.expires_at) if email.expires_at else too_old


def retry_policy(email: Email, alias: str) -> RetryPolicy:
    """Return how often a mail is tried again, and when: as it says itself, its backend or the settings."""
    said = (email.max_retries, option(alias, "MAX_RETRIES"), conf.MAX_RETRIES)
    return RetryPolicy(
        retries=next((retries for retries in said if retries is not None), None),
        interval=conf.RETRY_INTERVAL,
        backoff=conf.RETRY_BACKOFF,
        longest=conf.RETRY_MAX_INTERVAL,
    )


def any_rates() -> bool:
    """Return whether any backend has a rate limit."""
    return _is_said("RATE", "DOMAIN_RATE")


def rates(alias: str) -> tuple[Rate, ...]:
    """Return the rate limits of a backend.

    Raises:
        InvalidRate: What is written there is none.
    """
    return parse_rates(option(alias, "RATE"))


def domain_rates(alias: str) -> dict[str, tuple[Rate, ...]]:
    """Return the rate limits of a backend by recipient domain; "*" is for each of the others.

    Raises:
        InvalidRate: What is written there is none.
    """
    return _parse_domain_rates(option(alias, "DOMAIN_RATE") or {})
