"""Who may do what in a cluster, as single permissions that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from firedrill.runner.living.assessing.broken import entity_of
from firedrill.world.kube.objects import Obj, dig, namespace_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_GROUP = "rbac.authorization.k8s.io"
_BINDINGS = (f"rolebindings.{_GROUP}", f"clusterrolebindings.{_GROUP}")
_ROLES = (f"roles.{_GROUP}", f"clusterroles.{_GROUP}")


class Permission(NamedTuple):
    """One subject may do one thing. `*` stands for everything; an empty namespace for all of them."""

    subject: str
    namespace: str
    verb: str
    group: str
    resource: str
    name: str = ""
    """Of one object; empty for all."""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        which = f" {self.name}" if self.name else ""
        resource = f"{self.resource}.{self.group}" if self.group not in ("", "*") else self.resource
        return f"{self.subject} may {self.verb} {resource}{which}{where}"


def added(usual: tuple[World, ...], world: World) -> dict[str, list[Permission]]:
    """The permissions that none of the usual worlds gives, by the binding or role that gives them here.

    Args:
        usual: worlds whose permissions are as they should be.
        world: that is looked at.
    """
    if any(_same(one, world) for one in usual):
        return {}
    known = {item for one in usual for _, _, found in _grants(one) for item in found}
    objects = {(key, dig(obj, "roleRef", "name")) for one in usual for key, obj, _ in _grants(one)}
    out: dict[str, list[Permission]] = {}
    for entity, binding, found in _grants(world):
        new = [item for item in found if item not in known and not _covered(item, known)]
        if new:
            role = dig(binding, "roleRef", "name")
            where = _role_entity(binding) if (entity, role) in objects else entity
            out.setdefault(where, []).extend(new)
    return {entity: sorted(set(found)) for entity, found in out.items()}


def _same(one: World, other: World) -> bool:
    """Whether two worlds share every version of these objects, as forks do until somebody writes one."""
    for resource in (*_BINDINGS, *_ROLES):
        here, there = one.cluster.store.list(resource), other.cluster.store.list(resource)
        if len(here) != len(there) or any(a is not b for a, b in zip(here, there, strict=True)):
            return False
    return True


def _grants(world: World) -> Iterator[tuple[str, Obj, list[Permission]]]:
    """Each binding with all that it gives."""
    store = world.cluster.store
    for resource in _BINDINGS:
        for binding in store.list(resource):
            namespace = namespace_of(binding)
            kind = dig(binding, "roleRef", "kind", default="")
            place = f"{'roles' if kind == 'Role' else 'clusterroles'}.{_GROUP}"
            role = store.get(
                place, namespace if kind == "Role" else "", dig(binding, "roleRef", "name", default="")
            )
            rules = (role or {}).get("rules") or ()
            subjects = [_subject(item, namespace) for item in binding.get("subjects") or ()]
            found = [
                item for rule in rules for subject in subjects for item in _of_rule(subject, namespace, rule)
            ]
            yield entity_of(binding), binding, found


def _role_entity(binding: Obj) -> str:
    kind = dig(binding, "roleRef", "kind", default="ClusterRole")
    namespace = namespace_of(binding) if kind == "Role" else "cluster"
    return f"{namespace}/{kind}/{dig(binding, 'roleRef', 'name', default='')}"


def _subject(item: Mapping[str, Any], namespace: str) -> str:
    if item.get("kind") == "ServiceAccount":
        return f"ServiceAccount {item.get('namespace') or namespace}/{item.get('name')}"
    return f"{item.get('kind')} {item.get('name')}"


def _of_rule(subject: str, namespace: str, rule: Mapping[str, Any]) -> Iterator[Permission]:
    verbs = rule.get("verbs") or ()
    for verb, path in product(verbs, rule.get("nonResourceURLs") or ()):
        yield Permission(subject, namespace, str(verb), "", str(path))
    names = rule.get("resourceNames") or ("",)
    for verb, group, resource, name in product(
        verbs, rule.get("apiGroups") or (), rule.get("resources") or (), names
    ):
        yield Permission(subject, namespace, str(verb), str(group), str(resource), str(name))


def _covered(item: Permission, known: set[Permission]) -> bool:
    """Whether something wider was permitted already."""
    wider = product(
        dict.fromkeys((item.namespace, "")),
        dict.fromkeys((item.verb, "*")),
        dict.fromkeys((item.group, "*")),
        dict.fromkeys((item.resource, "*")),
        dict.fromkeys((item.name, "")),
    )
    return any(Permission(item.subject, *rest) in known for rest in wider)


__all__ = ["Permission", "added"]
