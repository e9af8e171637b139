"""What an API server fills in: tables by type (`data/defaults.yaml`), and rules that look at other fields.

Source: the defaulting functions of each API version (`pkg/apis/*/v*/defaults.go`), and the strategies
that set a status at creation. Nothing here needs a clock, a name generator or another object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from firedrill.world.kube.kinds import Kind
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema import rules_defaults
from firedrill.world.kube.schema.definitions import DEFAULT_VERSION, Schema, schema_for
from firedrill.world.sim.tables import table

Rule = Callable[[Obj], Obj]
"""Gets an object with the defaults of its table, gives one with more; changes nothing in place."""

_PREFIXES = ("io.k8s.api.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis.")


class _Plan:
    """What to do at one type, and below which of its fields there is anything to do at all."""

    __slots__ = ("children", "fields", "rule")

    def __init__(self) -> None:
        self.fields: tuple[tuple[tuple[str, ...], bool, Any], ...] = ()
        self.rule: Rule | None = None
        self.children: dict[str, tuple[str, _Plan]] = {}

    def __bool__(self) -> bool:
        return bool(self.fields or self.rule or self.children)


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    return table(__package__, "defaults.yaml")  # type: ignore[no-any-return]


@cache
def _plan(kind: Kind, version: str) -> _Plan:
    return _build(schema_for(kind, version), {})


def _build(schema: Schema, known: dict[str, _Plan]) -> _Plan:
    if schema.name in known:
        return known[schema.name]
    plan = _Plan()
    if schema.name:
        known[schema.name] = plan
        short = schema.name
        for prefix in _PREFIXES:
            short = short.removeprefix(prefix)
        plan.fields = tuple(
            (tuple(path.removeprefix("+").split(".")), path.startswith("+"), value)
            for path, value in _table().get(short, {}).items()
        )
        plan.rule = rules_defaults.RULES.get(short)
    for name, child in schema.properties.items():
        shape, below = "struct", child
        if child.type == "array":
            shape, items = "list", child.items()
            if items is None:
                continue
            below = items
        elif child.type == "object" and child.additional() is not None:
            continue
        made = _build(below, known) if below.type == "object" else None
        if made:
            plan.children[name] = (shape, made)
    return plan


def default(kind: Kind, obj: Obj, version: str = DEFAULT_VERSION, known: Obj | None = None) -> Obj:
    """The object with every field that a server would fill in. The one given stays as it is.

    Args:
        kind: of the object.
        obj: after decoding.
        version: of the cluster.
        known: the stored version; what the object shares with it has its defaults already.
    """
    if kind.custom:
        from firedrill.world.kube.schema.structural import fill

        return fill(schema_for(kind, version), obj)
    return _apply(_plan(kind, version), obj, known)


def _apply(plan: _Plan, obj: Obj, known: Any = None) -> Obj:
    out = dict(obj)
    for path, make, value in plan.fields:
        if len(path) == 1:
            if out.get(path[0]) is None:
                out[path[0]] = _fresh(value)
        else:
            _set_deep(out, path, make, value)
    if plan.rule is not None:
        out = plan.rule(out)
    before: Obj = known if isinstance(known, dict) else {}
    for name, (shape, below) in plan.children.items():
        value = out.get(name)
        if value is None:
            continue
        old = before.get(name)
        if value is old:
            continue
        if shape == "list":
            if isinstance(value, list) and value:
                out[name] = _apply_to_each(below, value, old)
        elif isinstance(value, dict):
            out[name] = _apply(below, value, old)
    return out


def _apply_to_each(plan: _Plan, items: list[Any], known: Any) -> list[Any]:
    before = known if isinstance(known, list) and len(known) == len(items) else [None] * len(items)
    return [
        item if item is old or not isinstance(item, dict) else _apply(plan, item, old)
        for item, old in zip(items, before, strict=True)
    ]


def _set_deep(out: Obj, path: tuple[str, ...], make: bool, value: Any) -> None:
    """Set a value below; only the dicts on the way, which this run has made or makes, are changed."""
    here = out
    for step in path[:-1]:
        below = here.get(step)
        if below is None and not make:
            return
        below = {} if not isinstance(below, dict) else dict(below)
        here[step] = below
        here = below
    if here.get(path[-1]) is None:
        here[path[-1]] = _fresh(value)


def _fresh(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value
