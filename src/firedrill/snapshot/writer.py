"""Writes incidents in the published form: what ``pandas.DataFrame.to_csv(sep="\\t", index=False)`` gives."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, TypeVar

import yaml

from firedrill.core.errors import InputError
from firedrill.snapshot.columns import (
    LOG_COLUMNS,
    POD_METRIC_COLUMNS,
    SERVICE_METRIC_COLUMNS,
    TRACE_COLUMNS,
)
from firedrill.snapshot.layout import is_truth_name

Row = TypeVar("Row")

NANOSECOND = 1_000_000_000
_QUOTE = re.compile(r'[\t\n\r"]')
_UNSAFE_NAME = re.compile(r"[/ \0]")
_TRUTHS = frozenset({"ground_truth.yaml", "ground_truth_v2.yaml"})
_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/k8sobjectsreceiver"


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One state of one object; times are nanoseconds since 1970 UTC here and in every row."""

    time: int
    object: Mapping[str, Any]
    resource: str = ""
    """Plural kind (``pods``), as the collector names what it pulled."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One Kubernetes event (``object`` is the whole ``Event``) as the watch reported it."""

    time: int
    object: Mapping[str, Any]
    type: str = "ADDED"


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log record."""

    time: int
    body: str
    service: str = ""
    severity: str = ""
    severity_number: int = 0
    resource: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened inside a span, e.g. an exception."""

    time: int
    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span; ``duration`` in nanoseconds; ``status`` is Unset, Ok or Error."""

    time: int
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    service: str
    duration: int
    status: str = "Unset"
    status_message: str = ""
    resource: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    scope: str = ""
    scope_version: str = ""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One sample; milliseconds are kept of ``time``. The last three are for service metrics only."""

    metric: str
    time: int
    value: float
    tags: Mapping[str, str] = field(default_factory=dict)
    bucket_le: str | None = None
    metric_type: str = ""
    status_code: str | None = None


def format_time(nanoseconds: int, digits: int = 9) -> str:
    """``2025-12-15 17:30:01.123456789``: naive UTC with so many digits of the second (0, 3, 6 or 9).

    Works from year 1 to 9999.

    Raises:
        ValueError: outside of those years.
    """
    seconds, rest = divmod(nanoseconds, NANOSECOND)
    days, second = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    if not 1 <= year <= 9999:
        raise ValueError(f"time {nanoseconds} ns is outside of the years 1 to 9999")
    text = f"{year:04d}-{month:02d}-{day:02d} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{text}.{rest:09d}"[: len(text) + (digits + 1 if digits else 0)]


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month, day of a day number since 1970-01-01 (Howard Hinnant, civil_from_days)."""
    shifted = days + 719_468
    era, of_era = divmod(shifted, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return era * 400 + year_of_era + (month <= 2), month, day


def format_cell(value: object) -> str:
    """One value as pandas writes it, before quoting: None and NaN are empty, maps and lists are ``repr``."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return repr(dict(value))
    return repr(value)


class _Stamp:
    """A time inside an array: its ``repr`` is that of a pandas Timestamp."""

    __slots__ = ("text",)

    def __init__(self, nanoseconds: int) -> None:
        text = format_time(nanoseconds)
        if nanoseconds % 1000 == 0:  # pandas prints as many digits as a time needs, in steps of 0, 6, 9
            text = text[:-3] if nanoseconds % NANOSECOND else text[:-10]
        self.text = text

    def __repr__(self) -> str:
        return f"Timestamp('{self.text}')"


def write_table(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a header and ``rows`` (cells by :func:`format_cell`) to ``file``; returns the number of rows.

    A cell is quoted when it holds a tab, a quote or the end of a line, quotes are doubled.
    """
    file.write("\t".join(columns) + "\n")
    count = 0
    for row in rows:
        file.write(format_line([format_cell(cell) for cell in row]))
        count += 1
    return count


def format_line(cells: Sequence[str]) -> str:
    """One record with its end, cells quoted where they must be."""
    line = "\t".join(cells)
    if '"' in line or "\n" in line or "\r" in line or line.count("\t") != len(cells) - 1:
        line = "\t".join(_quote(cell) for cell in cells)
    # a row of one empty cell would otherwise be a blank line
    return (line or '""') + "\n"


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTE.search(text) else text


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class IncidentWriter:
    """Writes one incident folder, file by file; every file appears whole or not at all.

    Rows are written as they come, so iterables of any length cost no memory. Text that is not valid
    Unicode is written with the replacement character.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be created: {error.strerror}", source=str(folder)) from error

    def objects(self, rows: Iterable[ObjectRow]) -> int:
        """Write ``k8s_objects_raw.tsv``; returns the number of rows, here and below."""
        return self._table("k8s_objects_raw.tsv", LOG_COLUMNS, (_object_cells(row) for row in rows))

    def events(self, rows: Iterable[EventRow]) -> int:
        """Write ``k8s_events_raw.tsv``."""
        return self._table("k8s_events_raw.tsv", LOG_COLUMNS, (_event_cells(row) for row in rows))

    def logs(self, rows: Iterable[LogRow]) -> int:
        """Write ``otel_logs_raw.tsv``."""
        return self._table("otel_logs_raw.tsv", LOG_COLUMNS, (_log_cells(row) for row in rows))

    def traces(self, rows: Iterable[SpanRow]) -> int:
        """Write ``otel_traces_raw.tsv``."""
        return self._table("otel_traces_raw.tsv", TRACE_COLUMNS, (_span_cells(row) for row in rows))

    def pod_metrics(self, pod: str, namespace: str, rows: Iterable[MetricRow]) -> int:
        """Write ``metrics/pod_<pod>_raw.tsv``."""
        cells = (
            (row.metric, format_time(row.time, 3), row.value, pod, namespace, dict(row.tags)) for row in rows
        )
        name = _UNSAFE_NAME.sub("_", pod)
        return self._table(f"metrics/pod_{name}_raw.tsv", POD_METRIC_COLUMNS, cells)

    def service_metrics(self, service: str, namespace: str, rows: Iterable[MetricRow]) -> int:
        """Write ``metrics/service_<service>_raw.tsv``."""
        cells = (
            (
                row.metric,
                format_time(row.time, 3),
                row.value,
                service,
                namespace,
                row.bucket_le,
                dict(row.tags),
                row.metric_type,
                row.status_code,
            )
            for row in rows
        )
        name = _UNSAFE_NAME.sub("_", service)
        return self._table(f"metrics/service_{name}_raw.tsv", SERVICE_METRIC_COLUMNS, cells)

    def alerts(self, time: int, alerts: Sequence[Mapping[str, Any]], *, envelope: bool = False) -> Path:
        """Write ``alerts/alerts_at_<time>.json``: a list, or the answer of Prometheus around it."""
        stamp = format_time(time, 6).replace(" ", "T").replace(":", "-")
        document: object = list(alerts)
        if envelope:
            document = {"status": "success", "data": {"alerts": document}}
        return self._text(f"alerts/alerts_at_{stamp}.json", json.dumps(document, indent=4))

    def ground_truth(self, document: Mapping[str, Any]) -> Path:
        """Write ``ground_truth.yaml``."""
        return self._truth("ground_truth.yaml", document)

    def ground_truth_v2(self, document: Mapping[str, Any]) -> Path:
        """Write ``ground_truth_v2.yaml``, the newer form that may lie beside the other."""
        return self._truth("ground_truth_v2.yaml", document)

    def _truth(self, name: str, document: Mapping[str, Any]) -> Path:
        return self._text(name, yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True))

    def _table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
        path = self._place(name)
        with _Replacing(path) as file:
            return write_table(file, columns, rows)

    def _text(self, name: str, text: str) -> Path:
        path = self._place(name)
        with _Replacing(path) as file:
            file.write(text)
        return path

    def _place(self, name: str) -> Path:
        path = self.folder / name
        if is_truth_name(path.name) and path.name not in _TRUTHS:
            raise InputError("an evidence file must not be named like a ground truth", source=name)
        if len(path.name.encode("utf-8", "replace")) > 255:
            raise InputError("the name is too long for a file", source=name[:80] + "...")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def write_incident(
    folder: Path,
    *,
    objects: Iterable[ObjectRow] = (),
    events: Iterable[EventRow] = (),
    logs: Iterable[LogRow] = (),
    traces: Iterable[SpanRow] = (),
    pod_metrics: Mapping[tuple[str, str], Iterable[MetricRow]] | None = None,
    service_metrics: Mapping[tuple[str, str], Iterable[MetricRow]] | None = None,
    alerts: Mapping[int, Sequence[Mapping[str, Any]]] | None = None,
    ground_truth: Mapping[str, Any] | None = None,
) -> Path:
    """Write one incident; metrics are keyed by (namespace, name), alerts by the time of the recording.

    A table without rows has no file, as in what recorders write.
    """
    writer = IncidentWriter(folder)
    _write_any(writer.objects, objects)
    _write_any(writer.events, events)
    _write_any(writer.logs, logs)
    _write_any(writer.traces, traces)
    for (namespace, name), samples in (pod_metrics or {}).items():
        writer.pod_metrics(name, namespace, samples)
    for (namespace, name), samples in (service_metrics or {}).items():
        writer.service_metrics(name, namespace, samples)
    for time, firing in (alerts or {}).items():
        writer.alerts(time, firing)
    if ground_truth is not None:
        writer.ground_truth(ground_truth)
    return writer.folder


def _write_any(write: Callable[[Iterable[Row]], int], rows: Iterable[Row]) -> None:
    rest = iter(rows)
    for first in rest:
        write(chain([first], rest))


class _Replacing:
    """A text file that takes its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> TextIO:
        descriptor, self.temporary = tempfile.mkstemp(prefix=".writing-", dir=self.path.parent)
        self.file = os.fdopen(
            descriptor, "w", encoding="utf-8", errors="replace", newline="", buffering=1 << 20
        )
        return self.file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        if kind is None:
            Path(self.temporary).chmod(0o644)
            Path(self.temporary).replace(self.path)
        else:
            with suppress(OSError):
                Path(self.temporary).unlink()


def _k8s_cells(time: int, body: str, namespace: str, attributes: Mapping[str, str]) -> tuple[object, ...]:
    resource = {"k8s.namespace.name": namespace} if namespace else {}
    stamp = format_time(time)
    return (
        stamp,
        stamp[:19],
        "",
        "",
        0,
        "",
        0,
        "",
        body,
        "",
        resource,
        "",
        _SCOPE,
        "1.0.0",
        {},
        attributes,
        "",
    )


def _meta(document: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = document.get("metadata")
    return meta if isinstance(meta, Mapping) else {}


def _object_cells(row: ObjectRow) -> tuple[object, ...]:
    resource = row.resource or str(row.object.get("kind", "")).lower() + "s"
    namespace = str(_meta(row.object).get("namespace") or "")
    return _k8s_cells(row.time, _json(row.object), namespace, {"k8s.resource.name": resource})


def _event_cells(row: EventRow) -> tuple[object, ...]:
    meta = _meta(row.object)
    attributes = {
        "event.domain": "k8s",
        "event.name": str(meta.get("name") or ""),
        "k8s.resource.name": "events",
    }
    body = _json({"object": row.object, "type": row.type})
    return _k8s_cells(row.time, body, str(meta.get("namespace") or ""), attributes)


def _log_cells(row: LogRow) -> tuple[object, ...]:
    stamp = format_time(row.time)
    return (
        stamp,
        stamp[:19],
        row.trace_id,
        row.span_id,
        0,
        row.severity,
        row.severity_number,
        row.service,
        row.body,
        "",
        row.resource,
        "",
        "",
        "",
        {},
        row.attributes,
        "",
    )


def _span_cells(row: SpanRow) -> tuple[object, ...]:
    return (
        format_time(row.time),
        row.trace_id,
        row.span_id,
        row.parent_span_id,
        "",
        row.name,
        row.kind,
        row.service,
        row.resource,
        row.scope,
        row.scope_version,
        row.attributes,
        row.duration,
        row.status,
        row.status_message,
        [_Stamp(event.time) for event in row.events],
        [event.name for event in row.events],
        [dict(event.attributes) for event in row.events],
        [],
        [],
        [],
        [],
    )
