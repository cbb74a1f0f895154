"""Charts of what was sent and failed, as the numbers that a template draws an SVG of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import timezone as time_zones

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from ..queue.depth import MANY
from ..queue.tallies import Tallied
from ..slots import LENGTH, slot_of, slots_in

# Of the drawing, in its own units.
WIDTH, HEIGHT = 400, 100
GAP = 0.2
# What happened at all is to be seen.
LEAST = 2.0


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time that a chart shows, in bars of one width."""

    name: str
    title: str
    bars: int
    width: timedelta
    # How the time of a bar is written, by a format of Django's.
    clock: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What became of mail in one part of the time: how it is drawn, and what it says."""

    x: str
    width: str
    sent_y: str
    sent_height: str
    failed_y: str
    failed_height: str
    label: str
    sent: int
    failed: int

    @property
    def is_empty(self) -> bool:
        return not self.sent and not self.failed


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart: its bars, and what it says in words."""

    span: Span
    bars: Sequence[Bar]
    sent: int
    failed: int
    most: int

    @property
    def summary(self) -> str:
        minutes = self.span.bars * self.span.width / timedelta(minutes=1)
        return _("%(sent)s sent, %(failed)s failed; %(rate)s a minute") % {
            "sent": grouped(self.sent),
            "failed": grouped(self.failed),
            "rate": number_format(self.sent / minutes, decimal_pos=1, force_grouping=True),
        }

    @property
    def scale(self) -> str:
        return grouped(self.most)

    @property
    def first(self) -> str:
        return self.bars[0].label

    @property
    def middle(self) -> str:
        return self.bars[len(self.bars) // 2].label


def spans() -> list[Span]:
    """Return the times that are shown, in the reader's language."""
    return [
        Span(name="hour", title=_("The last hour"), bars=12, width=LENGTH, clock="TIME_FORMAT"),
        Span(name="day", title=_("The last day"), bars=24, width=timedelta(hours=1), clock="TIME_FORMAT"),
        Span(name="week", title=_("The last week"), bars=28, width=timedelta(hours=6), clock="D TIME_FORMAT"),
    ]


def beginning(span: Span, now: datetime) -> datetime:
    """Return when the first bar begins: bars stand on the clock of the reader, and the last holds now."""
    today = midnight(now)
    # Between two moments of one time zone it is its clock that counts, also over an hour that is put forward.
    start = today + ((_local(now) - today) // span.width + 1) * span.width
    start = start.astimezone(time_zones.utc) if timezone.is_aware(start) else start
    return start - span.bars * span.width


def midnight(now: datetime) -> datetime:
    """Return when the day of the reader began."""
    return _local(now).replace(hour=0, minute=0, second=0, microsecond=0)


def draw(span: Span, tallied: Iterable[Tallied], now: datetime) -> Chart:
    """Return the chart of a time that ends now."""
    start = beginning(span, now)
    sent, failed = [0] * span.bars, [0] * span.bars
    for slot in tallied:
        number = (slot.slot - slot_of(start)) // slots_in(span.width)
        if 0 <= number < span.bars:
            sent[number] += slot.sent
            failed[number] += slot.failed
    most = max(good + bad for good, bad in zip(sent, failed, strict=True))
    bars = [_bar(span, start, number, sent[number], failed[number], most) for number in range(span.bars)]
    return Chart(span=span, bars=bars, sent=sum(sent), failed=sum(failed), most=most)


def grouped(number: int) -> str:
    """Return a number as the reader writes it."""
    return number_format(number, force_grouping=True)


def capped(number: int, most: int = MANY) -> str:
    """Return the same of a number that may not have been counted to its end."""
    return grouped(number) if number < most else f"{grouped(most - 1)}+"


def _bar(span: Span, start: datetime, number: int, sent: int, failed: int, most: int) -> Bar:
    step = WIDTH / span.bars
    good, bad = _height(sent, most), _height(failed, most)
    begins = _local(start + number * span.width)
    return Bar(
        # SVG has the decimal point of no language.
        x=f"{(number + GAP / 2) * step:.2f}",
        width=f"{step * (1 - GAP):.2f}",
        sent_y=f"{HEIGHT - good:.2f}",
        sent_height=f"{good:.2f}",
        failed_y=f"{HEIGHT - good - bad:.2f}",
        failed_height=f"{bad:.2f}",
        label=" ".join(date_format(begins, part) for part in span.clock.split()),
        sent=sent,
        failed=failed,
    )


def _height(number: int, most: int) -> float:
    # Two bars of which both have the least height stay within the drawing.
    return max(number / most * (HEIGHT - LEAST), LEAST) if number else 0.0


def _local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment
