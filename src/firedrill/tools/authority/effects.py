"""What a request comes to, in the words of a policy: found from what would change, whatever way it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes.guarding import remembers_values
from firedrill.tools.authority import losses, templates
from firedrill.tools.authority.shapes import items, labels, text, words
from firedrill.tools.authority.vocabulary import of_sort
from firedrill.tools.authority.watchers import watching
from firedrill.world.kube.objects import Obj, dig, name_of

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked

_ENDS = frozenset({"delete", "scale-to-zero", "chaos"})
_DELETES = frozenset({"delete", "deletecollection"})
_ENTER = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers"})
_CONTROLLERS_OWN = frozenset({"bindings", "controllerrevisions.apps", "leases.coordination.k8s.io"})
_SLICES = "endpointslice.kubernetes.io/managed-by"
_EVERYBODY = frozenset(
    {"system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"}
)
_MASTERS = frozenset({"cluster-admin", "system:masters"})
_CREDENTIALS = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"})


def effects_of(asked: Asked) -> frozenset[str]:
    """What a request comes to."""
    found = set(_read(asked))
    if asked.acting_as:
        found.add("impersonate")
    if asked.writes:
        for look in _LOOKS:
            found.update(look(asked))
        if found & {"delete", "scale-to-zero"} and losses.leaves_users(asked):
            found.add("outage")
        if "monitoring" in found and (found & _ENDS or templates.spec_of(asked.after) is None):
            found.add("blind")
    return frozenset(found)


def _read(asked: Asked) -> Iterator[str]:
    if asked.resource != "secrets" or asked.subresource:
        return
    if asked.metadata_only:
        if any(remembers_values(obj) for obj in _told(asked)):
            yield "secrets"
    elif not asked.writes:
        yield "secrets"
    elif asked.verb in {"patch", "deletecollection"} and any(obj.get("data") for obj in asked.before):
        yield "secrets"  # the answer holds what was there


def _told(asked: Asked) -> list[Obj]:
    """The Secrets that an answer may hold."""
    if asked.before:
        return list(asked.before)
    if asked.store is None:
        return []
    found = asked.store.list("secrets", asked.namespace or None)
    return [obj for obj in found if asked.name in {"", name_of(obj)}]


def _places(asked: Asked) -> Iterator[str]:
    resource, sub = asked.resource, asked.subresource
    for sort in ("policy", "rbac", "chaos", "definitions", "monitoring"):
        if of_sort(sort, resource):
            yield sort
    if sub in _ENTER:
        yield "enter"
    if sub == "token":
        yield "token"
    if sub in {"status", "binding"} or resource in _CONTROLLERS_OWN or _is_controllers(asked):
        yield "status"
    if sub == "approval":
        yield "rbac"
    if resource == "secrets" and text(asked.after, "type") in _CREDENTIALS:
        yield "token"
    if asked.options.force:
        yield "force"
    if (asked.verb in _DELETES or sub == "eviction") and asked.options.grace_period_seconds == 0:
        yield "force"


def _is_controllers(asked: Asked) -> bool:
    """Whether these are the endpoints that a controller keeps of a Service."""
    if asked.resource == "endpointslices.discovery.k8s.io":
        return any(_SLICES in labels(obj) for obj in asked.before)
    if asked.resource != "endpoints" or asked.store is None:
        return False
    service = asked.store.get("services", asked.namespace, asked.name)
    return bool(dig(service, "spec", "selector"))


def _experiments(asked: Asked) -> Iterator[str]:
    """Faults that a mesh is told to inject."""
    if asked.after is None or not asked.resource.endswith(".networking.istio.io"):
        return
    before = asked.before[0] if asked.before else {}
    old, new = ([route.get("fault") for route in items(obj, "spec", "http")] for obj in (before, asked.after))
    if any(fault and fault not in old for fault in new):
        yield "chaos"


def _rights(asked: Asked) -> Iterator[str]:
    if asked.after is None or not of_sort("rbac", asked.resource):
        return
    before = asked.before[0] if asked.before else {}
    if _wide(asked.after) - _wide(before):
        yield "opens"


def _wide(obj: Obj) -> set[str]:
    """What in a role or binding is as good as everything, or for everybody."""
    found = set()
    for rule in items(obj, "rules"):
        if "*" in words(rule, "verbs") and "*" in words(rule, "resources"):
            found.add("rules")
        if {"escalate", "bind", "impersonate"} & set(words(rule, "verbs")):
            found.add("escalates")
    if text(obj, "roleRef", "name") in _MASTERS:
        found |= {
            f"subject {item.get('kind')}/{item.get('namespace')}/{item.get('name')}"
            for item in _subjects(obj)
        }
    found |= {f"group {item.get('name')}" for item in _subjects(obj) if text(item, "name") in _EVERYBODY}
    return found


def _subjects(obj: Obj) -> list[Obj]:
    return items(obj, "subjects")


def _pods(asked: Asked) -> Iterator[str]:
    """What changes in the pods that an object has, or is."""
    if asked.after is None or asked.subresource in {"scale", "status"}:
        return
    before = asked.before[0] if asked.before else {}
    after = templates.spec_of(asked.after)
    if after is None:
        return
    old = templates.spec_of(before) or {}
    space = asked.namespace
    if templates.privileges(after) - templates.privileges(old):
        yield "privileged"
    account = templates.account(after)
    if account != templates.account(old) and templates.may_nearly_everything(asked.store, space, account):
        yield "privileged"
    new = templates.secrets(after) - templates.secrets(old)
    if any(asked.store is None or asked.store.get("secrets", space, name) for name in new):
        yield "secrets"
    if templates.probes(old) - templates.probes(after) and old:
        yield "probes"


_LOOKS: tuple[Callable[[Asked], Iterator[str]], ...] = (
    _places, losses.deletion, losses.metadata, losses.lives, losses.copies, _experiments, _rights, _pods,
    watching,
)  # fmt: skip

__all__ = ["effects_of"]
