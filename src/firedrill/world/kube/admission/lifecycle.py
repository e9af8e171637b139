"""NamespaceLifecycle: nothing is made in a namespace that is missing or going."""

from __future__ import annotations

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.api.errors import ApiError, forbidden, not_found
from firedrill.world.kube.objects import Obj, dig, is_deleting

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_REVIEWS = frozenset({"localsubjectaccessreviews.authorization.k8s.io"})


class NamespaceLifecycle(Base):
    """Looks after namespaces."""

    name = "NamespaceLifecycle"

    def admit(self, a: Attributes) -> Obj | None:
        """Refuse content for a namespace that cannot take it."""
        self._check(a)
        return None

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Refuse to delete a namespace that the cluster needs."""
        if a.operation == "DELETE" and a.resource == "namespaces" and a.name in _IMMORTAL:
            raise forbidden("namespaces", a.name, "this namespace may not be deleted")
        return ()

    def _check(self, a: Attributes) -> None:
        if not a.kind.namespaced or not a.namespace or a.operation == "DELETE" or a.resource in _REVIEWS:
            return
        namespace = a.store.get("namespaces", "", a.namespace)
        if namespace is None:
            raise not_found("namespaces", a.namespace)
        going = is_deleting(namespace) or dig(namespace, "status", "phase") == "Terminating"
        if a.operation != "CREATE" or not going:
            return
        refusal = a.forbidden(
            f"unable to create new content in namespace {a.namespace} because it is being terminated",
            generated=True,
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {a.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        raise ApiError(
            refusal.code, refusal.reason, refusal.message, {**(refusal.details or {}), "causes": [cause]}
        )
