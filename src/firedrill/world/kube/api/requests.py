"""What the API server writes into objects about who asked for them."""

from __future__ import annotations

from firedrill.world.kube.api.request import Request
from firedrill.world.kube.objects import Obj

_WHO = ("username", "uid", "groups", "extra")
CERTIFICATES = "certificatesigningrequests.certificates.k8s.io"


def signed_by(request: Request, resource: str, obj: Obj, old: Obj | None) -> Obj:
    """The object with the requester in it, where the resource keeps one; what was signed stays as it is."""
    if resource != CERTIFICATES:
        return obj
    if old is not None:
        return {**obj, "spec": old["spec"]}
    user = request.user
    spec = {key: item for key, item in (obj.get("spec") or {}).items() if key not in _WHO}
    spec |= {"username": user.name, "groups": [*user.groups, "system:authenticated"]}
    spec |= {"uid": user.uid} if user.uid else {}
    spec |= {"extra": {key: list(values) for key, values in user.extra.items()}} if user.extra else {}
    return {**obj, "spec": spec}
