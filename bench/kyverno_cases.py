"""Kyverno's public test cases, judged by the engine: what is expected, and what the engine says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from firedrill.core.errors import InputError
from firedrill.world.policy.kyverno import (
    LookupFailed,
    Nothing,
    Policy,
    Row,
    Subject,
    User,
    evaluate,
    load,
)

CEL = ("validate.cel", "ValidatingPolicy")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CLUSTER = frozenset(
    {
        "Namespace",
        "Node",
        "PersistentVolume",
        "ClusterRole",
        "ClusterRoleBinding",
        "StorageClass",
        "CustomResourceDefinition",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    }
)


@dataclass(frozen=True)
class Outcome:
    """One expectation, and what the engine said."""

    suite: str
    test: str
    expect: Mapping[str, Any]
    got: str
    message: str
    misspelt: bool = False
    """It names a rule that the policy does not have, so that it is judged by the policy."""

    @property
    def right(self) -> bool:
        return bool(self.got == self.expect["result"])

    @property
    def registry(self) -> bool:
        """Whether the answer rests on a registry that nobody can ask."""
        return "no registry can be reached" in self.message


class Given(Nothing):
    """What a test brings: objects and images of its context, values for variables."""

    def __init__(self, documents: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> None:
        specs = [doc.get("spec") or {} for doc in documents]
        self.objects = [item for spec in specs for item in spec.get("resources") or ()]
        self.images = {item["image"]: item for spec in specs for item in spec.get("images") or ()}
        self.values = values

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        for item in self.objects:
            here = item["metadata"]
            if (item["apiVersion"], item["kind"], here["name"]) == (api_version, kind, name):
                return dict(item)
        return None

    def raw(self, path: str, method: str = "GET", data: Any = None) -> Any:
        parts = path.split("/")
        for item in self.objects:
            if parts[-1] == item["metadata"]["name"] and parts[-2] == f"{item['kind'].lower()}s":
                return item
        found = [item for item in self.objects if f"{item['kind'].lower()}s" == parts[-1]]
        if found:
            return {"items": found}
        raise LookupFailed(f'{parts[-2]} "{parts[-1]}" not found')

    def image(self, reference: str) -> Mapping[str, Any]:
        if reference in self.images:
            return dict(self.images[reference])
        raise LookupFailed(f"image {reference}: no registry can be reached")

    def variables(self, policy: str, rule: str, resource: str) -> Mapping[str, Any]:
        out = dict(self.values.get("globalValues") or {})
        for item in self.values.get("policies") or ():
            if item["name"] != policy:
                continue
            for part in item.get("rules") or ():
                if part["name"] == rule.removeprefix("autogen-").removeprefix("cronjob-"):
                    out |= part.get("values") or {}
            for part in item.get("resources") or ():
                if part["name"] == resource:
                    out |= part.get("values") or {}
        return out


def outcomes(folder: Path, engines: Sequence[str] = ()) -> Iterator[Outcome]:
    """Every expectation of the tests, or of those of some engines, with what the engine says."""
    for line in (folder / "index.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["suite"] == "kyverno" and (not engines or row["engine"][0] in engines):
            yield from _test(folder / row["test"], row)


def _documents(path: Path) -> list[dict[str, Any]]:
    return [doc for doc in yaml.load_all(path.read_text(), Loader=_LOADER) if doc]


def _test(path: Path, row: Mapping[str, Any]) -> Iterator[Outcome]:
    plan = _documents(path)[0]
    values = _documents(path.parent / plan["variables"])[0] if "variables" in plan else {}
    given = Given(_documents(path.parent / plan["context"]) if "context" in plan else [], values)
    policies: list[Policy] = []
    for name in plan["policies"]:
        for document in _documents(path.parent / name):
            try:
                policies.append(load(document))
            except InputError:
                continue  # bindings and other objects beside the policies
    for name in plan.get("exceptions") or ():
        policies += [load(doc) for doc in _documents(path.parent / name)]
    asking = _user(_documents(path.parent / plan["userinfo"])[0]) if "userinfo" in plan else User()
    objects = [_placed(doc) for name in plan.get("resources", ()) for doc in _documents(path.parent / name)]
    spaces = {item["name"]: item["labels"] for item in values.get("namespaceSelector") or ()}
    known: dict[int, list[Row]] = {}
    for expect in row["expect"]:
        found: set[str] = set()
        message = ""
        misspelt = not _known_rule(policies, expect)
        for at, item in enumerate(objects):
            if not _named(item, expect):
                continue
            if at not in known:
                known[at] = _judged(policies, item, given, spaces, asking)
            got, message = _of(known[at], expect, misspelt)
            found.add(got)
        told = "+".join(sorted(found)) or "no object"
        yield Outcome("/".join(row["engine"]), row["id"], expect, told, message, misspelt)


def _judged(
    policies: Sequence[Policy],
    item: Mapping[str, Any],
    given: Given,
    spaces: Mapping[str, Any],
    asking: User,
) -> list[Row]:
    out: list[Row] = []
    exceptions = [policy for policy in policies if policy.kind == "PolicyException"]
    for policy in policies:
        values = given.variables(policy.name, "", str(item["metadata"].get("name")))
        labels = spaces.get(str(item["metadata"].get("namespace")), {})
        subject = Subject(item, namespace_labels=labels, user=asking)
        subject = replace(subject, operation=str(values.get("request.operation") or "CREATE"))
        out.extend(evaluate([policy], subject, given, exceptions))
    return out


def _user(document: Mapping[str, Any]) -> User:
    here = document.get("userInfo") or {}
    return User(
        str(here.get("username") or ""),
        tuple(here.get("groups") or ()),
        roles=tuple(document.get("roles") or ()),
        cluster_roles=tuple(document.get("clusterRoles") or ()),
    )


def _names(expect: Mapping[str, Any]) -> tuple[str, ...]:
    rule = str(expect.get("rule") or "")
    return rule, f"autogen-{rule}"[:63], f"autogen-cronjob-{rule}"[:63]


def _known_rule(policies: Sequence[Policy], expect: Mapping[str, Any]) -> bool:
    rules = [rule.name for item in policies if item.name == expect["policy"] for rule in item.rules]
    return not expect.get("rule") or not rules or any(name in rules for name in _names(expect))


def _of(rows: Sequence[Row], expect: Mapping[str, Any], misspelt: bool) -> tuple[str, str]:
    for row in rows:
        if row.policy.rpartition("/")[2] != expect["policy"]:
            continue
        if misspelt or not row.rule or row.rule in _names(expect):
            return row.result, row.message
    return "skip", "no rule is about it"


def _placed(item: dict[str, Any]) -> dict[str, Any]:
    """Objects without a namespace are in the default one, as the command line tool has it."""
    here = item.get("metadata") or {}
    if item["kind"] in _CLUSTER or here.get("namespace"):
        return item
    return {**item, "metadata": {**here, "namespace": "default"}}


def _named(item: Mapping[str, Any], expect: Mapping[str, Any]) -> bool:
    space, _, name = str(expect["resource"]).rpartition("/")
    here = item["metadata"]
    if item["kind"] != expect.get("kind", item["kind"]) or here.get("name") != name:
        return False
    return not space or bool(here.get("namespace", "default") == space)
