"""Judges the CEL rules of Kyverno test cases with the CEL engine and the policy code of the world.

Only what these rules need of Kyverno is here: matching by kind, name and labels, preconditions, and the
rules that Kyverno derives for what makes pods. Its own functions (`resource.Get`,
`image.GetMetadata`) answer from the context that a test brings.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from firedrill.world.kube import cel
from firedrill.world.kube.admission.policy import Variables, judge

ENGINES = ("validate.cel", "ValidatingPolicy")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEMPLATES = {"CronJob": ("spec", "jobTemplate", "spec", "template"), "Pod": ()}
_CONTROLLERS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "ReplicaSet",
    "ReplicationController",
    "CronJob",
)


@dataclass(frozen=True)
class Outcome:
    suite: str
    test: str
    expect: Mapping[str, Any]
    got: str

    @property
    def right(self) -> bool:
        return bool(self.got == self.expect["result"])


def rows(folder: Path) -> Iterator[Outcome]:
    """Every expectation of the CEL tests with what the engine says."""
    for line in (folder / "index.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["suite"] != "kyverno" or row["engine"][0] not in ENGINES:
            continue
        test = folder / row["test"]
        plan = _documents(test)[0]
        policies = [doc for name in plan["policies"] for doc in _documents(test.parent / name)]
        resources = [doc for name in plan.get("resources", ()) for doc in _documents(test.parent / name)]
        for expect in row["expect"]:
            policy = next(item for item in policies if item["metadata"]["name"] == expect["policy"])
            objects = [item for item in resources if _named(item, expect)]
            functions = context(_documents(test.parent / plan["context"]) if "context" in plan else [])
            got = {verdict(policy, item, expect, functions) for item in objects} or {"no such resource"}
            yield Outcome(
                row["engine"][0], row["id"], expect, got.pop() if len(got) == 1 else str(sorted(got))
            )


def _documents(path: Path) -> list[dict[str, Any]]:
    return [doc for doc in yaml.load_all(path.read_text(), Loader=_LOADER) if doc]


def _named(obj: Mapping[str, Any], expect: Mapping[str, Any]) -> bool:
    space, _, name = str(expect["resource"]).rpartition("/")
    here = obj["metadata"]
    if obj["kind"] != expect.get("kind", obj["kind"]) or here.get("name") != name:
        return False
    return not space or bool(here.get("namespace", "default") == space)


Functions = Mapping[str, Callable[..., Any]]


def context(documents: list[dict[str, Any]]) -> Functions:
    """Kyverno's own functions, over the objects and images of a test's context."""
    objects = [item for doc in documents for item in doc["spec"].get("resources", ())]
    images = {item["image"]: item for doc in documents for item in doc["spec"].get("images", ())}

    def get(version: Any, plural: Any, namespace: Any, name: Any) -> Any:
        for item in objects:
            here = (
                item["apiVersion"],
                f"{item['kind'].lower()}s",
                item["metadata"].get("namespace"),
                item["metadata"]["name"],
            )
            if here == (version, plural, namespace, name):
                return item
        raise cel.CelError(f'{plural} "{name}" not found')

    def image(name: Any) -> Any:
        if name not in images:
            raise cel.CelError(f"image {name} not found")
        return images[name]

    return {"resource.Get": get, "image.GetMetadata": image}


def verdict(
    policy: Mapping[str, Any], obj: Mapping[str, Any], expect: Mapping[str, Any], functions: Functions
) -> str:
    """`pass`, `fail` or `skip`."""
    spec = policy["spec"]
    if policy["kind"] == "ValidatingPolicy":
        plurals = {
            name for rule in spec["matchConstraints"]["resourceRules"] for name in rule.get("resources", ())
        }
        derived = "pods" in plurals and f"{obj['kind'].lower()}s" not in plurals
        subject = _as_pod(obj) if derived else obj
        return _judge(spec, subject, obj, spec.get("matchConditions"), functions)
    name = expect.get("rule", "")
    rule = next(
        item
        for item in spec["rules"]
        if name in (item["name"], f"autogen-{item['name']}", f"autogen-cronjob-{item['name']}")
    )
    kinds = _kinds(rule["match"])
    derived = "Pod" in kinds and obj["kind"] not in kinds and obj["kind"] in _CONTROLLERS
    subject = _as_pod(obj) if derived else obj
    if "exclude" in rule and _matches(rule["exclude"], subject, obj, whole=True):
        return "skip"
    if not _matches(rule["match"], subject, obj, whole=False):
        return "skip"
    body = rule["validate"]["cel"]
    translated = {"validations": body.get("expressions") or (), "variables": body.get("variables") or ()}
    return _judge(translated, subject, obj, rule.get("celPreconditions"), functions)


def _kinds(match: Mapping[str, Any]) -> set[str]:
    blocks = match.get("any") or match.get("all") or [match]
    return {kind.split("/")[-1] for block in blocks for kind in block.get("resources", {}).get("kinds", ())}


def _matches(
    match: Mapping[str, Any], subject: Mapping[str, Any], obj: Mapping[str, Any], *, whole: bool
) -> bool:
    found = [
        _block(item, subject, obj, kinds=whole) for item in match.get("any") or match.get("all") or [match]
    ]
    return any(found) if "all" not in match else all(found)


def _block(
    block: Mapping[str, Any], subject: Mapping[str, Any], obj: Mapping[str, Any], *, kinds: bool
) -> bool:
    what, here = block.get("resources") or {}, obj["metadata"]
    names = what.get("names") or ([what["name"]] if "name" in what else [])
    if kinds and what.get("kinds") and subject["kind"] not in {item.split("/")[-1] for item in what["kinds"]}:
        return False
    if names and not any(fnmatch.fnmatchcase(here.get("name", ""), item) for item in names):
        return False
    spaces = what.get("namespaces")
    if spaces and not any(fnmatch.fnmatchcase(here.get("namespace", "default"), item) for item in spaces):
        return False
    wanted = (what.get("selector") or {}).get("matchLabels") or {}
    labels = subject["metadata"].get("labels") or {}
    return all(fnmatch.fnmatchcase(str(labels.get(key, "")), text) for key, text in wanted.items())


def _as_pod(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a rule that was derived from one about pods looks at: the template in the place of the pod."""
    if obj["kind"] not in _CONTROLLERS:
        return obj
    template: Any = obj
    for step in _TEMPLATES.get(obj["kind"], ("spec", "template")):
        template = template.get(step) or {}
    metadata = {**(template.get("metadata") or {})}
    return {**obj, "metadata": metadata, "spec": template.get("spec") or {}}


def _judge(
    spec: Mapping[str, Any],
    subject: Mapping[str, Any],
    obj: Mapping[str, Any],
    conditions: Any,
    functions: Functions,
) -> str:
    base = variables(subject, obj)
    parts = [*(spec.get("variables") or ()), *(spec.get("validations") or ()), *(conditions or ())]
    try:
        for item in parts:
            cel.compile(item["expression"], extensions=frozenset(functions))
    except cel.CelSyntaxError:
        return "not compiled"
    scope = Variables(base, spec.get("variables") or (), functions)
    for item in conditions or ():
        try:
            if scope.evaluate(item["expression"]) is not True:
                return "skip"
        except (cel.CelError, cel.CelSyntaxError):
            return "skip"
    bare = {key: item for key, item in spec.items() if key != "matchConditions"}
    return "fail" if list(judge(bare, base, fails=True, functions=functions)) else "pass"


def variables(subject: Mapping[str, Any], obj: Mapping[str, Any]) -> dict[str, Any]:
    here = obj["metadata"]
    group, _, version = str(obj.get("apiVersion", "v1")).rpartition("/")
    kind = {"group": group, "version": version, "kind": obj["kind"]}
    namespace = here.get("namespace", "default")
    given = subject.get("spec")
    spec: Mapping[str, Any] = given if isinstance(given, dict) else {}
    keys = ("containers", "initContainers", "ephemeralContainers")
    images = {key: [item.get("image") for item in spec.get(key) or ()] for key in keys}
    return {
        "object": dict(subject),
        "oldObject": None,
        "request": {
            "operation": "CREATE",
            "namespace": namespace,
            "name": here.get("name", ""),
            "kind": kind,
            "userInfo": {"username": "", "groups": []},
        },
        "params": None,
        "images": images,
        "namespaceObject": {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}},
        },
    }
