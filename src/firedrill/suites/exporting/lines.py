"""`otel_logs_raw.tsv`: what containers have written, as a collector of logs sends it away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firedrill.snapshot.columns import LOG_COLUMNS
from firedrill.suites.exporting.texts import Numbered, cells
from firedrill.world import telling
from firedrill.world.kube.kubelet import history
from firedrill.world.kube.kubelet.lines import MS, lines_of
from firedrill.world.telemetry.logs.levels import level_of
from firedrill.world.telemetry.logs.requests import RequestLines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firedrill.suites.exporting.database import Database
    from firedrill.world.kube.kubelet.history import Record
    from firedrill.world.telemetry.traces import Requests, Tick
    from firedrill.world.world import World

_SEVERITIES = {
    "trace": ("TRACE", 1),
    "debug": ("DEBUG", 5),
    "info": ("INFO", 9),
    "warn": ("WARN", 13),
    "error": ("ERROR", 17),
    "critical": ("FATAL", 21),
    "fatal": ("FATAL", 21),
}
"""Text and number of OpenTelemetry; a line whose level nobody can tell has neither."""
_NAMES = ("app.kubernetes.io/name", "app", "k8s-app")
_ODD = re.compile(r'["\t\r\n]')
_LINES = """
select strftime(make_timestamp(l.at // 1000), '%Y-%m-%d %H:%M:%S.%f') || printf('%03d', l.at % 1000) || chr(9)
    || strftime(make_timestamp(l.at // 1000), '%Y-%m-%d %H:%M:%S') || chr(9)
    || l.ids || chr(9) || v.severity || chr(9) || r.service || chr(9) || l.body || r.resource as line
from lines l join levels v on l.level = v.id join runs r on l.run = r.id
order by l.at, l.number
"""


class LineTable:
    """The lines of all containers.

    Args:
        world: at the end of what is told.
        requests: of its application, or None where there is none.
        start, end: only lines of [start, end) ms.
        share: of the traces of which lines about what went well are kept.
    """

    def __init__(
        self, world: World, requests: Requests | None, start: int, end: int, share: float = 1.0
    ) -> None:
        telling.listen()
        self._world = world
        self._window = (start * MS, end * MS)
        self._share = share
        self._requests = RequestLines(requests) if requests is not None else None
        self._records = history.runs(world).records
        self._programs = _programs(requests)
        self._runs: Numbered[tuple[str, str, int]] = Numbered()
        self._levels: Numbered[str] = Numbered()
        self._at: list[int] = []
        self._run: list[int] = []
        self._level: list[int] = []
        self._ids: list[str] = []
        self._body: list[str] = []

    def add(self, tick: Tick) -> None:
        """Take in the lines about the requests of a tick."""
        if self._requests is None:
            return
        runs: dict[int, tuple[int, int]] = {}
        low, high = self._window
        for said in self._requests.of_tick(tick.number, self._share):
            place = said.place
            if place not in runs:
                pod = tick.pods[place]
                runs[place] = self._life((pod.uid, pod.container, pod.attempt))
            run, last = runs[place]
            if low <= said.at < min(high, last):
                self._put(said.at, run, said.text, f"{said.trace}\t{said.span}\t1")

    def _life(self, key: tuple[str, str, int]) -> tuple[int, int]:
        """The number of a run, and the moment (ns) at which it can write no more."""
        record = self._records.get(key)
        if record is None:
            return 0, 0
        last = (record.run.finished + 1) * MS if record.run.finished >= 0 else self._window[1]
        return self._runs.number(key), last

    def finish(self) -> None:
        """Take in what programs write by themselves."""
        low, high = self._window
        for key, record in self._records.items():
            found = lines_of(self._world, record, low, high, without="requests")
            if found:
                run = self._runs.number(key)
                for at, text in found:
                    self._put(at, run, text, "\t\t0")

    def _put(self, at: int, run: int, text: str, ids: str) -> None:
        self._at.append(at)
        self._run.append(run)
        self._level.append(self._levels.number(level_of(text)))
        self._ids.append(ids)
        self._body.append(cells(text) if _ODD.search(text) else text)

    def write(self, database: Database, path: Path) -> int:
        """Write the table; returns the number of lines. Without lines there is no file."""
        count = len(self._at)
        if not count:
            return 0
        columns: dict[str, NDArray[Any]] = {
            "number": np.arange(count, dtype=np.int64),
            "at": np.array(self._at, np.int64),
            "run": np.array(self._run, np.int32),
            "level": np.array(self._level, np.int32),
            "ids": np.array(self._ids, dtype=object),
            "body": np.array(self._body, dtype=object),
        }
        database.numbers("lines", columns)
        told = [cells(*_SEVERITIES.get(level, ("", 0))) for level in self._levels.ordered()]
        database.texts("levels", {"severity": told})
        services, resources = [], []
        for key in self._runs.ordered():
            service, resource = self._resource(self._records[key])
            services.append(cells(service))
            resources.append("\t" + cells("", resource, "", "", "", {}, {"log.iostream": "stdout"}, ""))
        database.texts("runs", {"service": services, "resource": resources})
        database.write(path, LOG_COLUMNS, _LINES)
        return count

    def _resource(self, record: Record) -> tuple[str, dict[str, str]]:
        """The service that a run belongs to, and what the collector knows of it."""
        labels = dict(record.labels)
        kind, owner = record.owner
        code = labels.get("pod-template-hash", "")
        out = {
            "k8s.namespace.name": record.namespace,
            "k8s.pod.name": record.pod,
            "k8s.pod.uid": record.uid,
            "k8s.container.name": record.container,
            "k8s.container.restart_count": str(record.run.attempt),
            "k8s.node.name": record.node,
        }
        workload = owner
        if kind == "ReplicaSet" and code and owner.endswith(f"-{code}"):
            workload = owner.removesuffix(f"-{code}")
            out |= {"k8s.replicaset.name": owner, "k8s.deployment.name": workload}
        elif kind:
            out[f"k8s.{kind.lower()}.name"] = owner
        known = (labels.get(name) for name in _NAMES)
        service = self._programs.get((record.namespace, workload, record.container)) or next(
            (name for name in known if name), workload or record.container
        )
        return service, {"service.name": service, **out}


def _programs(requests: Requests | None) -> dict[tuple[str, str, str], str]:
    """The service that traces call a container by (namespace, workload, container)."""
    out: dict[tuple[str, str, str], str] = {}
    if requests is None:
        return out
    for item in requests.names.services:
        for container in (item.name, item.workload):
            out.setdefault((item.namespace, item.workload, container), item.name)
    return out
