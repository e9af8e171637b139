"""a workload's service account loses the role that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, drop
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import each_namespace
from firedrill.world.kube.objects import name_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "rolebindings.rbac.authorization.k8s.io", args["namespace"], args["name"])
    return (f"{args['namespace']}/RoleBinding/{args['name']}",), (gone,)


def _fits(world: World) -> Iterator[Target]:
    for target in each_namespace(world):
        namespace = target.args["namespace"]
        for binding in world.cluster.store.list("rolebindings.rbac.authorization.k8s.io", namespace):
            if any(item.get("kind") == "ServiceAccount" for item in binding.get("subjects") or ()):
                yield Target({"namespace": namespace, "name": name_of(binding)}, target.about)


FAULT = register(
    Fault(
        id="permissions-revoked",
        title="a workload's service account loses the role that it needs",
        parameters={
            "namespace": Parameter("namespace of the RoleBinding"),
            "name": Parameter("name of the RoleBinding"),
        },
        inject=_inject,
        shows="forbidden",
        aliases=(
            "permissions_revoked",
            "revoke-auth",
        ),
        family="credentials",
        category="Configuration Setting",
        text=(
            "The role binding of a service account was deleted. The program that runs under it "
            "may no longer do what it could."
        ),
        spreads="none",
        felt="alert",
        fits=_fits,
        lacks="no service account of the application has a role",
    )
)
