"""Rules as `promtool test rules` of a real Prometheus evaluates them, and as ours does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import prometheus_service
from firedrill.world.telemetry import SeriesStore, labels, promql
from firedrill.world.telemetry.rules import RuleBook, read_rules

FILE = Path(__file__).parent / "data" / "promql" / "rules.yaml"
BINARIES = [
    pytest.param(binary, id="{}.{}".format(*binary.version), marks=() if not number else pytest.mark.slow)
    for number, binary in enumerate(prometheus_service.find_prometheus())
] or [pytest.param(None, id="none", marks=pytest.mark.skip("no Prometheus is here: scripts/prometheus"))]
pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

STEP = 30_000
MINUTES = 30
SERIES: dict[str, list[float]] = {
    'requests_total{job="api",code="200"}': [600.0 * n for n in range(60)],
    'requests_total{job="api",code="500"}': [0.0] * 10
    + [200.0 * n for n in range(20)]
    + [3800.0] * 20
    + [3800.0 + 900 * n for n in range(10)],
    'requests_total{job="web",code="200"}': [300.0 * n for n in range(60)],
    'requests_total{job="web",code="503"}': [5.0 * n for n in range(60)],
    'level{zone="z1"}': [40.0, 60, 60, 60, 60, 45, 45, 45, 45, 45, 45, 45, 70, 71.5, 72, 20, 73, 20, 95, 95]
    * 3,
    'level{zone="z2"}': [5.0] * 10 + [55.0] * 20 + [9.25] * 15 + [1234.5678] * 15,
}


def ours(monkeypatch: pytest.MonkeyPatch, version: str) -> list[dict[str, Any]]:
    """For each step the firing alerts, as promtool's file has them; it evaluates at whole steps."""
    monkeypatch.setattr("firedrill.world.telemetry.rules.book._phase", lambda *_: 0)
    store, book = SeriesStore(), RuleBook(options=promql.dialect(version))
    book.add(read_rules(FILE.read_text(encoding="utf-8"), "rules.yaml"))
    for text, values in SERIES.items():
        node = promql.parse(text)
        pairs = {matcher.name: matcher.value for matcher in node.matchers}  # type: ignore[attr-defined]
        store.write_samples(labels.make(pairs), [n * STEP for n in range(len(values))], values)
    names = [rule.alert for group in book.groups for rule in group.rules if rule.alert]
    cases = []
    for step in range(MINUTES * 60_000 // STEP):
        book.advance(store, step * STEP)
        firing = book.all_alerts("firing")
        for name in names:
            found = [alert for alert in firing if dict(alert.labels)["alertname"] == name]
            expected = [
                {
                    "exp_labels": {key: text for key, text in alert.labels if key != "alertname"},
                    "exp_annotations": dict(alert.annotations),
                }
                for alert in found
            ]
            cases.append({"eval_time": f"{step * STEP // 1000}s", "alertname": name, "exp_alerts": expected})
    return cases


@pytest.mark.parametrize("binary", BINARIES)
def test_alerts(
    binary: prometheus_service.PrometheusBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = binary.path.with_name("promtool")
    if not program.is_file():
        pytest.skip("no promtool is beside this Prometheus")
    cases = ours(monkeypatch, "{}.{}.{}".format(*binary.version))
    assert sum(bool(case["exp_alerts"]) for case in cases) > 100
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == {
        case["alertname"] for case in cases
    }
    test = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "30s",
        "group_eval_order": ["recording", "alerting"],
        "tests": [
            {
                "interval": "30s",
                "input_series": [
                    {
                        "series": text,
                        "values": " ".join(
                            f"{value:g}" if value != 1234.5678 else "1234.5678" for value in values
                        ),
                    }
                    for text, values in SERIES.items()
                ],
                "alert_rule_test": cases,
            }
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(test), encoding="utf-8")
    done = subprocess.run(
        [program, "test", "rules", path], check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:6000]
