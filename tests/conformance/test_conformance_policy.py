"""Public policy cases: pod security all, Kyverno and its CEL at least 99 in 100."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from firedrill.world.kube.admission.pod_security import evaluate

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import kyverno_cases

pytestmark = pytest.mark.shared


def test_pod_security_agrees_with_every_pod_of_the_standards(shared_data: Any) -> None:
    folder = shared_data("policy-dev") / "psa" / "v1.34"
    wrong, count = [], 0
    for path in sorted(folder.glob("*/*/*.yaml")):
        level, wanted = path.parts[-3], path.parts[-2]
        pod = yaml.safe_load(path.read_text())
        found = evaluate(level, "v1.34", pod["metadata"], pod["spec"])
        count += 1
        if bool(found) is (wanted == "pass"):
            wrong.append((path.name, [str(item) for item in found]))
    assert count == 144
    assert not wrong


def test_a_restricted_pod_passes_the_lower_level_and_a_baseline_failure_fails_both(shared_data: Any) -> None:
    folder = shared_data("policy-dev") / "psa" / "v1.34"
    for path in sorted((folder / "restricted" / "pass").glob("*.yaml")):
        pod = yaml.safe_load(path.read_text())
        assert not evaluate("baseline", "latest", pod["metadata"], pod["spec"]), path.name
    for path in sorted((folder / "baseline" / "fail").glob("*.yaml")):
        pod = yaml.safe_load(path.read_text())
        assert evaluate("restricted", "latest", pod["metadata"], pod["spec"]), path.name


def test_kyverno_cases(shared_data: Any) -> None:
    found = [item for item in kyverno_cases.outcomes(shared_data("policy-dev")) if not item.registry]
    assert len(found) > 1800
    cel = [item for item in found if item.suite in kyverno_cases.CEL]
    for some in (found, cel):
        wrong = [(item.test, item.expect["resource"], item.got) for item in some if not item.right]
        assert len(wrong) <= len(some) * 0.01, wrong
