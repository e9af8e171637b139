"""The logs of a cluster's containers as streams, labelled as log collectors label them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from heapq import merge
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet import history, lines
from firedrill.world.sim.tables import table
from firedrill.world.telemetry.logs import Entry, Stream

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.history import Record
    from firedrill.world.world import World

_OPEN = 1 << 62


@cache
def settings() -> Mapping[str, Any]:
    """The collector's rules and what the server says of itself."""
    return table("firedrill.gateway.loki", "labels.yaml")  # type: ignore[no-any-return]


class ClusterLogs:
    """A source of lines: all containers of a world, those of pods that are gone included.

    Args:
        world: whose logs; it is only read.
    """

    def __init__(self, world: World) -> None:
        from firedrill.world import telling

        telling.listen()
        self._world = world
        self._count = -1
        self._by_labels: dict[tuple[tuple[str, str], ...], list[Record]] = {}

    def streams(self, start: int, end: int) -> Sequence[Stream]:
        """See `Source`."""
        out = []
        for labels, found in self._streams().items():
            first = min(record.run.started for record in found) * lines.MS
            last = max(_end(record) for record in found)
            if first < end and last >= start:
                out.append(Stream(labels, (), first, last))
        return out

    def read(self, stream: Stream, start: int, end: int) -> Sequence[Entry]:
        """See `Source`."""
        found = self._streams()[stream.labels]
        parts = [
            lines.lines_of(self._world, record, start, end)
            for record in found
            if record.run.started * lines.MS < end and _end(record) >= start
        ]
        told = parts[0] if len(parts) == 1 else merge(*parts, key=lambda line: line[0])
        return [Entry(at, text) for at, text in told]

    def _streams(self) -> Mapping[tuple[tuple[str, str], ...], list[Record]]:
        part = history.runs(self._world)
        if part.count != self._count:
            found: dict[tuple[tuple[str, str], ...], list[Record]] = {}
            for record in part.records.values():
                key = (
                    record.namespace,
                    record.pod,
                    record.node,
                    record.labels,
                    record.owner,
                    record.container,
                )
                found.setdefault(_labels(*key, record.run.plan.style), []).append(record)
            self._by_labels = dict(sorted(found.items()))
            self._count = part.count
        return self._by_labels


def _end(record: Record) -> int:
    return (record.run.finished + 1) * lines.MS if record.run.finished >= 0 else _OPEN


@lru_cache(maxsize=8192)
def _labels(
    namespace: str,
    pod: str,
    node: str,
    labels: tuple[tuple[str, str], ...],
    owner: tuple[str, str],
    container: str,
    style: str,
) -> tuple[tuple[str, str], ...]:
    known = {
        "namespace": namespace,
        "pod": pod,
        "node": node,
        "container": container,
        "owner": _workload(owner, labels),
    }
    known |= {f"label:{name}": value for name, value in labels}
    out = {}
    for name, sources in settings()["labels"].items():
        value = next((known[source] for source in sources if known.get(source)), "")
        if value:
            out[name] = value
    out["job"] = f"{namespace}/{out['app']}"
    out["stream"] = "stderr" if style in settings()["stderr"] else "stdout"
    return tuple(sorted(out.items()))


def _workload(owner: tuple[str, str], labels: tuple[tuple[str, str], ...]) -> str:
    """The controller's name; of a ReplicaSet without its hash."""
    kind, name = owner
    code = dict(labels).get("pod-template-hash", "")
    return name.removesuffix(f"-{code}") if kind == "ReplicaSet" and code else name
