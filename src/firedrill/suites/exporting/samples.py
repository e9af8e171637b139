"""`metrics/pod_<pod>_raw.tsv` and `metrics/service_<service>_raw.tsv`: samples of series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from firedrill.snapshot.columns import POD_METRIC_COLUMNS, SERVICE_METRIC_COLUMNS
from firedrill.snapshot.writer import format_time
from firedrill.suites.exporting.columns import replacing
from firedrill.suites.exporting.texts import cells
from firedrill.world.telemetry.labels import NAME
from firedrill.world.telemetry.selection import Rows, one_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firedrill.world.telemetry import SeriesStore
    from firedrill.world.telemetry.chunks import Floats, Ints

_UNSAFE = re.compile(r"[/ \0]")


class _Query(NamedTuple):
    """One of the recorder's queries of metrics of services.

    Attributes:
        metric: the name.
        service, namespace: labels that say whose it is.
        kind: what the recorder calls it.
        code: label that becomes the status code; empty for none.
        wanted: which values of that label are recorded.
    """

    metric: str
    service: str
    namespace: str
    kind: str
    code: str = ""
    wanted: re.Pattern[str] = re.compile("")


_CALLED, _WORKLOAD = "destination_canonical_service", "destination_workload_namespace"
_QUERIES = (
    _Query("traces_span_metrics_duration_milliseconds_bucket", "service_name", "namespace", "duration_p95"),
    _Query(
        "traces_span_metrics_calls_total",
        "service_name",
        "namespace",
        "error_rate",
        "status_code",
        re.compile("STATUS_CODE_ERROR"),
    ),
    _Query("istio_request_duration_milliseconds_bucket", _CALLED, _WORKLOAD, "duration_p95"),
    _Query("istio_requests_total", _CALLED, _WORKLOAD, "error_rate", "response_code", re.compile("[^2]..")),
)
_LEFT_OUT = frozenset({"flagd", "load-generator"})
"""Services of which the recorder asks nothing."""


class Window(NamedTuple):
    """Samples in [start, end) ms; of each series at most one per `step` ms."""

    start: int
    end: int
    step: int


def write_metrics(store: SeriesStore, folder: Path, window: Window) -> int:
    """Write a file for each pod and each service that has samples; returns how many samples.

    Raises:
        InfrastructureError: a file cannot be written.
    """
    pods: dict[tuple[str, str], list[_Wanted]] = {}
    services: dict[tuple[str, str], list[_Wanted]] = {}
    queries = {query.metric: query for query in _QUERIES}
    numbers: dict[int, None] = {}
    for name in store.names():
        query = queries.get(name)
        for number in sorted(store.numbers(name), key=store.labels):
            labels = dict(store.labels(number))
            pod = labels.get("pod")
            if pod and labels.get("namespace"):
                numbers[number] = None
                pods.setdefault((pod, labels["namespace"]), []).append(_Wanted(number, name, labels, None))
            if query is not None and query.wanted.fullmatch(labels.get(query.code, "")):
                service = labels.get(query.service, "")
                if service and service not in _LEFT_OUT:
                    numbers[number] = None
                    key = service, labels.get(query.namespace, "")
                    services.setdefault(key, []).append(_Wanted(number, name, labels, query))
    read = _Reader(store, window, list(numbers))
    place = folder / "metrics"
    place.mkdir(parents=True, exist_ok=True)
    count = 0
    tables = (("pod", POD_METRIC_COLUMNS, pods), ("service", SERVICE_METRIC_COLUMNS, services))
    for kind, header, found in tables:
        for (name, _), wanted in sorted(found.items(), key=_key):
            told = [item for item in wanted if len(read.values(item.number))]
            if told:
                with replacing(place / f"{kind}_{_UNSAFE.sub('_', name)}_raw.tsv") as file:
                    file.write("\t".join(header).encode() + b"\n")
                    for item in told:
                        file.write(read.lines(item.number, *item.cells()).encode("utf-8", "replace"))
                count += sum(len(read.values(item.number)) for item in told)
    return count


class _Wanted(NamedTuple):
    """A series as it is recorded: of a pod, or of a service as a query asks for it."""

    number: int
    name: str
    labels: Mapping[str, str]
    query: _Query | None

    def cells(self) -> tuple[str, str]:
        """What stands before the time and behind the value."""
        if self.query is None:
            return _pod_cells(self.name, self.labels)
        return _service_cells(self.query, self.labels)


def _key(item: tuple[tuple[str, str], list[_Wanted]]) -> tuple[str, str]:
    return item[0]


class _Reader:
    """The samples of some series in a window. Those scraped at the same times are read together."""

    def __init__(self, store: SeriesStore, window: Window, numbers: list[int]) -> None:
        self._store, self._window = store, window
        self._stamps: dict[bytes, list[str]] = {}
        self._found: dict[int, tuple[list[str], Floats]] = {}
        alone = [number for number in numbers if len(store.rows(number)) == 1 and store.loose(number) is None]
        self._read_together(alone)
        for number in numbers:
            if number not in self._found:
                times, values, _ = one_series(store, number)
                low, high = np.searchsorted(times, window[:2]).tolist()
                kept = self._kept(times[low:high])
                self._found[number] = self._stamped(times[low:high][kept]), values[low:high][kept]

    def _read_together(self, numbers: list[int]) -> None:
        """Series that consist of one row each."""
        rows = np.array([self._store.rows(number)[0] for number in numbers], np.int64)
        lives = Rows(rows, rows, *self._store.spans(rows))
        born, end = lives.lives(self._store)
        step, offset = self._store.interval_ms, lives.offset
        first = np.maximum(born, -((offset - self._window.start) // step))
        last = np.minimum(end, -((offset - self._window.end) // step))
        alike: dict[tuple[int, int, int], list[int]] = {}
        for place, key in enumerate(zip(first.tolist(), last.tolist(), offset.tolist(), strict=True)):
            alike.setdefault(key, []).append(place)
        for (low, high, offset_ms), places in alike.items():
            times = np.arange(low, high, dtype=np.int64) * step + offset_ms
            kept = self._kept(times)
            stamped = self._stamped(times[kept])
            if len(times):
                values = self._store.gather(rows[places], low, high)[:, kept]
            else:
                values = np.zeros((len(places), 0))
            for place, row in zip(places, values, strict=True):
                self._found[numbers[place]] = stamped, row

    def _kept(self, times: Ints) -> NDArray[np.intp] | slice:
        """Which of the samples at these times are recorded."""
        step = self._window.step
        if step <= self._store.interval_ms or not len(times):
            return slice(None)
        steps = times // step
        return np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))

    def values(self, number: int) -> Floats:
        """The samples of a series."""
        return self._found[number][1]

    def lines(self, number: int, before: str, behind: str) -> str:
        """The lines of a series that has samples, with what stands before the time and behind the value."""
        moments, values = self._found[number]
        told = texts_of(values)
        if told.count(told[0]) == len(told):
            between, behind = f"\t{told[0]}{behind}{before}", f"\t{told[0]}{behind}"
            return f"{before}{between.join(moments)}{behind}"
        return (
            before + (behind + before).join(map("%s\t%s".__mod__, zip(moments, told, strict=True))) + behind
        )

    def _stamped(self, times: Ints) -> list[str]:
        """Times as texts; series of one target have the same ones."""
        key = times.tobytes()
        found = self._stamps.get(key)
        if found is None:
            found = self._stamps[key] = [format_time(at * 1_000_000, 3) for at in times.tolist()]
        return found


def texts_of(values: Floats) -> list[str]:
    """Samples as cells: as Python writes them, NaN as nothing."""
    # the texts of a list are made all at once
    told = repr(values.tolist())[1:-1].split(", ")
    return ["" if text == "nan" else text for text in told] if "nan" in told else told


def _tags(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != NAME}


def _pod_cells(name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    return cells(name) + "\t", "\t" + cells(labels["pod"], labels["namespace"], _tags(labels)) + "\n"


def _service_cells(query: _Query, labels: Mapping[str, str]) -> tuple[str, str]:
    told = cells(
        labels[query.service],
        labels.get(query.namespace, ""),
        labels.get("le", ""),
        _tags(labels),
        query.kind,
        labels.get(query.code, "") if query.code else "",
    )
    return cells(query.metric) + "\t", "\t" + told + "\n"
