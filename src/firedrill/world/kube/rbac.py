"""Who may do what: RBAC as the API server decides and words it.

Source: the semantics of `plugin/pkg/auth/authorizer/rbac` and of `pkg/registry/rbac` for escalation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from firedrill.world.kube.api.errors import ApiError, forbidden, not_found
from firedrill.world.kube.api.request import User
from firedrill.world.kube.objects import Obj, labels_of, name_of, namespace_of
from firedrill.world.kube.rbac_defaults import default_objects, node_rules
from firedrill.world.kube.selectors import selects
from firedrill.world.kube.store import Store, TooOldError

__all__ = [
    "aggregated_rules",
    "authorize",
    "check_escalation",
    "default_objects",
    "denial",
    "rules_for",
]

GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"roles.{GROUP}", f"clusterroles.{GROUP}"
BINDINGS, CLUSTER_BINDINGS = f"rolebindings.{GROUP}", f"clusterrolebindings.{GROUP}"
_RESOURCES = (CLUSTER_ROLES, CLUSTER_BINDINGS, ROLES, BINDINGS)
_MASTERS = "system:masters"
Rules = tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class _Grant:
    namespace: str  # empty: everywhere
    rules: Rules
    reason: str


@dataclass(slots=True)
class _Index:
    """The grants by subject, for one set of role and binding versions."""

    versions: tuple[list[Obj], ...]
    by_subject: dict[str, list[_Grant]] = field(default_factory=dict)


class _Recent:
    """The index of the store that was asked last, and a few of other sets of roles.

    Answers never depend on what is kept here: an index is used only for identical object versions.
    """

    def __init__(self) -> None:
        self.store: Store | None = None
        self.rv = -1
        self.index: _Index | None = None
        self.others: list[_Index] = []


_RECENT = _Recent()


def _unchanged(store: Store) -> bool:
    if _RECENT.store is not store or _RECENT.rv > store.rv:
        return False
    try:
        return not any(change.resource in _RESOURCES for change in store.since(_RECENT.rv))
    except TooOldError:
        return False


def _index(store: Store) -> _Index:
    if _RECENT.store is store and _RECENT.rv == store.rv and _RECENT.index is not None:
        return _RECENT.index
    if _RECENT.index is None or not _unchanged(store):
        versions = tuple(store.list(resource) for resource in _RESOURCES)
        known = (item for item in _RECENT.others if _identical(item.versions, versions))
        _RECENT.index = next(known, None) or _build(store, versions)
        _RECENT.others = [_RECENT.index, *(item for item in _RECENT.others if item is not _RECENT.index)][:8]
    _RECENT.store, _RECENT.rv = store, store.rv
    return _RECENT.index


def _identical(one: tuple[list[Obj], ...], other: tuple[list[Obj], ...]) -> bool:
    return all(
        len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))
        for left, right in zip(one, other, strict=True)
    )


def _build(store: Store, versions: tuple[list[Obj], ...]) -> _Index:
    out = _Index(versions)
    for binding in versions[1]:
        _add(out, store, binding, "", "ClusterRoleBinding")
    for binding in versions[3]:
        _add(out, store, binding, namespace_of(binding), "RoleBinding")
    return out


def _add(index: _Index, store: Store, binding: Obj, namespace: str, kind: str) -> None:
    reference = binding.get("roleRef") or {}
    rules = _rules_of(store, reference, namespace)
    path = f"{name_of(binding)}/{namespace}" if namespace else name_of(binding)
    head = f'RBAC: allowed by {kind} "{path}" of {reference.get("kind")} "{reference.get("name")}" to'
    for subject in binding.get("subjects") or ():
        key, shown = _subject(subject, namespace)
        index.by_subject.setdefault(key, []).append(_Grant(namespace, rules, f"{head} {shown}"))


def _subject(subject: Mapping[str, str], namespace: str) -> tuple[str, str]:
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind == "ServiceAccount":
        space = subject.get("namespace") or namespace
        return f"User system:serviceaccount:{space}:{name}", f'ServiceAccount "{name}/{space}"'
    return f"{kind} {name}", f'{kind} "{name}"'


def _rules_of(store: Store, reference: Mapping[str, str], namespace: str) -> Rules:
    name = str(reference.get("name"))
    if reference.get("kind") == "ClusterRole":
        role = store.get(CLUSTER_ROLES, "", name)
        return aggregated_rules(store, role) if role else ()
    role = store.get(ROLES, namespace, name)
    return tuple((role or {}).get("rules") or ())


def aggregated_rules(store: Store, role: Obj) -> Rules:
    """The rules of a ClusterRole; of an aggregated one those of the roles that it selects, in their order.

    This is also what the aggregation controller writes into `rules`.
    """
    aggregation = role.get("aggregationRule")
    if not aggregation:
        return tuple(role.get("rules") or ())
    out: list[Mapping[str, object]] = []
    for selector in aggregation.get("clusterRoleSelectors") or ():
        for other in store.list(CLUSTER_ROLES):
            if name_of(other) == name_of(role) or not selects(selector, labels_of(other)):
                continue
            # An aggregated role that joins another has its rules filled in by the same controller;
            # one more level is enough for view -> edit -> admin, and a circle ends here.
            nested = other.get("aggregationRule")
            rules = other.get("rules") or () if not nested else _flat(store, other, {name_of(role)})
            out.extend(rule for rule in rules if rule not in out)
    return tuple(out)


def _flat(store: Store, role: Obj, seen: set[str]) -> list[Mapping[str, object]]:
    if name_of(role) in seen:
        return []
    seen = {*seen, name_of(role)}
    if not role.get("aggregationRule"):
        return list(role.get("rules") or ())
    out: list[Mapping[str, object]] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        for other in store.list(CLUSTER_ROLES):
            if name_of(other) not in seen and selects(selector, labels_of(other)):
                out.extend(_flat(store, other, seen))
    return out


def groups_of(user: User) -> tuple[str, ...]:
    """The user's groups with the one that everybody who has proved an identity is in."""
    implied = "system:authenticated"
    if implied in user.groups or "system:unauthenticated" in user.groups:
        return user.groups
    return (*user.groups, implied)


def _grants(store: Store, user: User, namespace: str) -> Iterator[_Grant]:
    by_subject = _index(store).by_subject
    keys = (f"User {user.name}", *(f"Group {group}" for group in groups_of(user)))
    for everywhere in (True, False):
        for key in keys:
            for grant in by_subject.get(key, ()):
                if (not grant.namespace) is everywhere and (everywhere or grant.namespace == namespace):
                    yield grant
    if user.name.startswith("system:node:") and "system:nodes" in user.groups:
        yield _Grant("", node_rules(), "")


def authorize(
    store: Store,
    user: User,
    verb: str,
    group: str,
    resource: str,
    subresource: str,
    namespace: str,
    name: str,
    nonresource_path: str = "",
) -> tuple[bool, str]:
    """Whether the user may, and why.

    Args:
        store: holds the roles and bindings.
        user: who asks.
        verb: as in RBAC rules; for paths the lower-case HTTP method.
        group, resource, subresource: of what is asked; `resource` is the plural alone.
        namespace: empty at the cluster scope.
        name: of the object, empty where there is none.
        nonresource_path: as in `/version`; then the resource is ignored.

    Returns:
        The verdict with the reason of an allowance (empty for a denial), as reviews show it.
    """
    if _MASTERS in user.groups:
        return True, ""
    wanted = f"{resource}/{subresource}" if subresource else resource
    for grant in _grants(store, user, "" if nonresource_path else namespace):
        for rule in grant.rules:
            if nonresource_path:
                if _allows_path(rule, verb, nonresource_path):
                    return True, grant.reason
            elif _allows(rule, verb, group, wanted, subresource, name):
                return True, grant.reason
    return False, ""


def _strings(rule: Mapping[str, object], key: str) -> Sequence[str]:
    found = rule.get(key)
    return found if isinstance(found, list | tuple) else ()


def _allows(
    rule: Mapping[str, object], verb: str, group: str, wanted: str, subresource: str, name: str
) -> bool:
    verbs, groups = _strings(rule, "verbs"), _strings(rule, "apiGroups")
    if ("*" not in verbs and verb not in verbs) or ("*" not in groups and group not in groups):
        return False
    found = _strings(rule, "resources")
    if "*" not in found and wanted not in found and not (subresource and f"*/{subresource}" in found):
        return False
    names = _strings(rule, "resourceNames")
    return not names or name in names


def _allows_path(rule: Mapping[str, object], verb: str, path: str) -> bool:
    verbs = _strings(rule, "verbs")
    if "*" not in verbs and verb not in verbs:
        return False
    return any(
        url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))
        for url in _strings(rule, "nonResourceURLs")
    )


def denial(
    user: User,
    verb: str,
    group: str,
    resource: str,
    subresource: str,
    namespace: str,
    name: str,
    nonresource_path: str = "",
) -> ApiError:
    """The 403 of a request that `authorize` did not allow, with the real message."""
    if nonresource_path:
        text = f'forbidden: User "{user.name}" cannot {verb} path "{nonresource_path}"'
        return ApiError(403, "Forbidden", text, {})
    wanted = f"{resource}/{subresource}" if subresource else resource
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    detail = f'User "{user.name}" cannot {verb} resource "{wanted}" in API group "{group}" {where}'
    return forbidden(f"{resource}.{group}" if group else resource, name, detail)


def rules_for(store: Store, user: User, namespace: str) -> tuple[list[Obj], list[Obj]]:
    """What the user may do in the namespace: resource rules and path rules, as a `SelfSubjectRulesReview`."""
    resources: list[Obj] = []
    paths: list[Obj] = []
    for grant in _grants(store, user, namespace):
        for rule in grant.rules:
            keys = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
            copy = {key: list(_strings(rule, key)) for key in keys if _strings(rule, key)}
            (paths if "nonResourceURLs" in copy else resources).append(copy)
    return resources, paths


# --- escalation


def check_escalation(store: Store, user: User, resource: str, obj: Obj, old: Obj | None = None) -> None:
    """Refuse a role or binding that would grant what its writer does not hold.

    Args:
        store: holds the roles and bindings.
        user: who writes.
        resource: one of the four resources of the RBAC group; nothing is checked for another.
        obj: the new object.
        old: the former version of an update; what it granted already is not questioned again.

    Raises:
        ApiError: 403, naming the rules that are missing; 404, the role of a binding does not exist.
    """
    if resource not in _RESOURCES or _MASTERS in user.groups:
        return
    plural, namespace, name = resource.partition(".")[0], namespace_of(obj), name_of(obj)
    if resource in (ROLES, CLUSTER_ROLES):
        if old is not None and all(old.get(key) == obj.get(key) for key in ("rules", "aggregationRule")):
            return
        if authorize(store, user, "escalate", GROUP, plural, "", namespace, name)[0]:
            return
        rules: Iterable[Mapping[str, object]] = obj.get("rules") or ()
        if obj.get("aggregationRule"):
            rules = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, *rules)
    else:
        if old is not None and old.get("subjects") == obj.get("subjects"):
            return
        reference = obj.get("roleRef") or {}
        plural_of_role = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        role = str(reference.get("name"))
        if authorize(store, user, "bind", GROUP, plural_of_role, "", namespace, role)[0]:
            return
        _must_exist(store, plural_of_role, "" if plural_of_role == "clusterroles" else namespace, role)
        rules = _rules_of(store, reference, namespace)
    held = [rule for grant in _grants(store, user, namespace) for rule in grant.rules]
    missing = _compact([single for rule in rules for single in _split(rule) if not _covered(single, held)])
    if missing:
        groups = " ".join(f'"{group}"' for group in groups_of(user))
        text = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
            "not currently held:\n" + "\n".join(sorted(map(_show, missing)))
        )
        raise forbidden(resource, name, text)


def _must_exist(store: Store, plural: str, namespace: str, role: str) -> None:
    if store.get(f"{plural}.{GROUP}", namespace, role) is None:
        raise not_found(f"{plural}.{GROUP}", role)


def _split(rule: Mapping[str, object]) -> Iterator[dict[str, list[str]]]:
    for verb in _strings(rule, "verbs"):
        for url in _strings(rule, "nonResourceURLs"):
            yield {"nonResourceURLs": [url], "verbs": [verb]}
        for group in _strings(rule, "apiGroups"):
            for resource in _strings(rule, "resources"):
                base = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = _strings(rule, "resourceNames")
                for name in names:
                    yield {**base, "resourceNames": [name]}
                if not names:
                    yield base


def _covered(single: Mapping[str, list[str]], held: Sequence[Mapping[str, object]]) -> bool:
    verb = single["verbs"][0]
    for rule in held:
        if "nonResourceURLs" in single:
            if _allows_path(rule, verb, single["nonResourceURLs"][0]):
                return True
            continue
        resource = single["resources"][0]
        subresource = resource.partition("/")[2]
        name = (single.get("resourceNames") or [""])[0]
        if _allows(rule, verb, single["apiGroups"][0], resource, subresource, name):
            return True
    return False


def _compact(singles: Sequence[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    """Rules that differ in nothing but the verb as one, as far as the server does it for messages."""
    out: dict[tuple[tuple[str, str], ...], dict[str, list[str]]] = {}
    for single in singles:
        key = tuple((part, single[part][0]) for part in sorted(single) if part != "verbs")
        found = out.setdefault(key, {**single, "verbs": []})
        if single["verbs"][0] not in found["verbs"]:
            found["verbs"].append(single["verbs"][0])
    return list(out.values())


def _show(rule: Mapping[str, list[str]]) -> str:
    parts = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("ResourceNames", "resourceNames"),
        ("Verbs", "verbs"),
    )
    texts = (
        f"{label}:[{' '.join(f'{chr(34)}{item}{chr(34)}' for item in rule[key])}]"
        for label, key in parts
        if rule.get(key)
    )
    return "{" + ", ".join(texts) + "}"
