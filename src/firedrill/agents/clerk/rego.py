"""Rego over what a script collects with kubectl: pods and what makes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from firedrill.agents.clerk.model import Condition, Demand, Value
from firedrill.agents.clerk.words import Words

HEAD = """package check

default result := false

result if {
  is_array(input.items)
  count(violations) == 0
}

entity(obj) := concat("/", [object.get(obj.metadata, "namespace", "cluster"), obj.kind, obj.metadata.name])
"""
_MAKERS = (
    "pods",
    "replicationcontrollers",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "cronjobs",
)
_PODS = """
workloads contains [obj, spec_of(obj)] if {
  some obj in input.items
  obj.kind in %(kinds)s
  not obj.metadata.namespace in %(exempt)s
  not owned(obj)
}

owned(obj) if {
  some owner in obj.metadata.ownerReferences
  owner.controller == true
}

spec_of(obj) := obj.spec if obj.kind == "Pod"

spec_of(obj) := obj.spec.jobTemplate.spec.template.spec if obj.kind == "CronJob"

spec_of(obj) := obj.spec.template.spec if not obj.kind in {"Pod", "CronJob"}

within(spec) := array.concat(
  array.concat(object.get(spec, "containers", []), object.get(spec, "initContainers", [])),
  object.get(spec, "ephemeralContainers", []),
)

items("pod", spec) := [spec]

items("container", spec) := within(spec)

items("port", spec) := [port | some one in within(spec); some port in object.get(one, "ports", [])]

items("volume", spec) := object.get(spec, "volumes", [])

violations contains entity(obj) if {
  some [obj, spec] in workloads
  broken(spec)
}
"""
_KINDS = (
    "Pod",
    "ReplicationController",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
)


def fetcher(resources: Iterable[str], keep: str = "kind, metadata, spec") -> str:
    """A script that collects all objects of some resources."""
    return (
        "#!/bin/sh\nset -eu\n"
        f"kubectl get {','.join(resources)} -A -o json |\n"
        f"  jq '{{items: [.items[] | {{{keep}}}]}}' > collected_data.json\n"
    )


def of_pods(words: Words, demands: Sequence[Demand], extra: str = "") -> dict[str, str]:
    """Both files for demands of pods. ``extra`` holds further rules `broken(spec)`."""
    body = _PODS % {"kinds": listed(_KINDS), "exempt": listed(words.exempt)}
    rules = []
    for number, demand in enumerate(demands):
        test = f"fine_{number}(item, spec)"
        rules.append(f'broken(spec) if {{\n  some item in items("{demand.scope}", spec)\n  not {test}\n}}\n')
        never = "".join(f"  not never_{number}_{place}(item, spec)\n" for place in range(len(demand.never)))
        rules += [f"{test} if {{\n{_test(one)}{never}}}\n" for one in demand.fine]
        rules += [
            f"never_{number}_{place}(item, spec) if {{\n{_test(one)}}}\n"
            for place, one in enumerate(demand.never)
        ]
    text = "\n".join([HEAD + body, *rules]) + extra
    return {"fetcher.sh": fetcher(_MAKERS), "policy.rego": text}


def listed(values: Iterable[Value]) -> str:
    """A set as Rego writes it."""
    items = [json.dumps(item) for item in values]
    return "{" + ", ".join(items) + "}" if items else "set()"


def _test(one: Condition) -> str:
    path = json.dumps(list(one.path))
    missing = f"object.get(spec, {path}, null)" if one.inherited else "null"
    value = f"  value := object.get(item, {path}, {missing})\n"
    values = listed(one.values)
    bound = one.values[0] if one.values else 0
    if one.operator == "set":
        return value + "  value != null\n"
    if one.operator == "none-in" and not one.values:
        return value + "  value == null\n"
    if one.operator == "in":
        return value + f"  value in {listed([*one.values])[:-1]}{', null' if one.absent else ''}}}\n"
    if one.operator in ("above", "at-most"):
        return value + f"  is_number(value)\n  value {'>' if one.operator == 'above' else '<='} {bound}\n"
    chosen = f"  value := object.get(item, {path}, [])\n  given := {{v | some v in value}}\n"
    tests = {
        "all-in": f"  count(given - {values}) == 0\n",
        "none-in": f"  count(given & {values}) == 0\n",
        "has": f"  count({values} - given) == 0\n",
    }
    return chosen + tests[one.operator]


__all__ = ["HEAD", "fetcher", "listed", "of_pods"]
