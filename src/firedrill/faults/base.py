"""What a fault is: a mechanism that breaks something, by the means by which such things break."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.world.kube import effects
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.objects import Obj, thaw

if TYPE_CHECKING:
    from firedrill.world import World

_CLAIMS = "persistentvolumeclaims"
OPERATOR = "kubectl"
"""The field manager of the changes: that of a person with a terminal."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a fault.

    Attributes:
        help: what it is, in one line.
        default: None where it must be given.
        choices: allowed values, where there are few.
    """

    help: str
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undo:
    """One step back: an object as it was (None: it was not there), or a part of a node that ran.

    Attributes:
        resource, namespace, name: of the object. Where the resource is `node-part` or
            `node-pressure`, the namespace is the node and the name its part or pressure; where it is
            `effect`, the name is the source of the effects.
        was: the object before.
    """

    resource: str
    namespace: str
    name: str
    was: Obj | None = None


@dataclass(frozen=True, slots=True)
class Injection:
    """What was done: kept by whoever injected it, never in the world.

    Attributes:
        fault: the id of the mechanism.
        args: as used, defaults included.
        causes: the entities that are the root cause, as `namespace/Kind/name`.
        undo: the way back, last change first.
        at: when, in ms of virtual time.
    """

    fault: str
    args: Mapping[str, Any]
    causes: tuple[str, ...]
    undo: tuple[Undo, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One mechanism.

    Attributes:
        id: as scenarios name it, such as `incorrect-image-reference`.
        title: what breaks, in one line.
        parameters: its arguments by name.
        inject: brings it about by ordinary API calls or by a condition of a node or program, never by
            writing events or statuses; returns the causes and the way back.
        shows: what is seen of it at the latest after `within` ms: a kind, and where it has one, its detail.
            `event`, `waiting`, `ended`, `node` (with a reason or condition), `restarts`, `stuck` (new copies
            never start), `endpoints` (a Service has none), `claim` (it stays unbound), `effect` (packets or
            processors), `dns` (names do not resolve), `refused` (the API refuses the next copy),
            `forbidden` (an account may not what it could), `pending-next` (the next copy stays Pending),
            `undrainable`, `stale-node` (a node does not learn of new endpoints), and what cannot be
            reached: `unreachable-service`, `unreachable-workload`, `unreachable-address` (of a variable).
        aliases: other names under which it is known in the field.
    """

    id: str
    title: str
    parameters: Mapping[str, Parameter]
    inject: Callable[[World, Mapping[str, Any]], tuple[tuple[str, ...], tuple[Undo, ...]]]
    shows: str
    within: int = 300_000
    aliases: tuple[str, ...] = field(default=())


_FAULTS: dict[str, Fault] = {}


def register(fault: Fault) -> Fault:
    """Add the mechanism to the library. Called once, when its module is imported."""
    _FAULTS[fault.id] = fault
    return fault


def registered() -> Mapping[str, Fault]:
    """All mechanisms that have been imported, by id."""
    return _FAULTS


def arguments(fault: Fault, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with their defaults.

    Raises:
        InputError: one is unknown, missing, or none of its choices.
    """
    for name in given:
        if name not in fault.parameters:
            raise InputError(
                f"{fault.id} has no argument {name!r}",
                field=name,
                mend=f"it takes {', '.join(sorted(fault.parameters)) or 'none'}",
            )
    out = {}
    for name, parameter in fault.parameters.items():
        value = given.get(name, parameter.default)
        if value is None:
            raise InputError(f"{fault.id} needs {name}: {parameter.help}", field=name, mend="give it")
        if parameter.choices and value not in parameter.choices:
            raise InputError(
                f"{value!r} is no {name} of {fault.id}",
                field=name,
                mend=f"take one of {', '.join(parameter.choices)}",
            )
        out[name] = value
    return out


def inject(world: World, fault: Fault, given: Mapping[str, Any]) -> Injection:
    """Break something now.

    Raises:
        InputError: an argument is wrong, or names something that is not there.
    """
    args = arguments(fault, given)
    try:
        fault.inject(world.fork(), args)  # what is refused halfway must not leave a half
        causes, undo = fault.inject(world, args)
    except ApiError as refusal:
        named = (name for name, value in args.items() if value and f'"{value}"' in refusal.message)
        wrong = next(named, None)
        mend = f"correct {wrong}" if wrong else "correct the arguments"
        raise InputError(f"{fault.id}: {refusal.message}", field=wrong, mend=mend) from None
    return Injection(fault.id, args, causes, undo, world.now)


def revert(world: World, injection: Injection) -> None:
    """Take it back: every object as it was, every part of a node running again."""
    from firedrill.world.kube.kubelet import nodes

    client = Client(world, manager=OPERATOR, trusted=True)
    for step in injection.undo:
        if step.resource == "node-part":
            nodes.start(world, step.namespace, step.name)
            continue
        if step.resource == "node-pressure":
            nodes.set_pressure(world, step.namespace, step.name, on=False)
            continue
        if step.resource == "effect":
            effects.remove(world, step.name)
            continue
        now = client.find(step.resource, step.namespace, step.name)
        if step.was is None:
            if now is not None:
                client.delete(step.resource, step.namespace, step.name, propagation="Background")
        elif step.resource == _CLAIMS:
            _give_back(client, step.was, now)
        elif now is None:
            client.create(_fresh(step.was))
        else:
            kept = {key: item for key, item in thaw(step.was).items() if key != "status"}
            kept["metadata"] = {**kept["metadata"], "resourceVersion": now["metadata"]["resourceVersion"]}
            client.update(kept)


def _give_back(client: Client, was: Obj, now: Obj | None) -> None:
    """Make a claim anew as it was, and keep its volume for it, as an operator does."""
    namespace, name = was["metadata"]["namespace"], was["metadata"]["name"]
    if now is not None:
        client.patch(_CLAIMS, namespace, name, {"metadata": {"finalizers": None}})
        client.delete(_CLAIMS, namespace, name)
    volume = str(was["spec"].get("volumeName") or "")
    if volume and client.find("persistentvolumes", "", volume) is not None:
        reserved = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
        client.patch("persistentvolumes", "", volume, {"spec": {"claimRef": None}})
        client.patch("persistentvolumes", "", volume, {"spec": {"claimRef": reserved}})
    client.create(_fresh(was))


def _fresh(obj: Obj) -> Obj:
    out = {key: item for key, item in thaw(obj).items() if key != "status"}
    drop = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "deletionTimestamp")
    out["metadata"] = {key: item for key, item in out["metadata"].items() if key not in drop}
    return out
