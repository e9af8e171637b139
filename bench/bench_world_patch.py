"""What a write costs beside the store: patches, the record of who wrote what, rows of tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from firedrill.world.kube import printers
from firedrill.world.kube.kinds import default_kinds
from firedrill.world.kube.patch import json_patch, server_side_apply, strategic_merge, track_update
from firedrill.world.kube.schema import schema_for
from table import show

NOW = 1_767_603_600_000
AT = "2026-01-05T08:58:00Z"


def micros(call: Callable[[], Any], calls: int = 1000, rounds: int = 7) -> str:
    """Median microseconds of a call."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - started) / calls * 1e6)
    return f"{statistics.median(times):.0f} us"


def pod() -> dict[str, Any]:
    """A pod of ordinary size."""
    env = [{"name": f"SERVICE_{number}", "value": f"service-{number}:80"} for number in range(12)]
    container = {
        "name": "server",
        "image": "registry.example/shop:1",
        "env": env,
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "200m", "memory": "128Mi"}, "requests": {"cpu": "100m"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "creationTimestamp": AT},
        "spec": {"containers": [container], "nodeName": "worker-01", "restartPolicy": "Always"},
    }


def main() -> None:
    """Prints the table."""
    kind = default_kinds().by_gvk("", "v1", "Pod")
    assert kind is not None
    schema = schema_for(kind)
    live = track_update(None, pod(), "kubectl-create", AT, "v1", "", schema)
    ready = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    running = {**live, "status": ready}
    kept = track_update(live, running, "kubelet", AT, "v1", "status", schema)
    failed = {**kept, "status": {**ready, "conditions": [{"type": "Ready", "status": "False"}]}}
    labelled = {**kept, "metadata": {**kept["metadata"], "labels": {"app": "web", "a": "b"}}}
    patch = {"spec": {"containers": [{"name": "server", "image": "registry.example/shop:2"}]}}
    cells = printers.cells(kind, kept)
    show(
        "patches and rows of one pod",
        [
            (
                "record of a status write",
                "under 100 us",
                micros(lambda: track_update(kept, failed, "kubelet", AT, "v1", "status", schema)),
            ),
            (
                "record of one new label",
                "under 100 us",
                micros(lambda: track_update(kept, labelled, "kubectl-label", AT, "v1", "", schema)),
            ),
            (
                "record of a write without change",
                "under 10 us",
                micros(lambda: track_update(kept, kept, "x", AT, "v1", "", schema)),
            ),
            (
                "record of a creation",
                "",
                micros(lambda: track_update(None, pod(), "x", AT, "v1", "", schema)),
            ),
            (
                "server-side apply of the same",
                "",
                micros(lambda: server_side_apply(kept, pod(), "x", schema, True, AT, "v1"), 300),
            ),
            ("strategic merge of an image", "", micros(lambda: strategic_merge(kept, patch, schema))),
            (
                "JSON patch of a label",
                "",
                micros(lambda: json_patch(kept, [{"op": "add", "path": "/metadata/labels/a", "value": "b"}])),
            ),
            ("a row, first time", "", micros(lambda: printers.cells(kind, kept))),
            ("a row, kept, its ages filled in", "", micros(lambda: printers.at(cells, NOW))),
        ],
    )


if __name__ == "__main__":
    main()
