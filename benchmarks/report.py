"""Tables of what was measured: the median over the rounds, the spread, and the ratio in each round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(kw_only=True)
class Table:
    """One question, and the answers in each round.

    Attributes:
        rounds: By the name of what was measured, a value for each round.
        compared: The first is compared with each of the others.
        more_is_better: Speeds are, and spans of time are not.
        aims: By name, what is wanted: of the ratio where there is one.
        notes: What stands below the table.
    """

    title: str
    unit: str
    rounds: dict[str, list[float]] = field(default_factory=dict)
    compared: bool = True
    more_is_better: bool = True
    aims: Mapping[str, str] = field(default_factory=dict)
    # Of the column of ratios: what a number says.
    ratio: str = "times as fast"
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        self.rounds.setdefault(name, []).append(value)

    def ratios(self, name: str) -> list[float]:
        """Return in each round how many times as good as this the first one is."""
        first = next(iter(self.rounds.values()))
        pairs = zip(first, self.rounds[name], strict=True)
        return [ours / its if self.more_is_better else its / ours for ours, its in pairs]

    def lines(self) -> Iterator[str]:
        """Yield it in Markdown."""
        first = next(iter(self.rounds))
        heads = ["", "median", "spread"]
        heads += [f"{first} is … {self.ratio}"] if self.compared else []
        heads += ["aim"] if self.aims else []
        rows = []
        for name, values in self.rounds.items():
            cells = [name, number(median(values)), spread(values)]
            if self.compared:
                cells.append("" if name == first else ratio(self.ratios(name)))
            cells += [self.aims.get(name, "")] if self.aims else []
            rows.append(cells)
        yield from _markdown(f"**{self.title}**, {self.unit}", heads, rows, self.notes)


@dataclass(kw_only=True)
class Growth:
    """What the same work costs in two places.

    Attributes:
        places: What they are called.
        rounds: By the name of the work, a pair of costs for each round.
    """

    title: str
    unit: str
    places: tuple[str, str]
    aim: str
    rounds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, here: float, there: float) -> None:
        self.rounds.setdefault(name, []).append((here, there))

    def lines(self) -> Iterator[str]:
        """Yield it in Markdown."""
        rows = []
        for name, pairs in self.rounds.items():
            here, there = (median(values) for values in zip(*pairs, strict=True))
            ratios = [after / before for before, after in pairs]
            rows.append([name, number(here), number(there), ratio(ratios), self.aim])
        heads = ["", *self.places, "ratio", "aim"]
        yield from _markdown(f"**{self.title}**, {self.unit}", heads, rows, self.notes)


@dataclass(kw_only=True)
class Section:
    """What one benchmark found."""

    heading: str
    tables: Sequence[Table | Growth]

    def lines(self) -> Iterator[str]:
        yield f"### {self.heading}"
        for table in self.tables:
            yield ""
            yield from table.lines()


def _markdown(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> Iterator[str]:
    yield title
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    for note in notes:
        yield ""
        yield note


def number(value: float) -> str:
    """Return a number with about three digits that say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:.3f}"


def spread(values: Sequence[float]) -> str:
    return f"{number(min(values))}–{number(max(values))}"


def ratio(values: Sequence[float]) -> str:
    """Return the median of ratios, and between which they are."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"
