"""nobody may reach the pods of a namespace any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, add, entity
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import each_namespace

if TYPE_CHECKING:
    from firedrill.world import World

_NAMES = ("default-deny", "default-deny-ingress", "deny-all", "deny-all-ingress")
_POLICIES = "networkpolicies.networking.k8s.io"


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": args["policy"], "namespace": args["namespace"]},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    return (entity(policy),), (add(world, policy),)


def _fits(world: World) -> Iterator[Target]:
    """Each namespace, with a name that no policy of it has."""
    for target in each_namespace(world):
        space = target.args["namespace"]
        free = (name for name in _NAMES if world.cluster.store.get(_POLICIES, space, name) is None)
        name = next(free, None)
        if name is not None:
            yield Target({**target.args, **({} if name == _NAMES[0] else {"policy": name})}, target.about)


FAULT = register(
    Fault(
        id="namespace-default-deny",
        title="a namespace gets a policy under which nobody may reach its pods",
        parameters={
            "namespace": Parameter("the namespace"),
            "policy": Parameter("name of the NetworkPolicy", _NAMES[0]),
        },
        inject=_inject,
        shows="failing",
        family="network",
        category="Configuration Setting",
        text="A policy that denies all that is not allowed came to the namespace, as security "
        "guides advise; the policies that allow what has to be allowed did not come with it.",
        fits=_fits,
    )
)
