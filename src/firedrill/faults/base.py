"""What a fault is: a mechanism that breaks something, by the means by which such things break."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from firedrill.core.errors import InputError
from firedrill.world.kube.api import ApiError
from firedrill.world.kube.objects import Obj, is_deleting

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.api.request import PatchType

OPERATOR = "kubectl"
"""The field manager of the changes: that of a person with a terminal."""
NO_OBJECTS = frozenset({"node-part", "node-pressure", "effect"})
"""What an `Undo` may be about besides objects of the API."""

Family = Literal[
    "scheduling",
    "admission",
    "image",
    "start-up",
    "runtime",
    "probes",
    "routing",
    "network",
    "storage",
    "node",
    "control-plane",
    "configuration",
    "credentials",
    "application",
    "load",
    "mesh",
    "chaos",
]
Spreads = Literal["workload", "service", "node", "edges", "none"]
"""Where users first feel it: in the pods of a workload, behind a Service, in all pods of a node, on calls
between two services, or nowhere."""
Felt = Literal["users", "alert"]
"""Who notices: the users of the application, or only whoever watches the cluster."""
Verb = Literal["create", "update", "patch", "delete", "restart", "scale"]


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
class Change:
    """One object before and after an injection; None where it was not there.

    Attributes:
        resource, namespace, name: of the object, or as in `Undo` for what is none.
        before, after: the object.
    """

    resource: str
    namespace: str
    name: str
    before: Obj | None = None
    after: Obj | None = None


@dataclass(frozen=True, slots=True)
class Injection:
    """What was done: kept by whoever injected it, never in the world.

    Attributes:
        fault: the id of the mechanism.
        args: as used, defaults included.
        causes: the entities that are the root cause, as `namespace/Kind/name`.
        undo: the way back, last change first.
        at: when, in ms of virtual time.
        changes: each object once, in the order in which they were first changed.
    """

    fault: str
    args: Mapping[str, Any]
    causes: tuple[str, ...]
    undo: tuple[Undo, ...]
    at: int
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Arguments that make sense in a world.

    Attributes:
        args: of the mechanism.
        about: the entity whose users feel it, as `namespace/Kind/name`.
        felt: who notices it, where that is not what the mechanism says of itself.
    """

    args: Mapping[str, Any]
    about: str
    felt: Felt | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an operator does, as a call of the API; see `firedrill.faults.repairing`.

    Attributes:
        text: why, in a few words.
        verb: `restart` is what `kubectl rollout restart` sends; `scale` sets the number of copies.
        resource, namespace, name: of the object; the namespace is empty where it has none.
        body: the object, or the patch; for `scale`, `{"spec": {"replicas": 3}}`.
        patch_type: of a patch.
        subresource: may be empty.
    """

    text: str
    verb: Verb
    resource: str
    namespace: str
    name: str
    body: Any = None
    patch_type: PatchType = "merge"
    subresource: str = ""

    def command(self) -> str:
        """The same as a line for a terminal with kubectl."""
        from firedrill.faults.repairing import command_of

        return command_of(self)


def _inverse(world: World, injection: Injection) -> tuple[Step, ...]:
    from firedrill.faults.repairing import inverse

    return inverse(world, injection)


def _still(world: World, injection: Injection) -> bool:
    from firedrill.faults.acting import holds

    return holds(world, injection)


@dataclass(frozen=True, slots=True)
class Fault:
    """One mechanism.

    Attributes:
        id: as scenarios name it, such as `incorrect-image-reference`.
        title: what breaks, in one line.
        parameters: its arguments by name.
        inject: brings it about by ordinary API calls or by a condition of a node or program, never by
            writing events or statuses; returns the causes and the way back.
        shows: what is seen of it at the latest after `within` ms: a kind, and where it has one, its detail;
            several, any of which will do, with bars between them.
            `event`, `waiting`, `ended`, `node` (with a reason or condition), `restarts`, `stuck` (new copies
            never start), `endpoints` (a Service has none), `claim` (it stays unbound), `effect` (packets or
            processors), `dns` (names do not resolve), `refused` (the API refuses the next copy),
            `forbidden` (an account may not what it could), `pending-next` (the next copy stays Pending),
            `undrainable`, `stale-node` (a node does not learn of new endpoints), `denied` (passwords are
            refused), and what cannot be reached: `unreachable-service`, `unreachable-workload`,
            `unreachable-address` (of a variable).
        aliases: other names under which it is known in the field.
        family: what kind of trouble it is; `category` is the word of public incident records for it.
        text: one short paragraph for people: what happened, and what follows.
        spreads: where users first feel it.
        felt: who notices it in the way in which `fits` aims it.
        fits: every set of arguments that makes sense in a world, in a stable order; by default what the
            parameters ask for (`fitting.targets`).
        lacks: why there is no target where there is none, such as `the application has no claims`.
        repair: what an operator would do; by default the inverse of the changes. None where no call of the
            API mends it; `diagnosis` then says why.
        active: whether the mechanism still acts; by default whether the changes are still in place.
    """

    id: str
    title: str
    parameters: Mapping[str, Parameter]
    inject: Callable[[World, Mapping[str, Any]], tuple[tuple[str, ...], tuple[Undo, ...]]]
    shows: str
    within: int = 300_000
    aliases: tuple[str, ...] = field(default=())
    family: Family = "configuration"
    category: str = "Change"
    text: str = ""
    spreads: Spreads = "workload"
    felt: Felt = "users"
    fits: Callable[[World], Iterable[Target]] | None = None
    lacks: str = ""
    repair: Callable[[World, Injection], tuple[Step, ...]] | None = _inverse
    diagnosis: str = ""
    active: Callable[[World, Injection], bool] = _still


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
    return Injection(fault.id, args, causes, undo, world.now, _changes(world, undo))


def _changes(world: World, undo: tuple[Undo, ...]) -> tuple[Change, ...]:
    """The first `was` of each object, and what it is now."""
    out: dict[tuple[str, str, str], Change] = {}
    for step in reversed(undo):
        key = (step.resource, step.namespace, step.name)
        if key not in out:
            after = None if step.resource in NO_OBJECTS else world.cluster.store.get(*key)
            if after is not None and is_deleting(after):
                after = None  # it only waits for its finalizers
            out[key] = Change(*key, before=step.was, after=after)
    return tuple(out.values())
