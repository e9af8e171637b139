"""The HTTP API of a real Prometheus and ours: the same requests on the same samples."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import prometheus_service
import promql_samples
from firedrill.gateway.prometheus import prometheus_app
from firedrill.world.telemetry import Monitoring, promql

FOLDER = Path(__file__).parent / "data" / "promql"
REQUESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "requests.yaml").read_text(encoding="utf-8"))
LAST_BITS = re.compile(r"-?\d+\.\d{8,}")
START, END = promql_samples.START, promql_samples.START + promql_samples.MINUTES * 60_000
BINARIES = [
    pytest.param(binary, id="{}.{}".format(*binary.version), marks=() if not number else pytest.mark.slow)
    for number, binary in enumerate(prometheus_service.find_prometheus())
] or [pytest.param(None, id="none", marks=pytest.mark.skip("no Prometheus is here: scripts/prometheus"))]
pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]


class Fixed:
    """A world whose clock stands still."""

    def __init__(self) -> None:
        self.monitoring = Monitoring()
        self.monitoring.store = promql_samples.filled()
        self.now_ms = END

    def refresh(self, *, free: bool = False) -> None:
        """Nothing moves."""


@pytest.fixture(scope="module")
def fixed() -> Fixed:
    return Fixed()


@pytest.fixture(scope="module", params=BINARIES)
def real(request: pytest.FixtureRequest, fixed: Fixed) -> Iterator[prometheus_service.Prometheus]:
    with prometheus_service.running(request.param) as server:
        server.write(promql_samples.dumped(fixed.monitoring.store))
        fixed.monitoring.rules.options = promql.dialect("{}.{}.{}".format(*request.param.version))
        yield server


def asked(client: Any, one: dict[str, Any]) -> Any:
    method = one.get("method", "GET")
    params = [
        (key, str({"$START": START / 1000, "$END": END / 1000}.get(value, value)))
        for key, values in one["params"].items()
        for value in (values if isinstance(values, list) else [values])
    ]
    if method == "POST":
        fields: dict[str, list[str]] = {}
        for key, value in params:
            fields.setdefault(key, []).append(value)
        return client.post(f"/api/v1/{one['path']}", data=fields)
    return client.request(method, f"/api/v1/{one['path']}", params=params)


def plain(answer: Any) -> Any:
    kind = answer.headers["content-type"].partition(";")[0]
    if kind != "application/json":
        return answer.status_code, kind, answer.text
    return answer.status_code, kind, unordered(answer.json())


def unordered(value: Any) -> Any:
    """Lists of objects and of hints without their order."""
    if isinstance(value, dict):
        return {key: unordered(one) for key, one in value.items()}
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], int | float):
        return [value[0], LAST_BITS.sub(lambda found: f"{float(found[0]):.10g}", str(value[1]))]
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [unordered(one) for one in value]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted((unordered(one) for one in value), key=repr)
    if isinstance(value, list) and value and str(value[0]).startswith("PromQL"):
        return sorted(value)
    return value


def parts(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_requests(real: prometheus_service.Prometheus, fixed: Fixed) -> None:
    failures = []
    with TestClient(prometheus_app(fixed)) as client:
        for one in REQUESTS:
            version = real.binary.version
            if version < parts(one.get("since", "0")) or version >= parts(one.get("until", "9")):
                continue
            theirs, mine = plain(asked(real.client, one)), plain(asked(client, one))
            if theirs != mine:
                failures.append(f"{one}\n    ours:   {str(mine)[:600]}\n    theirs: {str(theirs)[:600]}")
    assert not failures, f"{len(failures)} differ:\n" + "\n".join(failures)
