"""How two versions of an object differ, leaf by leaf; items of lists are told apart by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from firedrill.world.kube.objects import Obj, dig

RESTARTED = "kubectl.kubernetes.io/restartedAt"
_OWN = frozenset({"status", "metadata", "apiVersion", "kind"})
_META = ("labels", "annotations", "finalizers", "ownerReferences")
_SERVERS = frozenset(
    {
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)


class Named(NamedTuple):
    """The item of that name in a list of named items."""

    name: str


class Leaf(NamedTuple):
    """One difference; `GONE` on the side where there is nothing."""

    path: tuple[str | Named, ...]
    before: Any
    after: Any


GONE: Any = ()
"""Stands for nothing: no value of an object is a tuple."""


def plain(obj: Obj) -> Obj:
    """What people write of an object: no status, no bookkeeping, no stamp of a restart."""
    out: Obj = {key: item for key, item in obj.items() if key not in _OWN}
    meta = obj.get("metadata") or {}
    for key in _META[:2]:
        kept = {name: text for name, text in (meta.get(key) or {}).items() if name not in _SERVERS}
        if kept:
            out.setdefault("metadata", {})[key] = kept
    if stamp_of(obj):
        out["spec"] = _unstamped(out["spec"])
    return out


def stamp_of(obj: Mapping[str, Any] | None) -> str:
    """When the pods of a workload were last restarted by hand; empty where they never were."""
    return str(dig(obj, "spec", "template", "metadata", "annotations", RESTARTED, default=""))


def _unstamped(spec: Obj) -> Obj:
    meta = spec["template"]["metadata"]
    rest = {key: text for key, text in meta["annotations"].items() if key != RESTARTED}
    kept = {key: item for key, item in meta.items() if key != "annotations"}
    if rest:
        kept["annotations"] = rest
    return {**spec, "template": {**spec["template"], "metadata": kept}}


def differences(before: Any, after: Any, path: tuple[str | Named, ...] = ()) -> Iterator[Leaf]:
    """Every leaf that differs, in the order of the keys."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key, GONE), after.get(key, GONE), (*path, str(key)))
    elif _named(before) and _named(after):
        old = {item["name"]: item for item in before}
        new = {item["name"]: item for item in after}
        for name in [*old, *(name for name in new if name not in old)]:
            yield from differences(old.get(name, GONE), new.get(name, GONE), (*path, Named(name)))
    elif before != after:
        yield Leaf(path, before, after)


def _named(value: Any) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, (str, tuple)) or not value:
        return False
    names = [item.get("name") for item in value if isinstance(item, Mapping)]
    return len(names) == len(value) and all(names) and len(set(names)) == len(names)


def value_at(obj: Any, path: Sequence[str | Named]) -> Any:
    """What lies there; `GONE` where nothing does."""
    here = obj
    for step in path:
        if isinstance(step, Named):
            items = here if isinstance(here, Sequence) and not isinstance(here, str) else ()
            found = [item for item in items if isinstance(item, Mapping) and item.get("name") == step.name]
            here = found[0] if found else GONE
        else:
            here = here.get(step, GONE) if isinstance(here, Mapping) else GONE
    return here


def put_at(obj: Any, path: Sequence[str | Named], value: Any) -> Any:
    """A copy with that value there, or without what is there where the value is `GONE`."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, Named):
        items = list(obj) if isinstance(obj, Sequence) and not isinstance(obj, str) else []
        places = [
            n for n, item in enumerate(items) if isinstance(item, Mapping) and item["name"] == step.name
        ]
        if not places:
            return items if value == GONE else [*items, put_at({"name": step.name}, rest, value)]
        new = put_at(items[places[0]], rest, value)
        return [
            new if n == places[0] else item for n, item in enumerate(items) if n != places[0] or new != GONE
        ]
    here = dict(obj) if isinstance(obj, Mapping) else {}
    if not rest and value == GONE:
        here.pop(step, None)
        return here
    if rest and value == GONE and step not in here:
        return here
    here[step] = put_at(here.get(step), rest, value)
    return here


_BY_NAME = frozenset({"containers", "initContainers", "env", "volumes", "imagePullSecrets"})
_BY_OTHERS = frozenset({"ports", "volumeMounts", "topologySpreadConstraints", "hostAliases", "finalizers"})


def strategic_patch(leaves: Sequence[Leaf]) -> Obj | None:
    """The strategic merge patch that takes leaves of a workload back; None where it could not say so."""
    out: Obj = {}
    for leaf in leaves:
        words = [step for step in leaf.path if isinstance(step, str)]
        lists = [words_before for words_before, step in pairwise(leaf.path) if isinstance(step, Named)]
        if any(step not in _BY_NAME for step in lists):
            return None
        both = isinstance(leaf.before, list) and isinstance(leaf.after, list)
        if not words or (both and words[-1] in _BY_NAME | _BY_OTHERS):
            return None
        if _BY_OTHERS.intersection(words[:-1]):
            return None
        _say(out, leaf.path, None if leaf.before == GONE else leaf.before)
    return out


def _say(out: Obj, path: Sequence[str | Named], value: Any) -> None:
    here: Any = out
    for place, step in enumerate(path):
        last = place == len(path) - 1
        if isinstance(step, Named):
            found = [item for item in here if item["name"] == step.name]
            if not found:
                here.append({"name": step.name})
                found = here[-1:]
            if last:
                found[0].update({"$patch": "delete"} if value is None else value)
            here = found[0]
        elif last:
            here[step] = value
        else:
            here = here.setdefault(step, [] if isinstance(path[place + 1], Named) else {})


def merge_patch(now: Any, wanted: Any) -> Any:
    """The smallest merge patch that makes one mapping the other; lists whole."""
    out: Obj = {}
    for key in sorted({*now, *wanted}):
        if key not in wanted:
            out[key] = None
        elif isinstance(now.get(key), Mapping) and isinstance(wanted[key], Mapping):
            inner = merge_patch(now[key], wanted[key])
            if inner:
                out[key] = inner
        elif key not in now or now[key] != wanted[key]:
            out[key] = wanted[key]
    return out
