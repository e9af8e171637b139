"""The table of likeness, and the note that explains each difference that is left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

NOTES = Path(__file__).with_name("likeness_notes.yaml")
LEAST: Mapping[str, float] = {"reasons": 0.95, "messages": 0.90}
"""The shares that must be reached, found as well as right."""


@dataclass(slots=True)
class Score:
    """Agreement of one kind of output.

    Attributes:
        both, only_real, only_world: what was printed by both, by the real cluster or by the world alone.
    """

    both: Counter[str] = field(default_factory=Counter)
    only_real: Counter[str] = field(default_factory=Counter)
    only_world: Counter[str] = field(default_factory=Counter)

    def add(self, real: Iterable[str], world: Iterable[str], *, precise: bool = True) -> None:
        """Compare two sets; without `precise`, what only the world has does not count."""
        ours, theirs = set(world), set(real)
        self.both.update(theirs & ours)
        self.only_real.update(theirs - ours)
        if precise:
            self.only_world.update(ours - theirs)

    def merge(self, other: Score) -> None:
        """Add another score."""
        self.both += other.both
        self.only_real += other.only_real
        self.only_world += other.only_world

    @property
    def recall(self) -> float:
        """Share of what the real cluster printed that the world printed too."""
        total = self.both.total() + self.only_real.total()
        return self.both.total() / total if total else 1.0

    @property
    def precision(self) -> float:
        """Share of what the world printed that the real cluster printed too."""
        total = self.both.total() + self.only_world.total()
        return self.both.total() / total if total else 1.0


@dataclass(slots=True)
class Comparison:
    """Agreement of one fault type."""

    reasons: Score = field(default_factory=Score)
    shapes: Score = field(default_factory=Score)
    rows: Score = field(default_factory=Score)
    states: Score = field(default_factory=Score)

    def parts(self) -> dict[str, Score]:
        """The four scores by name."""
        return {
            "reasons": self.reasons,
            "messages": self.shapes,
            "rows": self.rows,
            "states": self.states,
        }

    def merge(self, other: Comparison) -> None:
        """Add another one."""
        theirs = other.parts()
        for name, score in self.parts().items():
            score.merge(theirs[name])


@dataclass(frozen=True, slots=True)
class Note:
    """Why some differences of a fault are there.

    Attributes:
        fault: its name; `*` for all.
        why: `defect` (of the world), `unknowable` (from what was recorded) or `noise` (of that cluster).
        lines: a regular expression; the differences that it is found in are explained by this note.
        note: one plain line.
    """

    fault: str
    why: str
    lines: re.Pattern[str]
    note: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that only one of the two printed; `who` is `real` or `world`."""

    fault: str
    part: str
    who: str
    text: str
    count: int


def read_notes(path: Path = NOTES) -> list[Note]:
    """The notes of a file, in its order."""
    found = yaml.safe_load(path.read_text("utf-8"))["differences"]
    return [Note(item["fault"], item["why"], re.compile(item["lines"]), item["note"]) for item in found]


def differences_of(by_fault: Mapping[str, Comparison]) -> Iterator[Difference]:
    """All differences, by fault."""
    for fault, result in sorted(by_fault.items()):
        for part, score in result.parts().items():
            for who, counter in (("real", score.only_real), ("world", score.only_world)):
                for text, count in counter.most_common():
                    yield Difference(fault, part, who, text, count)


def explain(found: Iterable[Difference], notes: list[Note]) -> dict[Note | None, list[Difference]]:
    """The differences by the first note that explains them; those of None are unexplained."""
    out: dict[Note | None, list[Difference]] = {}
    for item in found:
        line = f"{item.who}: {item.text}"
        fitting = (note for note in notes if note.fault in {"*", item.fault} and note.lines.search(line))
        out.setdefault(next(fitting, None), []).append(item)
    return out


def missed(total: Comparison) -> list[str]:
    """Which totals are below what must be reached, each as a line."""
    out = []
    for part, least in LEAST.items():
        score = total.parts()[part]
        for what, value in (("found", score.recall), ("right", score.precision)):
            if value < least:
                out.append(f"{part} {what}: {100 * value:.1f} % of {100 * least:.0f} %")
    return out


def report(by_fault: Mapping[str, Comparison], *, differences: bool) -> bool:
    """Print the table, the notes on what differs and, if wished, each difference; whether it is enough."""
    total = Comparison()
    for result in by_fault.values():
        total.merge(result)
    heads = [f"{name} {what}" for name in total.parts() for what in ("found", "right")]
    lines = [_line(fault, result) for fault, result in sorted(by_fault.items())]
    _print(["fault", *heads], [*lines, _line("all", total)])
    _print_notes(explain(differences_of(by_fault), read_notes()))
    if differences:
        print("\n### Every difference\n")
        for item in differences_of(by_fault):
            print(f"- {item.fault}, {item.part}, only the {item.who}, {item.count}x: {item.text}")
    short = missed(total)
    for line in short:
        print(f"\nToo little: {line}")
    return not short


def _line(name: str, result: Comparison) -> list[str]:
    shares = [value for score in result.parts().values() for value in (score.recall, score.precision)]
    return [name, *(f"{100 * value:.0f}" for value in shares)]


def _print(heads: list[str], lines: list[list[str]]) -> None:
    print("\n### Likeness to a real cluster, in per cent\n")
    widths = [max(len(line[index]) for line in [heads, *lines]) for index in range(len(heads))]
    for line in [heads, ["-" * width for width in widths], *lines]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


def _print_notes(explained: Mapping[Note | None, list[Difference]]) -> None:
    print("\n### What differs, and why\n")
    for note, found in explained.items():
        if note is not None:
            faults = sorted({item.fault for item in found})
            count = sum(item.count for item in found)
            print(f"- {', '.join(faults)} ({count} lines, {note.why}): {note.note}")
    for item in explained.get(None, ()):
        print(f"- UNEXPLAINED: {item.fault}, {item.part}, only the {item.who}, {item.count}x: {item.text}")
