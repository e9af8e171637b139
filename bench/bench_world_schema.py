"""How fast bodies are decoded, defaulted and held against the rules. Runs alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from firedrill.world.kube.kinds import default_kinds
from firedrill.world.kube.schema import decode, default, definitions, openapi_v3_index, schema_for, validate

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
    "spec": {
        "containers": [
            {
                "name": name,
                "image": f"example/{name}:1.0",
                "ports": [{"containerPort": 8080, "name": "http"}],
                "env": [{"name": f"KEY_{index}", "value": str(index)} for index in range(8)],
                "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
            }
            for name in ("web", "proxy")
        ],
        "volumes": [{"name": "config", "configMap": {"name": "web"}}],
    },
}


def micros(work: Callable[[], object], rounds: int = 2000) -> float:
    """Microseconds per call, the best of five runs."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(rounds // 5):
            work()
        best = min(best, (time.perf_counter() - start) / (rounds // 5))
    return best * 1e6


def main() -> None:
    """Print the table."""
    code = (
        "import time; t = time.perf_counter()\n"
        "from firedrill.world.kube.kinds import default_kinds\n"
        "from firedrill.world.kube.schema import default, schema_for\n"
        "kind = default_kinds().find('po'); default(kind, {'spec': {'containers': []}})\n"
        "print((time.perf_counter() - t) * 1000)"
    )
    cold = float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    kinds = default_kinds()
    kind = kinds.find("po")
    assert kind is not None
    schema, found = schema_for(kind), definitions()
    body = decode(schema, POD).obj
    made = default(kind, body)
    start = time.perf_counter()
    openapi_v3_index(kinds)
    documents = (time.perf_counter() - start) * 1000
    rows = [
        ("cold: import, kinds, definitions, defaults of pods", "< 150 ms", f"{cold:.0f} ms"),
        ("decode a pod of two containers", "", f"{micros(lambda: decode(schema, POD)):.0f} us"),
        ("fill in its defaults", "", f"{micros(lambda: default(kind, body)):.0f} us"),
        ("hold it against the rules", "< 150 us", f"{micros(lambda: validate(kind, made)):.0f} us"),
        ("all OpenAPI v3 documents, first time", "< 200 ms", f"{documents:.0f} ms"),
    ]
    print(f"Kubernetes {found.version}, {len(found.raw)} types")
    for what, target, measured in rows:
        print(f"{what:<52} {target:>9} {measured:>9}")


if __name__ == "__main__":
    main()
