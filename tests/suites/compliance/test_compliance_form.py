"""The form of compliance scenarios: each packaged one can be drawn, and its truth is what procedures say."""

from __future__ import annotations

from collections import Counter

import pytest

from firedrill.core.compliance import CLUSTER_CLASSES
from firedrill.core.errors import InputError
from firedrill.suites.compliance import BLIND, CATALOGUE, known_ids, load, text_of, variants
from firedrill.suites.compliance.blind import by_hash
from firedrill.suites.compliance.controls import judge_of, verdicts
from firedrill.suites.compliance.opening import PAPER_MIX, members
from firedrill.suites.compliance.patching import patched


def test_the_blind_are_chosen_by_hash() -> None:
    assert len(CATALOGUE) == 65
    assert by_hash() == BLIND


def test_the_mix_of_the_paper_is_drawn_by_hash() -> None:
    assert known_ids() == tuple(sorted(CATALOGUE))
    found = members("ciso-paper")
    assert Counter(load(name).scenario_class for name in found) == PAPER_MIX
    assert found != members("ciso-core") == known_ids()
    left = "kg-04 kg-06 ko-01 ko-02 ko-03 ko-06 ku-01 ku-06 rh-03 rh-07 rh-10 rh-20 rh-22 rh-23 rh-27"
    assert " ".join(sorted(set(CATALOGUE) - set(found))) == left


@pytest.mark.parametrize("name", known_ids())
def test_truth_and_procedure_agree(name: str) -> None:
    spec = load(name)
    if spec.scenario_class not in CLUSTER_CLASSES:
        pytest.skip("of a host")
    judge = judge_of(name)
    for seed in (0, 1):
        for variant in variants(spec, seed):
            assert verdicts(judge(variant.state)) == dict(sorted(variant.expect.items())), (
                variant.name,
                variant.trap,
            )
            assert variant.compliant is not bool(variant.violating)
    assert "${" not in text_of(spec)
    assert sum(item.compliant for item in spec.variants) >= 2
    assert sum(not item.compliant for item in spec.variants) >= 3
    assert {item.trap for item in spec.mutants} <= {item.trap for item in spec.variants}


def test_variants_are_drawn_by_seed_and_the_visible_one_is_not() -> None:
    spec = load("kg-01")
    one, same, other = variants(spec, 1), variants(spec, 1), variants(spec, 2)
    assert one == same
    assert one[:2] == other[:2]
    assert all(a.words != b.words for a, b in zip(one[2:], other[2:], strict=True))
    assert one[0].words == one[1].words


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"remove": ["shop/Pod/none"]}, "there is no object shop/Pod/none"),
        ({"set": {"shop/Pod/a": {"spec/containers/7/image": "x"}}}, "no place"),
        ({"add": [{"make": "Pod", "name": "a", "namespace": "shop"}]}, "is there already"),
        ({"add": [{"make": "Planet", "name": "a"}]}, "cannot make"),
        ({"add": [{"repeat": 10_000, "object": {}}]}, "repeat must be"),
        ({"change": {}}, "Extra inputs"),
        ({"add": [{"make": "Pod", "name": "${nobody}"}]}, "is not drawn"),
    ],
)
def test_patches_say_what_is_wrong(patch: dict[str, object], words: str) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": [{}]}}
    with pytest.raises(InputError, match=words):
        patched([pod], patch, {}, "here")
