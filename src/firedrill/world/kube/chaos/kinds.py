"""The kinds of Chaos Mesh: their definitions as the API takes them, and what is installed along with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple

import yaml

from firedrill.world.kube.objects import Obj, freeze, thaw
from firedrill.world.sim.tables import table

GROUP: Final = "chaos-mesh.org"
API: Final = f"{GROUP}/v1alpha1"
NAMESPACE: Final = "chaos-mesh"
PAUSE: Final = "experiment.chaos-mesh.org/pause"
"""The annotation that holds an experiment or a schedule while its value is `true`."""
FINALIZER: Final = "chaos-mesh/records"
FORCED: Final = "chaos-mesh.chaos-mesh.org/cleanFinalizer"
MANAGER: Final = "chaos-controller-manager"


class Kind(NamedTuple):
    """One kind of experiment.

    Attributes:
        kind: such as `NetworkChaos`.
        resource: such as `networkchaos.chaos-mesh.org`.
        field: of a Schedule that holds its spec, such as `networkChaos`.
        contained: its records are about containers, not about pods.
    """

    kind: str
    resource: str
    field: str
    contained: bool


def _field(kind: str) -> str:
    head = kind.removesuffix("Chaos")
    return f"{head.lower() if head.isupper() else head[:1].lower() + head[1:]}Chaos"


_CONTAINED = frozenset({"StressChaos", "JVMChaos", "IOChaos", "DNSChaos", "TimeChaos"})
_NAMES = (
    "NetworkChaos",
    "PodChaos",
    "StressChaos",
    "HTTPChaos",
    "JVMChaos",
    "IOChaos",
    "DNSChaos",
    "TimeChaos",
)
KINDS: Final[Mapping[str, Kind]] = {
    name: Kind(name, f"{name.lower()}.{GROUP}", _field(name), name in _CONTAINED) for name in _NAMES
}
"""By kind."""
_BY_RESOURCE = {item.resource: item for item in KINDS.values()}


def kind_of(resource: str) -> Kind | None:
    """The kind of experiment that a resource holds."""
    return _BY_RESOURCE.get(resource)


@cache
def definitions() -> tuple[Obj, ...]:
    """The CustomResourceDefinitions."""
    data = table(__package__, "kinds.yaml")
    out, specs = [], {}
    for name, known in data["kinds"].items():
        spec = {"type": "object", "required": known["required"], "properties": known["properties"]}
        specs[KINDS[name].field] = spec
        columns = [data["columns"][column] for column in known["columns"]]
        out.append(_definition(name, known, spec, data["status"], columns))
    schedule = data["schedule"]
    spec = {
        "type": "object",
        "required": schedule["required"],
        "properties": {**schedule["properties"], **specs},
    }
    out.append(_definition("Schedule", schedule, spec, schedule["status"], []))
    return tuple(freeze(item) for item in out)


def _definition(name: str, known: Mapping[str, Any], spec: Obj, status: Obj, columns: list[Obj]) -> Obj:
    plural = known["plural"]
    version: Obj = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": spec,
                    "status": status,
                },
            }
        },
    }
    if columns:
        version["additionalPrinterColumns"] = columns
    names = {
        "kind": name,
        "listKind": f"{name}List",
        "plural": plural,
        "singular": known.get("singular", plural),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


@lru_cache(maxsize=32)
def _documents(name: str, namespace: str) -> tuple[Obj, ...]:
    text = files(__package__).joinpath("data", name).read_text("utf-8")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    filled = Template(text).safe_substitute(namespace=namespace)
    return tuple(freeze(item) for item in yaml.load_all(filled, Loader=loader))


def mesh_objects(namespace: str = "") -> list[Obj]:
    """What an installation of Chaos Mesh consists of, fresh copies.

    Args:
        namespace: of an application. Where it is named, there is also what a team has lying about that tries
            failures now and then: schedules that are paused, experiments that are over, that fit nothing, or
            that disturb nothing but a namespace of their own.
    """
    out = [*definitions(), *_documents("mesh.yaml", "")]
    if namespace:
        out += _documents("experiments.yaml", namespace)
    return [thaw(item) for item in out]
