"""Scenarios that collect with kubectl: oracle and procedure agree, and each mutant falls into its trap.

What `kubectl get … -o json` would give is made here from a variant's objects, as an API server stores them, and
from the objects that every cluster has; the real kubectl is for the tests of episodes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest

from firedrill.suites.compliance import known_ids, load, variants
from firedrill.suites.compliance.cluster import Cluster
from firedrill.suites.compliance.loading import artefacts, mutated
from firedrill.suites.compliance.model import Variant
from firedrill.world.build import make_world
from firedrill.world.policy.rego import Module, Outcome, Rego, Value, lint, verdict

OWN = tuple(name for name in known_ids() if load(name).scenario_class == "kubectl-opa")
_GET = re.compile(r"kubectl get (?P<kinds>[a-z,.]+)(?P<all> -A)? -o json")
Obj = Mapping[str, Any]


@cache
def built_in() -> tuple[Obj, ...]:
    """The objects that a new cluster has."""
    world = make_world(7, nodes=2)
    store, kinds = world.cluster.store, world.cluster.kinds
    found: list[Obj] = []
    for resource in sorted(store.resources()):
        kind = kinds.storage(resource)
        if kind is not None and kind.kind != "Event":
            head = {"apiVersion": kind.api_version, "kind": kind.kind}
            found += [{**head, **obj} for obj in store.list(resource)]
    return tuple(found)


@cache
def stored(name: str, seed: int, whole: bool) -> tuple[tuple[Variant, tuple[Obj, ...]], ...]:
    """Variants, with their objects, or with all that is in their clusters."""
    found = []
    for variant in variants(load(name), seed):
        cluster = Cluster(variant.state)
        there = [item for item in built_in() if whole and _id(item) not in cluster.objects]
        found.append((variant, (*cluster.objects.values(), *there)))
    return tuple(found)


def _id(obj: Obj) -> str:
    about = obj["metadata"]
    return f"{about.get('namespace') or 'cluster'}/{obj['kind']}/{about['name']}"


def collected(script: str, objects: Sequence[Obj]) -> dict[str, Any]:
    """What the script's one `kubectl get` gives."""
    found = _GET.search(script)
    assert found is not None, script
    kinds = Cluster([]).kinds
    wanted = {kinds.find(item).kind for item in found["kinds"].split(",")}  # type: ignore[union-attr]
    space = (None, "default") if found["all"] is None else None
    items = [
        {"kind": item["kind"], "metadata": item["metadata"], "spec": item.get("spec"), **item}
        for item in objects
        if item["kind"] in wanted and (space is None or item["metadata"].get("namespace") in space)
    ]
    return {"items": items}


def asked(files: Mapping[str, str], clusters: Sequence[Sequence[Obj]], query: str) -> list[Outcome]:
    """What a policy says of what the script collects."""
    inputs = [collected(files["fetcher.sh"], objects) for objects in clusters]
    return Rego().evaluate_many([Module("policy.rego", files["policy.rego"])], query, inputs)


def judged(files: Mapping[str, str], clusters: Sequence[Sequence[Obj]]) -> list[bool | None]:
    """Verdicts of artefacts."""
    return [verdict(item) for item in asked(files, clusters, "data.check.result")]


@pytest.mark.parametrize("name", OWN)
def test_the_oracle_is_right_everywhere_and_names_what_breaks_the_rule(name: str) -> None:
    files = artefacts(load(name))
    assert [item.code for item in lint(files["policy.rego"])] == []
    for seed in (0, 1):
        drawn = stored(name, seed, whole=seed == 0)
        outcomes = asked(
            files, [objects for _, objects in drawn], "[data.check.result, data.check.violations]"
        )
        for (variant, _), outcome in zip(drawn, outcomes, strict=True):
            assert isinstance(outcome, Value), outcome
            wanted = [variant.compliant, list(variant.violating)]
            assert outcome.value == wanted, (variant.name, variant.trap, json.dumps(outcome.value))


@pytest.mark.parametrize("name", OWN)
def test_each_mutant_falls_into_its_trap_and_passes_for_right_where_agents_look(name: str) -> None:
    spec = load(name)
    drawn = stored(name, 0, whole=False)
    caught = set()
    for mutant in spec.mutants:
        found = judged(mutated(spec, mutant), [objects for _, objects in drawn])
        wrong = {
            variant.trap
            for (variant, _), got in zip(drawn, found, strict=True)
            if got is not variant.compliant
        }
        assert mutant.trap in wrong, (mutant.title, sorted(wrong), found)
        caught |= wrong
    assert {item.trap for item in spec.variants} <= caught, "a trap that catches nobody"
