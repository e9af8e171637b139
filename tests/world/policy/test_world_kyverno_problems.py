"""What admission of a policy says."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.world.policy.kyverno import Subject, evaluate, load, problems

MATCH = {"any": [{"resources": {"kinds": ["Pod"]}}]}


def policy(spec: dict[str, Any] | None = None, **rule: Any) -> dict[str, Any]:
    validate = {"pattern": {"spec": {"=(hostNetwork)": False}}}
    body = {"name": "rule", "match": MATCH, "validate": validate, **rule}
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "policy"},
        "spec": {"rules": [body], **(spec or {})},
    }


def test_a_right_policy_is_admitted() -> None:
    assert problems(policy({"background": True, "validationFailureAction": "Enforce"})) == []


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (policy(validate={"patern": {}}), 'unknown field "spec.rules[0].validate.patern"'),
        (policy({"validationFailureAction": "Block"}), "Unsupported value"),
        (policy({"background": "yes"}), 'spec.background in body must be of type boolean: "string"'),
        (policy(name="x" * 64), "spec.rules[0].name"),
        (policy(validate=None), "must be of type object"),
        (policy(match={}), "match resources must be specified"),
        (policy(validate={"message": "no"}), "one of pattern, anyPattern, deny, foreach must be specified"),
        (
            policy(validate={"pattern": {}, "deny": {}}),
            "only one of pattern, anyPattern, deny, foreach can be specified",
        ),
        (policy(match={"any": [{"resources": {"kinds": ["*"]}}]}), "not allowed in background mode"),
        (policy(match={"any": [{"resources": {"kinds": ["*", "Pod"]}}]}), "more than one kind"),
        (
            policy(match={"any": [{"resources": {"kinds": ["Pod"]}, "clusterRoles": ["admin"]}]}),
            "only select variables are allowed in background mode",
        ),
        (
            policy(preconditions={"all": [{"key": "{{request.userInfo.username}}", "operator": "Equals"}]}),
            "variable {{request.userInfo.username}} is not allowed",
        ),
        (
            policy(preconditions={"all": [{"key": "{{ wrong.name }}", "operator": "Equals"}]}),
            "variable wrong.name must match regex",
        ),
        (
            policy(preconditions={"all": [{"key": "{{ request.object.[ }}", "operator": "Equals"}]}),
            "incorrect query request.object.[",
        ),
        (
            policy(preconditions={"all": [{"key": "a", "operator": "Is"}]}),
            "entered value of `operator` is invalid",
        ),
        (policy(validate={"message": "{{ element.name }}", "deny": {}}), "present outside of foreach"),
        (policy(validate={"pattern": {"^(spec)": "x"}}), "must be of type array"),
        (policy(validate={"cel": {"expressions": [{"expression": "object.spec =="}]}}), "compilation failed"),
        (policy({"rules": [policy()["spec"]["rules"][0]] * 2}), "Duplicate rule name"),
        ({**policy(), "apiVersion": "kyverno.io/v9"}, 'no matches for kind "ClusterPolicy"'),
        ({"kind": "Pod"}, "no policy of Kyverno"),
    ],
)
def test_a_wrong_policy_is_refused_in_words(document: dict[str, Any], words: str) -> None:
    assert words in "\n".join(problems(document))


def test_a_kind_that_nobody_serves_is_refused_where_somebody_knows() -> None:
    wrong = policy(match={"any": [{"resources": {"kinds": ["Podd"]}}]})
    assert problems(wrong) == []
    assert "unable to convert GVK to GVR for kinds Podd" in problems(wrong, lambda *_: False)[0]


def test_a_validating_policy_needs_rules_and_expressions_that_compile() -> None:
    spec: dict[str, Any] = {"validations": [{"expression": "objct.spec.x == 1"}]}
    document = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ValidatingPolicy",
        "metadata": {"name": "policy"},
        "spec": spec,
    }
    told = "\n".join(problems(document))
    assert "at least one resource rule is required" in told
    assert "undeclared reference to 'objct'" in told


def test_nesting_without_end_is_refused() -> None:
    pattern: dict[str, Any] = {}
    for _ in range(5000):
        pattern = {"a": pattern}
    assert problems(policy(validate={"pattern": pattern}))


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"a": 1}, [["a"]]], ids=repr)
@pytest.mark.parametrize(
    "path",
    [
        ("spec",),
        ("spec", "rules"),
        ("spec", "rules", 0),
        ("spec", "rules", 0, "match"),
        ("spec", "rules", 0, "match", "any"),
        ("spec", "rules", 0, "match", "any", 0, "resources", "kinds"),
        ("spec", "rules", 0, "validate"),
        ("spec", "rules", 0, "validate", "pattern"),
        ("spec", "rules", 0, "preconditions"),
        ("spec", "rules", 0, "context"),
        ("metadata",),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_policies_of_any_shape_are_refused_or_judged(path: tuple[str | int, ...], value: Any) -> None:
    document: Any = copy.deepcopy(policy(preconditions={}, context=[]))
    here = document
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    told = problems(document)
    assert all(isinstance(item, str) and item for item in told)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"hostNetwork": True}}
    try:
        loaded = load(document)
    except InputError:
        assert told
        return
    assert all(row.result in ("pass", "fail", "skip", "error") for row in evaluate([loaded], Subject(pod)))
