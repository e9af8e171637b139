"""CEL in rules and in ValidatingPolicies: variables, functions, messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firedrill.world.kube import cel
from firedrill.world.kube.admission.policy import Variables, judge
from firedrill.world.policy.kyverno.context import global_value
from firedrill.world.policy.kyverno.images import KEYS, parse_image, pod_of
from firedrill.world.policy.kyverno.matching import chosen
from firedrill.world.policy.kyverno.model import Lookup, LookupFailed, Rule, Subject
from firedrill.world.policy.kyverno.validate import Verdict

Functions = Mapping[str, Callable[..., Any]]


def judge_expressions(rule: Rule, subject: Subject, lookup: Lookup) -> Verdict:
    """What a rule in CEL says about an object."""
    body = rule.body["validate"]["cel"]
    functions = functions_of(lookup)
    base = variables_of(subject, rule.template)
    spec = {"validations": body.get("expressions") or (), "variables": body.get("variables") or ()}
    conditions = rule.body.get("celPreconditions") or ()
    wrong = uncompiled(spec, conditions, functions)
    if wrong:
        return Verdict("error", wrong)
    met, why = _met(conditions, base, functions)
    if why:
        return Verdict("error", why)
    if not met:
        return Verdict("skip", "cel preconditions not met")
    params, why = _params(body, subject, lookup)
    if why:
        return Verdict("error", why)
    message = str(rule.body["validate"].get("message") or "")
    for found in params:
        for refused in judge(spec, {**base, "params": found}, fails=True, functions=functions):
            plain = refused.message.startswith("failed expression:")
            return Verdict("fail", message if plain and message else refused.message)
    return Verdict("pass", f"Validation rule '{rule.name}' passed.")


def uncompiled(spec: Mapping[str, Any], conditions: Sequence[Any], functions: Functions) -> str:
    """What is wrong with the first expression that is none; empty where all can be evaluated."""
    parts = [*(spec.get("variables") or ()), *(spec.get("validations") or ()), *conditions]
    for item in parts:
        try:
            cel.compile(str(item.get("expression") or ""), extensions=frozenset(functions))
        except cel.CelSyntaxError as problem:
            return f"failed to compile expression: {problem}"
        except AttributeError:
            return "failed to compile expression: not an object"
    return ""


def _met(conditions: Sequence[Any], base: Mapping[str, Any], functions: Functions) -> tuple[bool, str]:
    scope = Variables(base, (), functions)
    for item in conditions:
        try:
            if scope.evaluate(str(item["expression"])) is not True:
                return False, ""
        except (cel.CelError, cel.CelSyntaxError):
            return False, ""
    return True, ""


def _params(
    body: Mapping[str, Any], subject: Subject, lookup: Lookup
) -> tuple[list[Mapping[str, Any] | None], str]:
    kind, reference = body.get("paramKind"), body.get("paramRef")
    if not isinstance(kind, Mapping):
        return [None], ""
    if not isinstance(reference, Mapping):
        return [], "paramRef is required when paramKind is set"
    version, name = str(kind.get("apiVersion")), reference.get("name")
    namespace = str(reference.get("namespace") or subject.namespace)
    if name:
        one = lookup.get(version, str(kind.get("kind")), namespace, str(name))
        found = [one] if one is not None else []
    else:
        every = lookup.list(version, str(kind.get("kind")), namespace)
        selector = reference.get("selector") or {}
        found = [item for item in every if chosen(selector, (item.get("metadata") or {}).get("labels"))]
    if not found and reference.get("parameterNotFoundAction", "Deny") == "Deny":
        return [], "no params found for policy binding with `Deny` parameterNotFoundAction"
    return list(found), ""


def as_pod(resource: Mapping[str, Any], template: Sequence[str]) -> Mapping[str, Any]:
    """What a derived rule looks at: metadata and spec of the template in the place of the object's own."""
    if not template:
        return resource
    here: Any = resource
    for step in template:
        here = here.get(step) if isinstance(here, Mapping) else None
    pod = here if isinstance(here, Mapping) else {}
    return {**resource, "metadata": dict(pod.get("metadata") or {}), "spec": pod.get("spec") or {}}


def variables_of(subject: Subject, template: Sequence[str] = ()) -> dict[str, Any]:
    """The variables of expressions."""
    kind = {"group": subject.group, "version": subject.version, "kind": subject.kind}
    plural = subject.plural or plural_of(subject.kind)
    resource = {"group": subject.group, "version": subject.version, "resource": plural}
    user = subject.user
    deleted = subject.operation == "DELETE"
    old = subject.old if subject.old is not None or not deleted else subject.resource
    namespace = subject.namespace
    known = subject.namespace_object
    if known is None and namespace:
        labels = {"kubernetes.io/metadata.name": namespace, **subject.namespace_labels}
        known = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    return {
        "object": None if deleted else as_pod(subject.resource, template),
        "oldObject": as_pod(old, template) if old is not None else None,
        "request": {
            "operation": subject.operation or "CREATE",
            "namespace": namespace,
            "name": subject.name,
            "kind": kind,
            "resource": resource,
            "subResource": subject.subresource,
            "requestKind": kind,
            "requestResource": resource,
            "dryRun": subject.dry_run,
            "userInfo": {
                "username": user.name,
                "groups": list(user.groups),
                "uid": user.uid,
                "extra": {key: list(items) for key, items in user.extra.items()},
            },
        },
        "params": None,
        "images": _images(subject.resource),
        "namespaceObject": known,
    }


def _images(resource: Mapping[str, Any]) -> dict[str, list[Any]]:
    pod, _ = pod_of(resource)
    spec = pod.get("spec")
    out: dict[str, list[Any]] = {}
    for key in KEYS:
        items = spec.get(key) if isinstance(spec, Mapping) else None
        listed = items if isinstance(items, list) else []
        out[key] = [item["image"] for item in listed if isinstance(item, Mapping) and item.get("image")]
    return out


def plural_of(kind: str) -> str:
    """A kind's usual name in the API, where nobody can be asked."""
    lower = kind.lower()
    if lower.endswith("y") and not lower.endswith(("ay", "ey", "oy", "uy")):
        return f"{lower[:-1]}ies"
    if lower.endswith("endpoints"):
        return lower
    return f"{lower}es" if lower.endswith(("s", "x", "ch", "sh")) else f"{lower}s"


_RECENT: list[tuple[Lookup, Functions]] = []


def functions_of(lookup: Lookup) -> Functions:
    """Kyverno's own functions of CEL; the same ones for the same lookup."""
    if not _RECENT or _RECENT[0][0] is not lookup:
        _RECENT[:] = [(lookup, _functions(lookup))]
    return _RECENT[0][1]


def _functions(lookup: Lookup) -> Functions:
    def get(version: Any, plural: Any, namespace: Any, name: Any) -> Any:
        try:
            return lookup.raw(f"{_base(version, namespace)}/{plural}/{name}")
        except LookupFailed as problem:
            raise cel.CelError(str(problem)) from None

    def items(version: Any, plural: Any, namespace: Any) -> Any:
        try:
            return lookup.raw(f"{_base(version, namespace)}/{plural}")
        except LookupFailed as problem:
            raise cel.CelError(str(problem)) from None

    def image(name: Any) -> Any:
        try:
            parsed = parse_image(str(name))
            told = lookup.image(str(name))
        except (LookupFailed, ValueError) as problem:
            raise cel.CelError(str(problem)) from None
        return {**parsed, "image": name, **told}

    def known(name: Any, projection: Any = "") -> Any:
        entry = lookup.get("kyverno.io/v2alpha1", "GlobalContextEntry", "", str(name))
        try:
            if entry is None:
                raise LookupFailed(f"global context entry {name} not found")
            return global_value(entry.get("spec") or {}, lookup)
        except LookupFailed as problem:
            raise cel.CelError(str(problem)) from None

    def refuse(*_: Any) -> Any:
        raise cel.CelError("no service outside the API server can be called")

    return {
        "resource.Get": get,
        "resource.List": items,
        "image.GetMetadata": image,
        "globalContext.Get": known,
        "http.Get": refuse,
        "http.Post": refuse,
    }


def _base(version: Any, namespace: Any) -> str:
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(version)) is None:
        raise cel.CelError(f"unexpected GroupVersion string: {version}")
    root = "/apis" if "/" in str(version) else "/api"
    return f"{root}/{version}" + (f"/namespaces/{namespace}" if namespace else "")
