"""NodeRestriction: a kubelet touches its own node and the pods on it, nothing else."""

from __future__ import annotations

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.objects import annotations_of, dig, name_of

_MIRROR = "kubernetes.io/config.mirror"


class NodeRestriction(Base):
    """Holds requests of `system:node:NAME` against that name."""

    name = "NodeRestriction"

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Refuse what belongs to another node."""
        node = a.user.name.removeprefix("system:node:")
        if node == a.user.name or "system:nodes" not in a.user.groups:
            return ()
        if a.resource == "pods":
            self._pod(a, node)
        elif a.resource == "nodes" and (a.name or name_of(a.obj or {})) != node:
            raise a.forbidden(f'node "{node}" is not allowed to modify node "{a.name}"')
        elif (
            a.resource == "leases.coordination.k8s.io"
            and a.namespace == "kube-node-lease"
            and (a.name or name_of(a.obj or {})) != node
        ):
            raise a.forbidden("can only access node lease with the same name as the requesting node")
        return ()

    def _pod(self, a: Attributes, node: str) -> None:
        here = dig(a.old or a.obj or {}, "spec", "nodeName")
        if a.operation == "CREATE" and not a.subresource:
            if _MIRROR not in annotations_of(a.obj or {}):
                raise a.forbidden(
                    f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
                )
            if here != node:
                raise a.forbidden(f'node "{node}" can only create pods with spec.nodeName set to itself')
        elif a.operation == "UPDATE" and here != node:
            raise a.forbidden(
                f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'  # noqa: S608
            )
        elif a.operation == "DELETE" and here != node:
            raise a.forbidden(f'node "{node}" can only delete pods with spec.nodeName set to itself')
