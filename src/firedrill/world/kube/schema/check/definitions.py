"""The rules of CustomResourceDefinitions and of the structural schemas in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.objects import Obj, name_of
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.fields import Errors, Go

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORBIDDEN = (
    "$ref",
    "definitions",
    "dependencies",
    "patternProperties",
    "additionalItems",
    "deprecated",
    "id",
)
_SAID_BY_GO = {
    "no argument for repetition operator": "missing argument to repetition operator",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "bad repetition operator": "invalid nested repetition operator",
}
"""What RE2 calls differently from Go."""
_DEEPEST = 60
_INT_OR_STRING = "x-kubernetes-int-or-string"
_KEEP = "x-kubernetes-preserve-unknown-fields"


def check_definition(errors: Errors, obj: Obj) -> None:
    """A CustomResourceDefinition."""
    spec = obj.get("spec") or {}
    group, given = str(spec.get("group") or ""), spec.get("names") or {}
    plural = str(given.get("plural") or "")
    if name_of(obj) != f"{plural}.{group}":
        errors.invalid("metadata.name", name_of(obj), 'must be spec.names.plural+"."+spec.group')
    if not group:
        errors.required("spec.group")
    else:
        for problem in names.problems("subdomain", group):
            errors.invalid("spec.group", group, problem)
        if "." not in group:
            errors.invalid("spec.group", group, "should be a domain with at least one dot")
    errors.one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    _check_versions(errors, spec.get("versions") or ())
    for key in ("plural", "singular", "kind", "listKind"):
        text = str(given.get(key) or "")
        if not text:
            errors.required(f"spec.names.{key}")
            continue
        for problem in names.problems("label1035", text.lower()):
            errors.invalid(f"spec.names.{key}", text, problem)
    for index, text in enumerate(given.get("shortNames") or ()):
        for problem in names.problems("label1035", str(text)):
            errors.invalid(f"spec.names.shortNames[{index}]", text, problem)


def _check_versions(errors: Errors, versions: Any) -> None:
    if not versions:
        errors.required("spec.versions", "must have at least one version")
        return
    kept = sum(1 for item in versions if item.get("storage"))
    if kept != 1:
        errors.invalid(
            "spec.versions",
            Go("[]apiextensions.CustomResourceDefinitionVersion{…}"),
            "must have exactly one version marked as storage version",
        )
    seen: set[str] = set()
    for index, item in enumerate(versions):
        here = f"spec.versions[{index}]"
        name = str(item.get("name") or "")
        for problem in names.problems("label1035", name):
            errors.invalid(f"{here}.name", name, problem)
        if name in seen:
            errors.duplicate(f"{here}.name", name)
        seen.add(name)
        schema = (item.get("schema") or {}).get("openAPIV3Schema")
        single = "spec.validation" if len(versions) == 1 else f"{here}.schema"
        if not isinstance(schema, dict):
            errors.required(f"{here}.schema.openAPIV3Schema", "schemas are required")
            continue
        if schema.get("type") != "object":
            errors.invalid(
                f"{single}.openAPIV3Schema.type", schema.get("type") or "", "must be object at the root"
            )
        _check_node(errors, f"{single}.openAPIV3Schema", schema, 0)


def bad_pattern(pattern: str) -> str:
    """What Go's regular expressions would not take; empty for nothing."""
    from firedrill.world.kube.cel import strings
    from firedrill.world.kube.cel.values import CelError

    try:
        strings.compiled(pattern)
    except CelError as problem:
        head, _, rest = str(problem).removeprefix("error parsing regexp: ").partition(": ")
        return f"error parsing regexp: {_SAID_BY_GO.get(head, head)}: `{rest}`"
    return ""


def _check_node(errors: Errors, path: str, node: Mapping[str, Any], depth: int) -> None:
    if depth > _DEEPEST:
        errors.forbidden(path, "the schema is nested too deep")
        return
    for key in _FORBIDDEN:
        if node.get(key):
            errors.forbidden(f"{path}.{key}", f"{key} is not supported")
    if node.get("uniqueItems"):
        errors.forbidden(
            f"{path}.uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        )
    type_ = node.get("type") or ""
    free = node.get(_INT_OR_STRING) or node.get(_KEEP)
    if not type_ and not free:
        errors.required(
            f"{path}.type",
            "must not be empty for specified object fields" if depth else "must not be empty at the root",
        )
    elif type_ and type_ not in _TYPES:
        errors.unsupported(f"{path}.type", type_, _TYPES)
    if type_ and node.get(_INT_OR_STRING):
        errors.invalid(f"{path}.type", type_, "must be empty if x-kubernetes-int-or-string is true")
    if node.get("pattern") and (problem := bad_pattern(str(node["pattern"]))):
        detail = f"must be a valid regular expression, but isn't: {problem}"
        errors.invalid(f"{path}.pattern", node["pattern"], detail)
    if node.get("properties") and node.get("additionalProperties"):
        errors.forbidden(
            f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"
        )
    if type_ == "array" and not isinstance(node.get("items"), Mapping):
        errors.required(f"{path}.items", "must be specified")
    for name, child in (node.get("properties") or {}).items():
        if isinstance(child, Mapping):
            _check_node(errors, f"{path}.properties[{name}]", child, depth + 1)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), Mapping):
            _check_node(errors, f"{path}.{key}", node[key], depth + 1)
