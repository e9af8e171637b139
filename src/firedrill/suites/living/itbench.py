"""ITBench's own scenario specifications (`scenario.yaml` of its second generation), read as they are.

The files are foreign: they are read with bounds, and whatever they name is looked up here, never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firedrill.core._document import plain, read_document
from firedrill.core.errors import InputError
from firedrill.suites.living.case import HEALTHY_MS, MODALITIES, Case, CaseFault, Waiter
from firedrill.suites.living.waiters import AUTOSCALE, known_waiters

_MOST = 20
_FIRST_MS = HEALTHY_MS + 60_000
_APPLICATIONS = {
    "opentelemetryDemo": ("astronomy-shop", "otel-demo", 70, 80),
    "bookInfo": ("book-info", "book-info", 60, 70),
    "hotelReservation": ("hotel-reservation", "hotel-reservation", 70, 80),
}
"""ITBench's names: our package, its namespace, and targets of autoscalers in per cent (processor, memory)."""


@dataclass(frozen=True, slots=True)
class Injected:
    """One injection: ITBench's id of the fault, and its arguments as they were written."""

    id: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """Injections in order, and what is waited for before and after them."""

    injections: tuple[Injected, ...]
    before: tuple[Waiter, ...] = ()
    after: tuple[Waiter, ...] = ()


@dataclass(frozen=True, slots=True)
class Specification:
    """What a file says.

    Attributes:
        name: as in `scenario-20`.
        application: ITBench's name of it.
        options: of the application.
        items: which are injected at the same time.
        tools: `sre` or `finops`.
    """

    name: str
    application: str
    options: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Item, ...] = ()
    tools: tuple[str, ...] = ()


def read_specification(text: str, source: str) -> Specification:
    """A specification from the text of its file.

    Raises:
        InputError: it is none, or too large, or too deeply nested.
    """
    document, _ = read_document(text, source)
    return parse_specification(document, source)


def parse_specification(document: object, source: str) -> Specification:
    """A specification from parsed YAML; see `read_specification`."""
    data = plain(document, source)
    if not isinstance(data, dict) or data.get("kind") != "Scenario":
        raise InputError("is no scenario specification: kind is not Scenario", source=source, field="kind")
    version = data.get("apiVersion")
    if version != "itbench.io/v2":
        problem = f"is of the version {version!r}, not itbench.io/v2"
        raise InputError(problem, source=source, field="apiVersion")
    spec = _mapping(data.get("spec"), "spec", source)
    applications = _mapping(spec.get("applications"), "spec.applications", source)
    enabled = [
        name for name, item in applications.items() if isinstance(item, dict) and item.get("enabled", True)
    ]
    if len(enabled) != 1:
        problem = f"names {len(enabled)} applications, not one"
        raise InputError(problem, source=source, field="spec.applications")
    options = applications[enabled[0]].get("options") or {}
    tools = spec.get("tools") or {}
    meta = _mapping(data.get("metadata") or {}, "metadata", source)
    return Specification(
        name=str(meta.get("name") or "scenario"),
        application=enabled[0],
        options=_mapping(options, "spec.applications.options", source),
        items=tuple(_item(*pair, source) for pair in enumerate(_list(spec, "faults", "spec", source))),
        tools=tuple(sorted(tools)) if isinstance(tools, dict) else (),
    )


def _mapping(value: Any, where: str, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("must be a mapping", source=source, field=where)
    return value


def _list(data: Mapping[str, Any], key: str, where: str, source: str) -> list[Any]:
    value = data.get(key) or []
    place = f"{where}.{key}"
    if not isinstance(value, list):
        raise InputError("must be a list", source=source, field=place)
    if len(value) > _MOST:
        raise InputError(f"has {len(value)} entries, more than {_MOST}", source=source, field=place)
    return value


def _item(number: int, value: Any, source: str) -> Item:
    where = f"spec.faults[{number}]"
    data = _mapping(value, where, source)
    waits = _mapping(data.get("waitFor") or {}, f"{where}.waitFor", source)
    injections = []
    for place, entry in enumerate(_list(data, "injections", where, source)):
        name, args = _named(entry, f"{where}.injections[{place}]", source)
        injections.append(Injected(name, args))
    both = [
        tuple(
            _waiter(entry, f"{where}.waitFor.{key}[{place}]", source)
            for place, entry in enumerate(_list(waits, key, f"{where}.waitFor", source))
        )
        for key in ("preInjection", "postInjection")
    ]
    return Item(tuple(injections), both[0], both[1])


def _named(value: Any, where: str, source: str) -> tuple[str, dict[str, Any]]:
    data = _mapping(value, where, source)
    name = data.get("id")
    if not isinstance(name, str) or not name:
        raise InputError("has no id", source=source, field=f"{where}.id")
    return name, _mapping(data.get("args") or {}, f"{where}.args", source)


def _waiter(value: Any, where: str, source: str) -> Waiter:
    name, args = _named(value, where, source)
    if name not in known_waiters():
        mend = f"known are {', '.join(known_waiters())}"
        raise InputError(f"there is no waiter {name!r}", source=source, field=f"{where}.id", mend=mend)
    obj = args.get("kubernetesObject")
    out: dict[str, Any] = {}
    if isinstance(obj, dict):
        meta = _mapping(obj.get("metadata") or {}, f"{where}.args.kubernetesObject.metadata", source)
        out = {
            "kind": str(obj.get("kind") or "Deployment"),
            "namespace": str(meta.get("namespace") or ""),
            "name": str(meta.get("name") or ""),
        }
    for key in ("replicas", "seconds"):
        amount = args.get(key)
        if amount is None and isinstance(obj, dict) and isinstance(obj.get("spec"), dict):
            amount = obj["spec"].get(key)
        if amount is not None:
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 3600:
                raise InputError("must be 0 to 3600", source=source, field=f"{where}.args.{key}")
            out[key] = amount
    return Waiter(name, out)


def case_of_specification(spec: Specification, seed: int = 1) -> Case:
    """The case that a specification describes.

    What ITBench leaves to its tools stays out: how its browsers surf, and that its users come by ones.

    Raises:
        InputError: it is about cost, nothing breaks in it, or it names an application, a fault or an argument
            that is not known here.
    """
    from firedrill import faults

    if "finops" in spec.tools and "sre" not in spec.tools:
        raise InputError("it is about cost, not about a failure", source=spec.name)
    if spec.application not in _APPLICATIONS:
        raise InputError(f"there is no application {spec.application!r}", source=spec.name)
    package, namespace, cpu, memory = _APPLICATIONS[spec.application]
    broken: list[CaseFault] = []
    prepare: list[Waiter] = []
    if _option(spec.options, "autoscaling", "kubernetes", "hpa") is True:
        prepare.append(Waiter(AUTOSCALE, {"namespace": namespace, "cpu": cpu, "memory": memory}))
    for item in spec.items:
        prepare += item.before
        for number, injected in enumerate(item.injections):
            mechanism, args = faults.from_itbench(injected.id, injected.args)
            faults.find(mechanism)
            last = number == len(item.injections) - 1
            broken.append(CaseFault(mechanism, args, _FIRST_MS, item.after if last else ()))
    if not broken:
        raise InputError("nothing breaks in it", source=spec.name)
    users = _option(spec.options, "loadGeneration", "users")
    whole = isinstance(users, int) and not isinstance(users, bool) and 0 < users <= 10_000
    return Case(
        package=package,
        faults=tuple(broken),
        seed=seed,
        users=users if whole else 0,
        prepare=tuple(prepare),
        modalities=MODALITIES,
    )


def _option(options: Mapping[str, Any], *path: str) -> Any:
    found: Any = options
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


__all__ = [
    "Injected",
    "Item",
    "Specification",
    "case_of_specification",
    "parse_specification",
    "read_specification",
]
