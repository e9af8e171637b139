"""ITBench's names for mechanisms, and the arguments in which its scenario files tell of them.

Its arguments are nested: `kubernetesObject` {apiVersion, kind, metadata {name, namespace}}, `container`
{name, env {name, value}}, and a few more of single ids. `data/itbench.yaml` says what becomes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from typing import Any

from firedrill.core.errors import InputError
from firedrill.world.sim.tables import table

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_OBJECT = "kubernetesObject"
_PLACES: Mapping[str, Mapping[str, str]] = {
    "workload": {
        "namespace": f"{_OBJECT}.metadata.namespace",
        "name": f"{_OBJECT}.metadata.name",
        "kind": f"{_OBJECT}.kind",
    },
    "object": {"namespace": f"{_OBJECT}.metadata.namespace", "name": f"{_OBJECT}.metadata.name"},
    "config_map": {"namespace": f"{_OBJECT}.metadata.namespace", "config_map": f"{_OBJECT}.metadata.name"},
    "namespace": {"namespace": f"{_OBJECT}.metadata.name"},
    "container": {"container": "container.name"},
}
"""Where the arguments of a mechanism are in ITBench's, by the kind of object that an id takes."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What one of ITBench's ids is here.

    Attributes:
        id: ITBench's.
        mechanism: id of the mechanism of this library.
        paths: arguments of the mechanism by their paths in ITBench's.
        sets: arguments of the mechanism that ITBench always gives the same value.
    """

    id: str
    mechanism: str
    paths: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)


@cache
def itbench_namings() -> Mapping[str, Naming]:
    """All of ITBench's ids, sorted."""
    out = {}
    for name, item in sorted(table("firedrill.faults", "itbench.yaml").items()):
        paths = {key: path for kind in item["takes"] for key, path in _PLACES[kind].items()}
        paths |= item.get("from") or {}
        out[name] = Naming(name, item.get("mechanism") or name, paths, item.get("sets") or {})
    return out


def from_itbench(name: str, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The mechanism and its arguments for what a scenario file of ITBench says.

    Args:
        name: ITBench's id.
        args: as in its files, nested. A ConfigMap, Secret and the like are named by `kubernetesObject`.

    Returns:
        The id of the mechanism, and the arguments that `inject` takes.

    Raises:
        InputError: there is no such id, or an argument is missing.
    """
    namings = itbench_namings()
    if name not in namings:
        raise InputError(f"ITBench has no fault {name!r}", mend=f"take one of {', '.join(namings)}")
    naming = namings[name]
    out = {key: _at(args, path, name) for key, path in naming.paths.items()}
    told = {"name": str(out.get("name", "")), "random": _random(name, args)}
    for key, value in naming.sets.items():
        out[key] = value.format(**told) if isinstance(value, str) and "{" in value else value
    return naming.mechanism, out


def _at(args: Mapping[str, Any], path: str, name: str) -> Any:
    found: Any = args
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        raise InputError(f"{name} needs {path}", field=path, mend="give it")
    return ",".join(str(item) for item in found) if isinstance(found, list | tuple) else found


def _random(name: str, args: Mapping[str, Any]) -> str:
    made = blake2b(f"{name}/{args.get(_OBJECT)}".encode(), digest_size=5).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in made)
