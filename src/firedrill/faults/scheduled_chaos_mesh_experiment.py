"""a Schedule of Chaos Mesh starts an experiment every minute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, MINUTELY, create, pods_of, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import entity
from firedrill.world.kube.chaos import KINDS, NAMESPACE
from firedrill.world.kube.objects import Obj, name_of

if TYPE_CHECKING:
    from firedrill.world import World

ID = "scheduled-chaos-mesh-experiment"
_LASTS = "55s"


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    spec = args["spec"]
    kind = KINDS.get(str(spec.get("type"))) if isinstance(spec, Mapping) else None
    inner = spec.get(kind.field) if kind is not None else None
    if kind is None or not isinstance(inner, Mapping):
        fields = ", ".join(f"{{type: {item.kind}, {item.field}: {{…}}}}" for item in KINDS.values())
        raise InputError("the spec names no experiment", field="spec", mend=f"give one of {fields}")
    return create(world, args["namespace"], args["name"], kind.kind, dict(inner), str(args["every"]))


def _specs(owner: Obj) -> tuple[tuple[str, str, Obj], ...]:
    """(name, kind, spec) of experiments that any workload can be tried with."""
    base = {"mode": "all", "selector": pods_of(owner), "duration": _LASTS}
    delay = {"action": "delay", "delay": {"latency": "2000ms"}, "direction": "to"}
    loss = {"action": "loss", "loss": {"loss": "60", "correlation": "0"}, "direction": "to"}
    busy = {"stressors": {"cpu": {"workers": 30, "load": 100}}}
    return (
        ("{}-network-delay", "NetworkChaos", {**base, **delay}),
        ("{}-network-loss", "NetworkChaos", {**base, **loss}),
        ("{}-pod-failure", "PodChaos", {**base, "action": "pod-failure"}),
        ("{}-cpu-stress", "StressChaos", {**base, **busy}),
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        name, kind, inner = one_of(world, ID, owner, _specs(owner))
        spec = {"type": kind, KINDS[kind].field: inner}
        args = {"namespace": NAMESPACE, "name": name.format(name_of(owner)), "spec": spec}
        yield Target(args, entity(owner))


FAULT = register(
    Fault(
        id=ID,
        title="a Schedule of Chaos Mesh starts an experiment every minute",
        parameters={
            "namespace": Parameter("namespace of the Schedule", NAMESPACE),
            "name": Parameter("name of the Schedule"),
            "spec": Parameter("type of the experiment and, under the field of that type, its spec"),
            "every": Parameter("when it starts one", MINUTELY),
        },
        inject=_inject,
        shows="troubled",
        family="chaos",
        category="Chaos",
        text=(
            "A Schedule of Chaos Mesh starts an experiment every minute, unless the one before goes on. "
            "What that does to its target depends on its kind: slow or lost packets, failing pods, busy "
            "processors."
        ),
        fits=_fits,
        lacks=LACKS,
    )
)
