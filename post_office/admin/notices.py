"""What the overview says at its top: why mail that is due is not sent, and what nobody will ever send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ..conf import conf
from ..delivery import policies
from ..queue.brakes import EVERYTHING
from ..queue.figures import Figures
from .charts import capped
from .display import when

# A run by cron that ended in order so long ago is followed by another.
BETWEEN_RUNS = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One sentence. An alarm wants somebody to act; `query` finds the mails in question in the list."""

    text: str
    is_alarm: bool = True
    query: str = ""


def notices(found: Figures) -> Iterator[Notice]:
    """Yield what somebody should know at once; nothing where mail flows."""
    if conf.ENVIRONMENT and found.environment not in (None, conf.ENVIRONMENT):
        text = _(
            "The queue belongs to the environment %(owner)s, and this one is %(here)s: "
            "nothing is sent from here."
        )
        yield Notice(text=text % {"owner": found.environment, "here": conf.ENVIRONMENT})
    if (paused := found.brakes.states.get(EVERYTHING)) and paused.paused_at is not None:
        text = _("All mail is paused since %(time)s, by %(user)s.")
        yield Notice(text=text % {"time": when(paused.paused_at), "user": paused.paused_by or "?"})
    elif found.total.due and (said := _nobody_sends(found)):
        yield said
    yield from _orphans(found)


def _nobody_sends(found: Figures) -> Notice | None:
    """Say that mail is due and nobody is sending it, where it is so."""
    if not found.alive and not found.sending:
        return _no_dispatcher(found)
    waiting = [alias for alias in found.aliases if found.of_backend(alias).due]
    if waiting and not any(_may_send(found, alias) for alias in waiting):
        text = _("Mail is due, and nobody is sending it: its backends are paused or out of order.")
        return Notice(text=text, query="waiting=due")
    return None


def _no_dispatcher(found: Figures) -> Notice:
    silence = found.silence
    if silence is None:
        text = _(
            "Mail is due, and nobody is sending it: no dispatcher was ever seen. "
            "Start run_dispatcher, or send_queued_mail by cron."
        )
        return Notice(text=text, query="waiting=due")
    span = {"span": timesince(found.at - silence, found.at)}
    if silence < BETWEEN_RUNS and all(program.state == "ended" for program in found.programs):
        text = _("Mail is due. No dispatcher runs at this moment; the last one ended %(span)s ago.")
        return Notice(text=text % span, is_alarm=False, query="waiting=due")
    text = _("Mail is due, and nobody is sending it: the last dispatcher was seen %(span)s ago.")
    return Notice(text=text % span, query="waiting=due")


def _may_send(found: Figures, alias: str) -> bool:
    brakes = found.brakes
    if brakes.is_paused(alias) or not brakes.is_out_of_order(alias):
        return not brakes.is_paused(alias)
    fallback = policies.option(alias, "FALLBACK")
    return isinstance(fallback, str) and brakes.is_open(fallback)


def _orphans(found: Figures) -> Iterator[Notice]:
    for alias, number in found.orphaned.items():
        text = _(
            "Emails for the backend %(backend)s, which is not configured: %(number)s. Nobody will send them."
        )
        yield Notice(text=text % {"backend": alias, "number": capped(number)}, query="backend_alias=-")
    if found.without_status:
        text = _("Emails with an empty status: %(number)s. Nobody will send them.")
        yield Notice(text=text % {"number": capped(found.without_status)}, query="status__isnull=True")
    if found.unknown_priority:
        text = _("Emails with a priority that there is not: %(number)s. Nobody will send them.")
        yield Notice(text=text % {"number": capped(found.unknown_priority)})
