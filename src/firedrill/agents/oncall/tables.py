"""A recording of a living world as evidence: the six tables, the graph, and the list of objects."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.agents.oncall.earlier import Past, key_of
from firedrill.agents.oncall.fields import made_at
from firedrill.agents.oncall.recording import Recording, seconds
from firedrill.agents.sleuth.case import listing, mapping
from firedrill.snapshot.importer import Imported, create_view
from firedrill.snapshot.incident import Incident
from firedrill.snapshot.problems import Problems
from firedrill.snapshot.schema import TABLES
from firedrill.snapshot.topology import build

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]
_NS = 1_000_000_000
_SERVICES = ("service_name", "destination_canonical_service")
_SPACES = {"service_name": "namespace", "destination_canonical_service": "destination_workload_namespace"}
_TYPES = {"TIMESTAMP_NS": "BIGINT", "TIMESTAMP": "BIGINT"}
_KEPT = 2_000_000
"""Bytes of a line of a table."""


class Recorded(Incident):
    """The evidence of a recording. A context manager: its tables are gone when it is closed."""

    def close(self) -> None:
        """Close the database and remove its files. Safe to call twice."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def evidence(found: Recording, before: Past) -> Recorded:
    """Make the tables of a recording; whoever asks for them closes them."""
    import duckdb

    folder = Path(tempfile.mkdtemp(prefix="firedrill-look-"))
    con = duckdb.connect(config={"threads": 1})
    try:
        makers: dict[str, Iterable[Row]] = {
            "objects": _objects(found, before),
            "events": _events(found),
            "alerts": _alerts(found),
            "logs": _logs(found),
            "traces": _traces(found),
        }
        tables = {table: _table(con, folder, table, made) for table, made in makers.items()}
        tables["metrics"] = _metrics(con, folder, found)
        for table, files in tables.items():
            create_view(con, table, files)
        topology, inventory = build(con, Problems())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        con.close()
    (folder / "topology.json").write_bytes(orjson.dumps(topology.to_json()))
    (folder / "inventory.json").write_bytes(orjson.dumps(list(inventory)))
    there = tuple(table for table, files in tables.items() if files)
    return Recorded(folder, Imported(folder, "", tables, there, ()))


def _table(con: duckdb.DuckDBPyConnection, folder: Path, table: str, made: Iterable[Row]) -> tuple[Path, ...]:
    lines = [line for row in made if len(line := orjson.dumps(row)) < _KEPT]
    if not lines:
        return ()
    source, target = folder / f"{table}.ndjson", folder / f"{table}.parquet"
    source.write_bytes(b"\n".join(lines))
    columns = TABLES[table]
    types = ", ".join(f"'{name}': '{_TYPES.get(kind, kind)}'" for name, kind, _ in columns)
    cells = ", ".join(_cell(name, kind) for name, kind, _ in columns)
    con.execute(
        f"COPY (SELECT {cells} FROM read_ndjson('{source}', columns={{{types}}},"  # noqa: S608 - our names
        f" maximum_object_size={_KEPT * 2})) TO '{target}' (FORMAT parquet)"
    )
    source.unlink()
    return (target,)


def _cell(name: str, kind: str) -> str:
    if kind == "TIMESTAMP_NS":
        return f'make_timestamp_ns("{name}") AS "{name}"'
    if kind == "TIMESTAMP":
        return f'make_timestamp_ns("{name}")::TIMESTAMP AS "{name}"'
    return f'"{name}"'


def _ns(moment: float | None) -> int | None:
    return None if moment is None else int(moment * _NS)


# --- objects and events


def _objects(found: Recording, before: Past) -> Iterator[Row]:
    """Every object as it is now, as it was at first, and as it was in between."""
    for resource, obj in found.all():
        made = made_at(obj)
        states = before.states.get(key_of(obj), [])
        present = _plain(obj)
        if made > before.base:
            yield _object(resource, present, made)
        elif not states:
            yield _object(resource, present, before.base)
        for state in states:
            yield _object(resource, _plain(state.body), state.time)
        if states and (last := _changed(obj, before.base)) is not None and last > states[-1].time:
            yield _object(resource, present, last)
        yield _object(resource, present, found.now)
    for key, (last, body) in sorted(before.gone.items()):
        plural = f"{key[0].lower()}s"
        yield _object(plural, body, before.base)
        yield _object(plural, body, last)


def _changed(obj: Mapping[str, Any], since: float) -> float | None:
    from firedrill.agents.oncall.fields import last_write

    return last_write(obj, since)


def _plain(obj: Mapping[str, Any]) -> Row:
    """Without the fields of managers, which are as long as all the rest; their times are kept."""
    about = dict(mapping(obj, "metadata"))
    about["managedFields"] = [
        {key: value for key, value in entry.items() if key != "fieldsV1"}
        for entry in listing(obj, "metadata", "managedFields")
    ]
    return {**obj, "metadata": about}


def _object(resource: str, obj: Mapping[str, Any], time: float) -> Row:
    about = mapping(obj, "metadata")
    return {
        "time": _ns(time),
        "kind": obj.get("kind"),
        "namespace": about.get("namespace"),
        "name": about.get("name"),
        "api_version": obj.get("apiVersion"),
        "uid": about.get("uid"),
        "resource": resource.partition(".")[0],
        "body": orjson.dumps(obj).decode(),
        "file": f"kubernetes {resource}",
    }


def _events(found: Recording) -> Iterator[Row]:
    for event in found.events:
        about = mapping(event, "involvedObject") or mapping(event, "regarding")
        series, source = mapping(event, "series"), mapping(event, "source")
        first = seconds(event.get("firstTimestamp")) or seconds(event.get("eventTime"))
        last = (
            seconds(series.get("lastObservedTime"))
            or seconds(event.get("lastTimestamp"))
            or seconds(event.get("eventTime"))
            or made_at(event)
        )
        yield {
            "time": _ns(last),
            "watch": "ADDED",
            "type": event.get("type"),
            "reason": event.get("reason"),
            "message": event.get("message") or event.get("note"),
            "object_kind": about.get("kind"),
            "object_namespace": about.get("namespace"),
            "object_name": about.get("name"),
            "count": series.get("count") or event.get("count") or 1,
            "first_time": _ns(first or last),
            "last_time": _ns(last),
            "source": source.get("component") or event.get("reportingComponent"),
            "host": source.get("host"),
            "namespace": mapping(event, "metadata").get("namespace"),
            "name": mapping(event, "metadata").get("name"),
            "body": orjson.dumps(event).decode(),
            "file": "kubernetes events",
        }


# --- telemetry


def _alerts(found: Recording) -> Iterator[Row]:
    for alert in found.alerts:
        if alert.get("state", "firing") != "firing":
            continue
        labels, notes = mapping(alert, "labels"), mapping(alert, "annotations")
        value = alert.get("value")
        yield {
            "time": _ns(found.now),
            "name": labels.get("alertname"),
            "state": "firing",
            "severity": labels.get("severity"),
            "active_at": _ns(seconds(alert.get("activeAt"))),
            "value": _number(value),
            "namespace": labels.get("namespace"),
            "service": labels.get("service_name") or labels.get("service"),
            "pod": labels.get("pod"),
            "description": notes.get("description") or notes.get("summary") or notes.get("message"),
            "labels": orjson.dumps(labels).decode(),
            "annotations": orjson.dumps(notes).decode(),
            "file": "prometheus alerts",
        }


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _metrics(con: duckdb.DuckDBPyConnection, folder: Path, found: Recording) -> tuple[Path, ...]:
    """Series with their samples beside each other, taken apart by the database."""
    lines = []
    for one in found.metrics:
        labels = dict(one.get("metric") or {})
        name = str(labels.pop("__name__", ""))
        which = next((label for label in _SERVICES if labels.get(label)), "")
        pod = labels.get("pod") if not which else None
        if not (pod or which) or not one.get("values"):
            continue
        code = labels.get("status_code") or labels.get("response_code")
        row = {
            "metric": name,
            "namespace": labels.get(_SPACES[which]) if which else labels.get("namespace"),
            "pod": pod,
            "service": labels[which] if which else None,
            "le": labels.get("le") if which else None,
            "status_code": code if which else None,
            "metric_type": None if not which else "duration_p95" if labels.get("le") else "error_rate",
            "tags": orjson.dumps(labels).decode(),
            "file": "prometheus " + ("services" if which else "pods"),
            "t": [at for at, _ in one["values"]],
            "v": [value for _, value in one["values"]],
        }
        lines.append(orjson.dumps(row))
    if not lines:
        return ()
    source, target = folder / "metrics.ndjson", folder / "metrics.parquet"
    source.write_bytes(b"\n".join(lines))
    columns = [(name, kind) for name, kind, _ in TABLES["metrics"] if name not in ("time", "value")]
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns)
    cells = {
        **{name: f'"{name}"' for name, _ in columns},
        "time": f"make_timestamp_ns((unnest(t) * {_NS})::BIGINT)",
        "value": "try_cast(unnest(v) AS DOUBLE)",
    }
    chosen = ", ".join(f'{cells[name]} AS "{name}"' for name, _, _ in TABLES["metrics"])
    con.execute(
        f"COPY (SELECT {chosen} FROM read_ndjson('{source}',"  # noqa: S608 - our names
        f" columns={{{types}, 't': 'DOUBLE[]', 'v': 'VARCHAR[]'}}, maximum_object_size={_KEPT * 2}))"
        f" TO '{target}' (FORMAT parquet)"
    )
    source.unlink()
    return (target,)


def _logs(found: Recording) -> Iterator[Row]:
    for one in found.streams.values():
        labels = one["stream"]
        level = str(labels.get("detected_level") or labels.get("level") or "").upper()
        shared = {
            "severity": level or None,
            "severity_number": _LEVELS.get(level, 0),
            "service": labels.get("service_name") or labels.get("app"),
            "namespace": labels.get("namespace"),
            "pod": labels.get("pod"),
            "container": labels.get("container"),
            "node": labels.get("node_name") or labels.get("node"),
            "workload_kind": None,
            "workload": None,
            "resource": orjson.dumps(labels).decode(),
            "file": "loki logs",
        }
        for item in one["values"]:
            yield {"time": int(item[0]), "body": item[1], **shared}


_LEVELS = {
    "TRACE": 1,
    "DEBUG": 5,
    "INFO": 9,
    "WARN": 13,
    "WARNING": 13,
    "ERROR": 17,
    "FATAL": 21,
    "CRITICAL": 21,
}
_KINDS = {
    "server": "Server",
    "client": "Client",
    "internal": "Internal",
    "producer": "Producer",
    "consumer": "Consumer",
}


def _traces(found: Recording) -> Iterator[Row]:
    for trace in found.traces.values():
        processes = mapping(trace, "processes")
        known: dict[str, tuple[Mapping[str, Any], dict[str, Any], str]] = {}
        for span in listing(trace, "spans"):
            number = str(span.get("processID"))
            if number not in known:
                process = mapping(processes, number)
                where = _tags(process)
                known[number] = process, where, orjson.dumps(where).decode()
            (process, where, resource), about = known[number], _tags(span)
            kind = str(about.get("span.kind", "")).lower()
            parents = [item for item in listing(span, "references") if item.get("refType") == "CHILD_OF"]
            failed = about.get("otel.status_code") == "ERROR" or about.get("error")
            events = listing(span, "logs")
            yield {
                "time": int(span.get("startTime", 0)) * 1000,
                "trace_id": span.get("traceID"),
                "span_id": span.get("spanID"),
                "parent_span_id": parents[0].get("spanID") if parents else None,
                "name": span.get("operationName"),
                "kind": kind.capitalize() if kind in _KINDS else None,
                "service": process.get("serviceName"),
                "duration_ns": int(span.get("duration", 0)) * 1000,
                "status": "Error" if failed else "Unset",
                "status_message": about.get("otel.status_description"),
                "namespace": where.get("k8s.namespace.name"),
                "pod": where.get("k8s.pod.name"),
                "container": where.get("k8s.container.name"),
                "node": where.get("k8s.node.name"),
                "workload_kind": "Deployment" if where.get("k8s.deployment.name") else None,
                "workload": where.get("k8s.deployment.name"),
                "resource": resource,
                "attributes": orjson.dumps(about).decode(),
                "events": orjson.dumps(events).decode() if events else None,
                "file": "jaeger traces",
            }


def _tags(of: Mapping[str, Any]) -> dict[str, Any]:
    return {str(tag.get("key")): tag.get("value") for tag in listing(of, "tags")}


def moment(at: float) -> datetime:
    """Seconds since the Unix epoch as the investigator has times: naive UTC."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
