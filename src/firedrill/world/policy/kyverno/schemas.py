"""The types of Kyverno's API as OpenAPI schemas, from their compact form in `data/schemas.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.sim.tables import table

_KEEP = "x-kubernetes-preserve-unknown-fields"
_PLAIN = ("string", "integer", "boolean")


@cache
def _facts() -> Mapping[str, Any]:
    found: Mapping[str, Any] = table(__package__, "schemas.yaml")
    return found


@cache
def _named(name: str) -> Obj:
    return _node(_facts()["types"][name])


def _node(text: Any) -> Obj:
    if isinstance(text, list):
        return {"type": "array", "items": _node(text[0])}
    if isinstance(text, dict):
        return _object(text)
    if text.startswith("$"):
        return _named(text[1:])
    kind, _, default = (part.strip() for part in text.partition("="))
    out = _scalar(kind)
    if default:
        out["default"] = (default == "true") if kind == "boolean" else default
        if kind == "integer":
            out["default"] = int(default)
    return out


def _scalar(kind: str) -> Obj:
    if kind == "any":
        return {_KEEP: True}
    if kind == "texts":
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if kind in _PLAIN:
        return {"type": kind}
    return {"type": "string", "enum": kind.split("|")}


def _object(fields: Mapping[str, Any]) -> Obj:
    properties: Obj = {}
    required = []
    for key, value in fields.items():
        name, _, longest = key.partition("<")
        if name.endswith("!"):
            name = name[:-1]
            required.append(name)
        node = _node(value)
        properties[name] = {**node, "maxLength": int(longest)} if longest else node
    out: Obj = {"type": "object", "properties": properties}
    if required:
        out["required"] = required
    return out


@cache
def schema(group: str, kind: str, version: str) -> Obj | None:
    """The OpenAPI schema of a kind of Kyverno's; None for any other."""
    found = next(
        (item for item in _facts()["kinds"] if (item["group"], item["kind"]) == (group, kind)),
        None,
    )
    if found is None or version not in found["versions"]:
        return None
    return _whole(found, version)


def _whole(known: Mapping[str, Any], version: str) -> Obj:
    out = _object(known["body"])
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    out["properties"] = {**head, **out["properties"]}
    if known["kind"] in ("ClusterPolicy", "Policy") and version == "v2beta1":
        spec = dict(out["properties"]["spec"])
        rules = dict(spec["properties"]["rules"])
        fields = dict(rules["items"]["properties"])
        fields |= {"match": _named("StrictMatch"), "exclude": _named("StrictMatch")}
        fields["preconditions"] = _named("Conditions")
        rules["items"] = {**rules["items"], "properties": fields, "required": ["name", "match"]}
        spec["properties"] = {**spec["properties"], "rules": rules}
        out["properties"]["spec"] = spec
    return out


@cache
def versions(group: str, kind: str) -> tuple[str, ...]:
    """The served versions of a kind, the one of storage first; empty for other kinds."""
    return next(
        (
            tuple(item["versions"])
            for item in _facts()["kinds"]
            if (item["group"], item["kind"]) == (group, kind)
        ),
        (),
    )


@cache
def definitions() -> tuple[Obj, ...]:
    """The CustomResourceDefinitions that an installation brings."""
    return tuple(_definition(item) for item in _facts()["kinds"])


def _definition(known: Mapping[str, Any]) -> Obj:
    columns = _facts()["columns"].get(known.get("columns"))
    served = []
    for version in known["versions"]:
        entry: Obj = {"name": version, "served": True, "storage": version == known["versions"][0]}
        entry["schema"] = {"openAPIV3Schema": _whole(known, version)}
        if "status" in known["body"]:
            entry["subresources"] = {"status": {}}
        if columns:
            entry["additionalPrinterColumns"] = columns
        served.append(entry)
    kind = known["kind"]
    names: Obj = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": known["plural"],
        "singular": kind.lower(),
        "categories": ["kyverno"],
    }
    if known["short"]:
        names["shortNames"] = known["short"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{known['plural']}.{known['group']}",
            "labels": {"app.kubernetes.io/part-of": "kyverno-crds", "app.kubernetes.io/instance": "kyverno"},
        },
        "spec": {
            "group": known["group"],
            "names": names,
            "scope": "Namespaced" if known.get("namespaced") else "Cluster",
            "versions": served,
        },
    }
