"""Which pods an experiment is about: its selector, and how many of them its mode takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.objects import Obj, annotations_of, dig, labels_of, name_of, namespace_of, uid_of
from firedrill.world.kube.selectors import from_object, matches

if TYPE_CHECKING:
    from firedrill.world.world import World

_MOST = 10_000


def select(world: World, experiment: Obj, part: Mapping[str, Any], key: str) -> list[Obj]:
    """The pods that one part of an experiment takes, by namespace and name.

    Args:
        world: where.
        experiment: whose part it is.
        part: with `selector`, `mode` and `value`: the spec, or its `target`.
        key: names the part, for what is drawn.
    """
    pods = candidates(world, part.get("selector") or {}, namespace_of(experiment))
    mode, value = str(part.get("mode") or "all"), _number(part.get("value"))
    if mode == "all" or not pods:
        return pods
    count = len(pods)
    if mode == "one":
        wanted = 1
    elif mode == "fixed":
        wanted = value
    else:
        percent = min(value, 100)
        if mode == "random-max-percent":
            percent = world.rng.integer(0, percent, "chaos.percent", uid_of(experiment), key)
        wanted = count * percent // 100
    order = sorted(
        pods, key=lambda pod: world.rng.uniform("chaos.pick", uid_of(experiment), key, uid_of(pod))
    )
    taken = {uid_of(pod) for pod in order[:wanted]}
    return [pod for pod in pods if uid_of(pod) in taken]


def _number(text: Any) -> int:
    words = str(text or "0").strip().removesuffix("%")
    return min(int(words), _MOST) if words.isdecimal() and len(words) < 9 else 0


def candidates(world: World, selector: Mapping[str, Any], namespace: str) -> list[Obj]:
    """The pods that a selector fits; those of the experiment's own namespace where it names none."""
    store = world.cluster.store
    named = selector.get("pods")
    if isinstance(named, Mapping) and named:
        places = [(space, name) for space in sorted(named) for name in named[space] or ()]
        found = (store.get("pods", str(space), str(name)) for space, name in places)
        return [pod for pod in found if pod is not None]
    spaces = selector.get("namespaces") or [namespace]
    wanted = {
        "matchLabels": selector.get("labelSelectors") or {},
        "matchExpressions": selector.get("expressionSelectors") or [],
    }
    requirements = from_object(wanted) or ()
    nodes = _nodes(world, selector)
    phases = frozenset(selector.get("podPhaseSelectors") or ())
    out = []
    for space in sorted({str(item) for item in spaces}):
        for pod in store.list("pods", space):
            if not matches(requirements, labels_of(pod)):
                continue
            if nodes is not None and dig(pod, "spec", "nodeName") not in nodes:
                continue
            if phases and dig(pod, "status", "phase") not in phases:
                continue
            if _has(selector.get("annotationSelectors"), annotations_of(pod)) and _fields(selector, pod):
                out.append(pod)
    return out


def _has(wanted: Any, here: Mapping[str, str]) -> bool:
    return all(here.get(key) == value for key, value in (wanted or {}).items())


def _fields(selector: Mapping[str, Any], pod: Obj) -> bool:
    here = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "spec.nodeName": str(dig(pod, "spec", "nodeName", default="")),
        "status.phase": str(dig(pod, "status", "phase", default="")),
        "status.podIP": str(dig(pod, "status", "podIP", default="")),
    }
    return _has(selector.get("fieldSelectors"), here)


def _nodes(world: World, selector: Mapping[str, Any]) -> set[str] | None:
    """The nodes that pods must be on; None for any."""
    wanted = selector.get("nodeSelectors") or {}
    names = {str(item) for item in selector.get("nodes") or ()}
    if not wanted and not names:
        return None
    fitting = {
        name_of(node)
        for node in world.cluster.store.list("nodes")
        if wanted and _has(wanted, labels_of(node))
    }
    return names | fitting
