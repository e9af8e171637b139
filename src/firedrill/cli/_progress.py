"""How a run goes, on standard error: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from firedrill.core.episode import EpisodeRecord
from firedrill.core.grade import Grade

_LINE_SECONDS = 10.0


@dataclass
class _Tally:
    """One agent's episodes of this program's life."""

    name: str
    planned: int
    done: int
    count: int = 0
    total: float = 0.0
    cost: float | None = None
    lost: int = 0

    def add(self, record: EpisodeRecord, grade: Grade | None) -> None:
        self.done += 1
        if record.usage.cost is not None:
            self.cost = (self.cost or 0.0) + record.usage.cost
        if record.outcome.counts:
            self.count += 1
            self.total += 0.0 if grade is None else grade.score
        else:
            self.lost += 1

    def words(self) -> str:
        parts = [f"mean {self.total / self.count:.3f}" if self.count else "no score yet"]
        if self.cost is not None:
            parts.append(f"${self.cost:.2f}")
        if self.lost:
            parts.append(f"{self.lost} failed through us")
        return " ".join(parts)


class Display(Protocol):
    """A progress that is shown between entering and leaving it."""

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        """See :class:`firedrill.runner.Progress`."""

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        """See :class:`firedrill.runner.Progress`."""

    def note(self, text: str) -> None:
        """See :class:`firedrill.runner.Progress`."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Quiet:
    """Says only what a person should know."""

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Nothing."""

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Print it."""
        sys.stderr.write(f"note: {text}\n")

    def __enter__(self) -> Quiet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Lines(Quiet):
    """A line now and then, for logs and pipes."""

    def __init__(self, seconds: float = _LINE_SECONDS) -> None:
        self._seconds = seconds
        self._tallies: dict[str, _Tally] = {}
        self._started = self._last = time.monotonic()
        self._before = 0

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Say what there is to do."""
        self._tallies = {name: _Tally(name, count, done.get(name, 0)) for name, count in planned.items()}
        self._started = self._last = time.monotonic()
        self._before = sum(done.values())
        sys.stderr.write(f"episodes to go: {sum(planned.values()) - self._before}\n")

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        """Count it."""
        self._tallies[record.agent].add(record, grade)
        now = time.monotonic()
        if now - self._last >= self._seconds or self._done() == self._planned():
            self._last = now
            means = "; ".join(f"{tally.name} {tally.words()}" for tally in self._tallies.values())
            sys.stderr.write(f"{self._done()}/{self._planned()} episodes; {self._left(now)}; {means}\n")
            sys.stderr.flush()

    def _done(self) -> int:
        return sum(tally.done for tally in self._tallies.values())

    def _planned(self) -> int:
        return sum(tally.planned for tally in self._tallies.values())

    def _left(self, now: float) -> str:
        seconds = (now - self._started) / max(1, self._done() - self._before)
        left = seconds * (self._planned() - self._done())
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


class Bars:
    """A bar for each agent, with its mean so far, its cost and the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tallies: dict[str, tuple[TaskID, _Tally]] = {}

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Draw the bars."""
        for name, count in planned.items():
            task = self._progress.add_task(escape(name), total=count, completed=done.get(name, 0), words="")
            self._tallies[name] = (task, _Tally(name, count, done.get(name, 0)))

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        """Move a bar."""
        task, tally = self._tallies[record.agent]
        tally.add(record, grade)
        self._progress.update(task, completed=tally.done, words=tally.words())

    def note(self, text: str) -> None:
        """Print it above the bars."""
        self._progress.console.print(text, style="yellow", markup=False, highlight=False)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def display(quiet: bool, *, lines: bool = False) -> Display:
    """How this program shows the progress of a run.

    Args:
        quiet: not at all.
        lines: never by bars, which draw over what else is written.
    """
    if quiet:
        return Quiet()
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal and not lines else Lines()
