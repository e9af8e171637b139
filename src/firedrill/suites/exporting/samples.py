"""`metrics/pod_<pod>_raw.tsv` and `metrics/service_<service>_raw.tsv`: samples of series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from firedrill.snapshot.columns import POD_METRIC_COLUMNS, SERVICE_METRIC_COLUMNS
from firedrill.snapshot.writer import format_time
from firedrill.suites._files import write_atomic
from firedrill.suites.exporting.texts import cells
from firedrill.world.telemetry.labels import NAME
from firedrill.world.telemetry.selection import one_series

if TYPE_CHECKING:
    from firedrill.world.telemetry import SeriesStore
    from firedrill.world.telemetry.selection import Ints

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
    writer = _Writer(store, window)
    pods: dict[tuple[str, str], list[str]] = {}
    services: dict[tuple[str, str], list[str]] = {}
    queries = {query.metric: query for query in _QUERIES}
    for name in store.names():
        query = queries.get(name)
        for number in sorted(store.numbers(name), key=store.labels):
            labels = dict(store.labels(number))
            pod = labels.get("pod")
            if pod and labels.get("namespace"):
                lines = writer.lines(number, _pod_cells(name, labels))
                pods.setdefault((pod, labels["namespace"]), []).extend(lines)
            if query is not None and query.wanted.fullmatch(labels.get(query.code, "")):
                service = labels.get(query.service, "")
                if service and service not in _LEFT_OUT:
                    lines = writer.lines(number, _service_cells(query, labels))
                    services.setdefault((service, labels.get(query.namespace, "")), []).extend(lines)
    place = folder / "metrics"
    place.mkdir(parents=True, exist_ok=True)
    tables = (("pod", POD_METRIC_COLUMNS, pods), ("service", SERVICE_METRIC_COLUMNS, services))
    for kind, header, found in tables:
        for (name, _), lines in sorted(found.items()):
            if lines:
                text = "\t".join(header) + "\n" + "".join(lines)
                file = place / f"{kind}_{_UNSAFE.sub('_', name)}_raw.tsv"
                write_atomic(file, text.encode("utf-8", "replace"))
    return writer.count


class _Writer:
    def __init__(self, store: SeriesStore, window: Window) -> None:
        self._store, self._window = store, window
        self._stamps: dict[bytes, list[str]] = {}
        self.count = 0

    def lines(self, number: int, around: tuple[str, str]) -> list[str]:
        """The lines of a series, with what stands before the time and behind the value."""
        start, end, step = self._window
        times, values, _ = one_series(self._store, number)
        low, high = np.searchsorted(times, (start, end)).tolist()
        times, values = times[low:high], values[low:high]
        if step > self._store.interval_ms and len(times):
            steps = times // step
            kept = np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))
            times, values = times[kept], values[kept]
        self.count += len(times)
        before, behind = around
        stamps, told = self._stamped(times), values.tolist()
        if len(told) > 1 and told.count(told[0]) == len(told):
            line = f"\t{_text(told[0])}{behind}"
            return [f"{before}{stamp}{line}" for stamp in stamps]
        return [f"{before}{stamp}\t{_text(value)}{behind}" for stamp, value in zip(stamps, told, strict=True)]

    def _stamped(self, times: Ints) -> list[str]:
        """Times as texts; series of one target have the same ones."""
        key = times.tobytes()
        found = self._stamps.get(key)
        if found is None:
            found = self._stamps[key] = [format_time(at * 1_000_000, 3) for at in times.tolist()]
        return found


def _text(value: float) -> str:
    return "" if isnan(value) else repr(value)


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
