"""`otel_logs_raw.tsv`: what containers have written, as a collector of logs sends it away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from firedrill.snapshot.columns import LOG_COLUMNS
from firedrill.suites.exporting.columns import beside, encoded, hexadecimal, picked, stamps, write_lines
from firedrill.suites.exporting.texts import Numbered, cells
from firedrill.world import telling
from firedrill.world.kube.kubelet import history
from firedrill.world.kube.kubelet.lines import MS, lines_of
from firedrill.world.telemetry.logs.levels import level_of
from firedrill.world.telemetry.logs.requests import RequestLines

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


_TOGETHER = 32
"""Ticks whose lines are made at once."""


class _Lines(NamedTuple):
    """Of a table: moments in ns, numbers of runs and levels, ids as they are written, and bodies as cells."""

    at: NDArray[np.int64]
    run: NDArray[np.int64]
    level: NDArray[np.int64]
    ids: list[bytes]
    body: list[str]


def _body(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _ODD.search(text) else text


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
        self._ticks: list[Tick] = []
        self._parts: list[_Lines] = []

    def add(self, tick: Tick) -> None:
        """Take in the lines about the requests of a tick."""
        self._ticks.append(tick)
        if len(self._ticks) >= _TOGETHER:
            self._tell()

    def _tell(self) -> None:
        """The lines about the requests of some ticks at once."""
        if self._requests is None or not self._ticks:
            return
        ticks, self._ticks = self._ticks, []
        told = self._requests.of_ticks([tick.number for tick in ticks], self._share)
        width = max(len(tick.pods) for tick in ticks) + 1
        writers = told.turn * width + told.place
        found, back = np.unique(writers, return_inverse=True)
        lives = []
        for turn, place in (divmod(writer, width) for writer in found.tolist()):
            pod = ticks[turn].pods[place]
            lives.append(self._life((pod.uid, pod.container, pod.attempt)))
        runs, lasts = np.array(lives or [(0, 0)], np.int64).T
        low, high = self._window
        kept = np.flatnonzero((told.at >= low) & (told.at < np.minimum(high, lasts[back])))
        levels = [told.level[place] for place in kept.tolist()]
        numbers = {level: self._levels.number(level) for level in dict.fromkeys(levels)}
        high_half, low_half, span = (hexadecimal(words[kept]) for words in (told.high, told.low, told.span))
        self._parts.append(
            _Lines(
                told.at[kept],
                runs[back[kept]],
                np.array([numbers[level] for level in levels], np.int64),
                beside(high_half, low_half, b"\t", span, b"\t1") if len(kept) else [],
                [_body(told.text[place]) for place in kept.tolist()],
            )
        )

    def _life(self, key: tuple[str, str, int]) -> tuple[int, int]:
        """The number of a run, and the moment (ns) at which it can write no more."""
        record = self._records.get(key)
        if record is None:
            return 0, 0
        last = (record.run.finished + 1) * MS if record.run.finished >= 0 else self._window[1]
        return self._runs.number(key), last

    def finish(self) -> None:
        """Take in what programs write by themselves."""
        self._tell()
        low, high = self._window
        at, runs, levels, bodies = [], [], [], []
        for key, record in self._records.items():
            found = lines_of(self._world, record, low, high, without="requests")
            if found:
                run = self._runs.number(key)
                for moment, text in found:
                    at.append(moment)
                    runs.append(run)
                    levels.append(self._levels.number(level_of(text)))
                    bodies.append(_body(text))
        columns = (np.array(column, np.int64) for column in (at, runs, levels))
        moments, of, marked = columns
        self._parts.append(_Lines(moments, of, marked, [b"\t\t0"] * len(at), bodies))

    def write(self, path: Path) -> int:
        """Write the table; returns the number of lines. Without lines there is no file."""
        at, run, level = (np.concatenate([part[index] for part in self._parts]) for index in range(3))
        ids = [text for part in self._parts for text in part.ids]
        bodies = [text for part in self._parts for text in part.body]
        if not len(at):
            return 0
        order = np.argsort(at, kind="stable")
        run, level = run[order], level[order]
        places = order.tolist()
        told = [cells(*_SEVERITIES.get(item, ("", 0))) for item in self._levels.ordered()]
        services, resources = [], []
        for key in self._runs.ordered():
            service, resource = self._resource(self._records[key])
            services.append(cells(service))
            resources.append(
                "\t" + cells("", resource, "", "", "", {}, {"log.iostream": "stdout"}, "") + "\n"
            )
        heads = [f"\t{severity}\t{service}\t" for severity in told for service in services]
        begun = stamps(at[order])
        columns = [
            beside(begun, b"\t", begun[:, :19], b"\t"),
            [ids[place] for place in places],
            picked(encoded(heads), level * len(services) + run),
            encoded([bodies[place] for place in places]),
            picked(encoded(resources), run),
        ]
        write_lines(path, LOG_COLUMNS, columns)
        return len(at)

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
