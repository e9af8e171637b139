"""Runs queries over a source of lines.

Nothing is stored between queries. A source is read in windows of time, all streams of one window together, so
that one that makes its lines on reading makes each tick once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.logs.entries import Entry, Source, Stream
from firedrill.world.telemetry.logs.logql import nodes, ranges, vectors, words
from firedrill.world.telemetry.logs.logql.errors import LimitError, LogQLError, PipelineError
from firedrill.world.telemetry.logs.logql.filters import label_test, line_test
from firedrill.world.telemetry.logs.logql.labels import DETAILS, ERROR, LEVEL, LineLabels
from firedrill.world.telemetry.logs.logql.matrix import Labels, Matrix, Scalar
from firedrill.world.telemetry.logs.logql.parser import parse
from firedrill.world.telemetry.logs.logql.pipeline import Line, Pipeline, selected
from firedrill.world.telemetry.logs.logql.units import SECOND, go_duration, humanized_bytes, number

Steps = NDArray[np.int64]
_WINDOW = 60 * SECOND
_WIDEST = 300 * SECOND
_UNWRAP = "SampleExtractionErr"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may ask for.

    Attributes:
        read: most lines that it reads.
        series: most series of a result.
    """

    read: int = 1_000_000
    series: int = 500


@dataclass(slots=True)
class Stats:
    """What a query has read."""

    lines: int = 0
    bytes: int = 0
    streams: int = 0
    kept: int = 0


class Found(NamedTuple):
    """A line of a result with all that is known of it."""

    at: int
    text: str
    labels: Labels
    known: LineLabels


@dataclass(slots=True)
class Engine:
    """Answers queries over one source.

    Attributes:
        source: of the lines.
        now: moment of asking, in ns; only templates see it.
        limits: what a query may ask for.
        stats: what the queries so far have read.
    """

    source: Source
    now: int = 0
    limits: Limits = field(default_factory=Limits)
    stats: Stats = field(default_factory=Stats)

    def logs(
        self,
        query: nodes.Selector,
        start: int,
        end: int,
        limit: int = 100,
        *,
        backward: bool = True,
        interval: int = 0,
    ) -> list[Found]:
        """Lines in [start, end), newest first unless told otherwise.

        Args:
            query: the parsed query.
            start, end: in ns.
            limit: most lines; the newest ones (or the oldest).
            backward: newest first.
            interval: of lines of one stream, least time between them, in ns.

        Raises:
            LogQLError: it reads more than the limits allow.
        """
        pipeline = Pipeline(query.stages, self.now)
        out: list[Found] = []
        last: dict[Labels, int] = {}
        start, end = self._clamped(query, start, end)
        for low, high in _windows(start, end, backward=backward):
            here: list[Found] = []
            for line, _ in self._lines(query, pipeline, low, high):
                here.append(Found(line.at, line.text, line.labels.key(), line.labels))
            here.sort(key=lambda one: one.at)
            if backward:
                here.reverse()
            for one in here:
                if interval and one.labels in last and abs(one.at - last[one.labels]) < interval:
                    continue
                last[one.labels] = one.at
                out.append(one)
                if len(out) >= limit:
                    return out
        return out

    def metric(self, query: nodes.Metric, start: int, end: int, step: int) -> Matrix | Scalar:
        """The value of a metric query at start, start + step, …, end.

        Raises:
            LogQLError: it cannot be had.
        """
        steps = np.arange(start, end + 1, step, dtype=np.int64)
        found = self._metric(query, steps)
        if isinstance(found, Matrix) and len(found.labels) > self.limits.series:
            raise LimitError(
                f"maximum number of series ({self.limits.series}) reached for a single query; consider"
                " reducing query cardinality by adding more specific stream selectors, reducing the time"
                " range, or aggregating results with functions like sum(), count() or topk()"
            )
        return found

    def streams(self, matchers: Sequence[nodes.Matcher], start: int, end: int) -> list[Stream]:
        """The streams that are selected and may have lines in [start, end)."""
        chosen = tuple(matchers)
        return [item for item in self.source.streams(start, end) if selected(chosen, item.labels)]

    def _clamped(self, query: nodes.Selector, start: int, end: int) -> tuple[int, int]:
        """The part of a time in which the selected streams may have lines."""
        found = self.streams(query.matchers, start, end)
        if not found:
            return start, start
        return max(start, min(item.first for item in found)), min(end, max(item.last for item in found) + 1)

    def _stretches(self, query: nodes.RangeAggregation, steps: Steps) -> Iterator[tuple[int, int]]:
        """The times that a range query reads: all, or where its steps are far apart only what counts."""
        ends = (steps - query.offset + 1).tolist()
        apart = len(steps) > 1 and int(steps[1] - steps[0]) > query.range
        for first, last in [(one, one) for one in ends] if apart else [(ends[0], ends[-1])] if ends else []:
            low, high = self._clamped(query.selector, first - query.range, last)
            yield from _windows(low, high, backward=False, width=_WIDEST)

    def _lines(
        self, query: nodes.Selector, pipeline: Pipeline, start: int, end: int
    ) -> Iterator[tuple[Line, Stream]]:
        for stream in self.streams(query.matchers, start, end):
            labels = dict(stream.labels)
            for entry in self._read(stream, start, end):
                line = pipeline.run(entry, labels)
                if line is not None:
                    self.stats.kept += 1
                    yield line, stream

    def _read(self, stream: Stream, start: int, end: int) -> Sequence[Entry]:
        entries = self.source.read(stream, start, end)
        self.stats.lines += len(entries)
        self.stats.streams += 1
        self.stats.bytes += sum(len(entry.text) for entry in entries)
        if self.stats.lines > self.limits.read:
            raise LimitError(
                "the query would read too many bytes; add more specific selectors or a shorter range"
            )
        return entries

    def _metric(self, query: nodes.Metric, steps: Steps) -> Matrix | Scalar:
        if isinstance(query, nodes.Number):
            return Scalar(query.value)
        if isinstance(query, nodes.Vector):
            return Matrix(((),), np.full((1, len(steps)), query.value), np.ones((1, len(steps)), np.bool_))
        if isinstance(query, nodes.RangeAggregation):
            return ranges.aggregate(query, self._samples(query, steps), steps)
        if isinstance(query, nodes.VectorAggregation) and (names := _summed(query)) is not None:
            counted = query.inner
            assert isinstance(counted, nodes.RangeAggregation)
            return ranges.aggregate(counted, self._counted(counted, steps, names), steps)
        if isinstance(query, nodes.Binary):
            return vectors.binary(query, self._metric(query.left, steps), self._metric(query.right, steps))
        inner = self._metric(query.inner, steps)
        if isinstance(inner, Scalar):
            raise LogQLError("unexpected type (scalar) for the argument of an aggregation")
        if isinstance(query, nodes.VectorAggregation):
            return vectors.aggregate(query, inner)
        return vectors.label_replace(query, inner)

    def _samples(self, query: nodes.RangeAggregation, steps: Steps) -> ranges.Samples:
        out = ranges.Samples()
        extract = _Extractor(query)
        pipeline = Pipeline(query.selector.stages, self.now)
        for low, high in self._stretches(query, steps):
            for line, _ in self._lines(query.selector, pipeline, low, high):
                sample = extract.sample(line)
                if sample is not None:
                    out.add(*sample)
            if len(out) > 20 * self.limits.series:
                raise LimitError(
                    f"maximum number of series ({self.limits.series}) reached for a single query"
                )
        return out

    def _counted(
        self,
        query: nodes.RangeAggregation,
        steps: Steps,
        names: frozenset[str],
    ) -> ranges.Samples:
        """Samples of a count of lines by labels of their streams: no line has to be read closely."""
        out = ranges.Samples()
        tests = [line_test(stage) for stage in query.selector.stages if isinstance(stage, nodes.LineFilter)]
        sizes = query.op in {"bytes_rate", "bytes_over_time"}
        for low, high in self._stretches(query, steps):
            for stream in self.streams(query.selector.matchers, low, high):
                key = tuple(pair for pair in stream.labels if pair[0] in names)
                for entry in self._read(stream, low, high):
                    if all(test(entry.text) for test in tests):
                        self.stats.kept += 1
                        out.add(key, entry.at, float(len(entry.text.encode())) if sizes else 1.0)
        return out


def _summed(query: nodes.VectorAggregation) -> frozenset[str] | None:
    """The labels of a sum of counts that only needs labels of streams; None where it needs more."""
    inner = query.inner
    if query.op != "sum" or not isinstance(inner, nodes.RangeAggregation) or inner.op not in words.BARE:
        return None
    if inner.op == "absent_over_time" or inner.unwrap is not None:
        return None
    if not all(isinstance(stage, nodes.LineFilter) for stage in inner.selector.stages):
        return None
    grouping = query.grouping or nodes.Grouping()
    names = frozenset(grouping.labels)
    return None if grouping.without or LEVEL in names else names


class _Extractor:
    """Makes a sample of a line."""

    def __init__(self, query: nodes.RangeAggregation) -> None:
        self._bytes = query.op in {"bytes_rate", "bytes_over_time"}
        self._unwrap = query.unwrap
        self._tests = [label_test(item) for item in query.unwrap.filters] if query.unwrap else []
        self._grouping = query.grouping
        self._names = frozenset(query.grouping.labels) if query.grouping else frozenset()

    def sample(self, line: Line) -> tuple[Labels, int, float] | None:
        labels = line.labels
        if self._unwrap is None:
            value = float(len(line.text.encode())) if self._bytes else 1.0
        else:
            found = self._value(labels, self._unwrap)
            if found is None:
                return None
            value = found
        if labels.failed:
            self._complain(labels)
        return self._key(labels), line.at, value

    def _value(self, labels: LineLabels, unwrap: nodes.Unwrap) -> float | None:
        text = labels.all.get(unwrap.label)
        if text is None:
            return None
        value = 0.0
        try:
            value = _CONVERT[unwrap.conversion](text)
        except ValueError as error:
            labels.fail(_UNWRAP, str(error))
        if not all(test(labels) for test in self._tests):
            return None
        if not labels.failed:
            labels.drop(unwrap.label)
        return value

    def _complain(self, labels: LineLabels) -> None:
        kind = labels.all[ERROR]
        shown = ", ".join(f'{name}="{value}"' for name, value in labels.key())
        raise PipelineError(kind, "{" + shown + "}")

    def _key(self, labels: LineLabels) -> Labels:
        if self._grouping is None:
            return labels.key()
        if self._grouping.without:
            return tuple(pair for pair in labels.key() if pair[0] not in self._names)
        return tuple(pair for pair in labels.key() if pair[0] in self._names)


_CONVERT: dict[str, Callable[[str], float]] = {
    "": number,
    "duration": lambda text: go_duration(text) / SECOND,
    "duration_seconds": lambda text: go_duration(text) / SECOND,
    "bytes": lambda text: float(humanized_bytes(text)),
}


def _windows(start: int, end: int, *, backward: bool, width: int = _WINDOW) -> Iterator[tuple[int, int]]:
    """[start, end) in pieces, the first of them small and each twice as long as the one before."""
    while start < end:
        if backward:
            low = max(start, end - width)
            yield low, end
            end = low
        else:
            high = min(end, start + width)
            yield start, high
            start = high
        width = min(width * 2, _WIDEST)


def default_step(start: int, end: int) -> int:
    """The step of a range query that names none, in ns: about 250 points, at least a second."""
    return max(math.floor((end - start) / SECOND / 250), 1) * SECOND


__all__ = ["DETAILS", "Engine", "Found", "Limits", "Stats", "default_step", "parse"]
