"""Public cases of Rego and of CIS controls: none wrong in silence, and as many right as is promised."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from firedrill.world.policy.rego import REFUSED
from firedrill.world.policy.rego.engine import outcome_of
from firedrill.world.policy.rego.inside import regorus_engine
from firedrill.world.policy.rego.process import known_functions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import bench_rego
import regolibrary_cases

pytestmark = pytest.mark.shared


def _ask(case: dict[str, Any]) -> Any:
    """As the worker does, in this process: nine hundred processes would take a minute."""
    query, given = bench_rego.asked(case)
    prepared = regorus_engine.prepare(
        {
            "modules": [[item.name, item.text] for item in bench_rego.modules_of(case)],
            "query": query,
            "known": known_functions(),
            "refused": list(REFUSED),
            "strict": bool(case.get("strict_error")),
            "data": json.dumps(case["data"]) if case.get("data") else "",
        }
    )
    if prepared.about["errors"]:
        return outcome_of({"error": prepared.about["errors"][0]})
    return outcome_of(prepared.answer("" if given is None else json.dumps(given)))


def test_rego_is_right_on_what_matters_and_never_wrong_in_silence(shared_data: Any) -> None:
    found: Counter[tuple[bool, str]] = Counter()
    silent = []
    for path in sorted((shared_data("policy-dev") / "rego").glob("*/*.json")):
        for case in json.loads(path.read_text())["cases"]:
            said = bench_rego.judge(case, _ask(case))
            found[not path.parent.name.startswith(bench_rego.ASIDE), said] += 1
            if said == "silent":
                silent.append(case["note"])
    assert not silent
    assert found.total() > 900
    matter = sum(count for (matters, _), count in found.items() if matters)
    assert found[True, "right"] >= 0.97 * matter, found


def test_our_own_policies_for_controls_agree_with_public_cases(shared_data: Any) -> None:
    cases = list(regolibrary_cases.cases(shared_data("policy-dev")))
    assert len(cases) > 170
    wrong = [(item.test, item.got) for item in cases if not item.right]
    assert len(wrong) <= 0.02 * len(cases), wrong
