"""The roles and bindings that a cluster has from its start, read from `data/rbac.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.sim.tables import table

_API = "rbac.authorization.k8s.io"
_SHORT = {"R": ("get", "list", "watch"), "W": ("create", "delete", "deletecollection", "patch", "update")}
_EVENTS = "create,patch,update | core,events.k8s.io | events"


@cache
def _data() -> Mapping[str, Any]:
    found: Mapping[str, Any] = table(__package__, "rbac.yaml")
    return found


def _rule(text: str) -> Obj:
    verbs_text, where, *more = (part.strip() for part in (_EVENTS if text == "events" else text).split("|"))
    verbs = sorted({verb for item in verbs_text.split(",") for verb in _SHORT.get(item, (item,))})
    if not more:
        return {"nonResourceURLs": where.removeprefix("path ").split(","), "verbs": verbs}
    out: Obj = {
        "apiGroups": ["" if group == "core" else group for group in where.split(",")],
        "resources": more[0].split(","),
        "verbs": verbs,
    }
    if len(more) > 1:
        out["resourceNames"] = more[1].split(",")
    return out


def _object(kind: str, path: str, labels: Mapping[str, str], **rest: Any) -> Obj:
    namespace, _, name = path.rpartition("/")
    metadata: Obj = {
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **labels},
    }
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{_API}/v1", "kind": kind, "metadata": metadata, **rest}


def _subject(text: str) -> Obj:
    kind, name = text.split(" ")
    if kind == "ServiceAccount":
        namespace, name = name.split("/")
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"apiGroup": _API, "kind": kind, "name": name}


def _binding(kind: str, path: str, role_kind: str, role: str, subjects: Sequence[str]) -> Obj:
    reference = {"apiGroup": _API, "kind": role_kind, "name": role}
    found = [_subject(text) for text in subjects]
    return _object(kind, path, {}, roleRef=reference, **({"subjects": found} if found else {}))


def _cluster_roles() -> Iterator[Obj]:
    joined: dict[str, list[Obj]] = {}
    for facts in _data()["cluster_roles"].values():
        if "joins" in facts and "rules" in facts:
            joined.setdefault(facts["joins"], []).extend(map(_rule, facts["rules"]))
    joined["edit"] = joined["edit"] + joined["view"]
    joined["admin"] = joined["admin"] + joined["edit"]
    for name, facts in _data()["cluster_roles"].items():
        labels = {f"{_API}/aggregate-to-{facts['joins']}": "true"} if "joins" in facts else {}
        if "aggregate" in facts:
            label = f"{_API}/aggregate-to-{facts['aggregate']}"
            selectors = [{"matchLabels": {label: "true"}}]
            yield _object(
                "ClusterRole",
                name,
                labels,
                rules=joined[name],
                aggregationRule={"clusterRoleSelectors": selectors},
            )
        else:
            yield _object("ClusterRole", name, labels, rules=[_rule(text) for text in facts["rules"]])
    for name, rules in _data()["controllers"].items():
        yield _object("ClusterRole", f"system:controller:{name}", {}, rules=[_rule(text) for text in rules])


def default_objects() -> list[Obj]:
    """ClusterRoles, ClusterRoleBindings, Roles and RoleBindings of a new cluster, without uid and times."""
    out = list(_cluster_roles())
    for name, (role, *subjects) in _data()["cluster_role_bindings"].items():
        out.append(_binding("ClusterRoleBinding", name, "ClusterRole", role, subjects))
    for name in _data()["controllers"]:
        role = f"system:controller:{name}"
        account = f"ServiceAccount kube-system/{name}"
        out.append(_binding("ClusterRoleBinding", role, "ClusterRole", role, [account]))
    for path, rules in _data()["roles"].items():
        out.append(_object("Role", path, {}, rules=[_rule(text) for text in rules]))
    for path, (role, *subjects) in _data()["role_bindings"].items():
        out.append(_binding("RoleBinding", path, "Role", role, subjects))
    return out


@cache
def node_rules() -> tuple[Obj, ...]:
    """What the node authoriser lets a kubelet do; no binding grants it."""
    return tuple(_rule(text) for text in _data()["cluster_roles"]["system:node"]["rules"])
