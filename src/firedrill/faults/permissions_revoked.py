"""a workload's service account loses the role that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, drop
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "rolebindings.rbac.authorization.k8s.io", args["namespace"], args["name"])
    return (f"{args['namespace']}/RoleBinding/{args['name']}",), (gone,)


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
    )
)
