"""The pods of a stateful set with their names, and the claims that belong to them.

Source: kube-controller-manager 1.31, `pkg/controller/statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers._revisions import POD_HASH
from firedrill.world.kube.objects import (
    Obj,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)

NAME = "statefulset-controller"
CLAIMS = "persistentvolumeclaims"
_POD_NAME = "statefulset.kubernetes.io/pod-name"
_POD_INDEX = "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"(.*)-([0-9]{1,9})")


def ordinal_of(pod: Mapping[str, Any], owner: Mapping[str, Any]) -> int:
    """The number at the end of a pod's name; -1 where the name is not one of the set's."""
    match = _ORDINAL.fullmatch(name_of(pod))
    return int(match[2]) if match is not None and match[1] == name_of(owner) else -1


def start_of(owner: Mapping[str, Any]) -> int:
    """The number of the first pod."""
    return int(dig(owner, "spec", "ordinals", "start", default=0))


def is_healthy(pod: Mapping[str, Any] | None) -> bool:
    """Whether the pod runs, is ready and is not going away."""
    return pod is not None and runs(pod) and not is_deleting(pod)


def runs(pod: Mapping[str, Any]) -> bool:
    """Whether the pod runs and is ready."""
    return dig(pod, "status", "phase") == "Running" and _pods.is_ready(pod)


def claims_of(owner: Mapping[str, Any], ordinal: int) -> dict[str, Obj]:
    """The claims of one pod, by the name of their template."""
    matched = dig(owner, "spec", "selector", "matchLabels", default={})
    out = {}
    for item in dig(owner, "spec", "volumeClaimTemplates", default=()):
        given = meta(item)
        metadata: Obj = {
            "name": f"{name_of(item)}-{name_of(owner)}-{ordinal}",
            "namespace": namespace_of(owner),
            "labels": {**(given.get("labels") or {}), **matched},
        }
        if given.get("annotations"):
            metadata["annotations"] = given["annotations"]
        out[name_of(item)] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": item.get("spec") or {},
        }
    return out


def pod_of(owner: Obj, template: Mapping[str, Any], revision: str, ordinal: int) -> Obj:
    """The pod of that number."""
    pod = _pods.pod_from(template, owner)
    name = f"{name_of(owner)}-{ordinal}"
    metadata = {key: item for key, item in pod["metadata"].items() if key != "generateName"}
    more = {_POD_NAME: name, _POD_INDEX: str(ordinal), POD_HASH: revision}
    metadata |= {"name": name, "labels": {**(metadata.get("labels") or {}), **more}}
    spec: Obj = {**pod["spec"], "hostname": name}
    if service := dig(owner, "spec", "serviceName"):
        spec["subdomain"] = service
    claims = claims_of(owner, ordinal)
    if claims:
        volumes = [item for item in spec.get("volumes") or () if item.get("name") not in claims]
        mine = [
            {"name": volume, "persistentVolumeClaim": {"claimName": name_of(claim)}}
            for volume, claim in claims.items()
        ]
        spec["volumes"] = mine + volumes
    return {**pod, "metadata": metadata, "spec": spec}


def create(client: Client, owner: Obj, pod: Obj) -> None:
    """Create a pod with its claims, and tell about it.

    Raises:
        ApiError: it is refused; that has been told too.
    """
    create_claims(client, owner, pod)
    try:
        client.create(pod)
    except ApiError as problem:
        if problem.reason == "AlreadyExists":
            raise
        _tell(client, owner, "create", pod, problem)
        raise
    _tell(client, owner, "create", pod, None)


def delete(client: Client, owner: Obj, pod: Obj) -> None:
    """Delete a pod, and tell about it.

    Raises:
        ApiError: it is refused; that has been told too.
    """
    try:
        client.delete("pods", namespace_of(pod), name_of(pod), uid=uid_of(pod))
    except ApiError as problem:
        _tell(client, owner, "delete", pod, problem)
        raise
    _tell(client, owner, "delete", pod, None)


def _tell(client: Client, owner: Obj, verb: str, pod: Obj, problem: ApiError | None) -> None:
    start = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(owner)}"
    if problem is None:
        reason, text, type_ = f"Successful{verb.title()}", f"{start} successful", "Normal"
    else:
        reason, type_ = f"Failed{verb.title()}", "Warning"
        text = f"{start} failed error: {problem.message}"
    events.record(client.world, owner, type_, reason, text, component=NAME)


def create_claims(client: Client, owner: Obj, pod: Obj) -> None:
    """Create those of the pod's claims that are missing.

    Raises:
        ApiError: one is refused; that has been told too.
    """
    for claim in claims_of(owner, ordinal_of(pod, owner)).values():
        if client.find(CLAIMS, namespace_of(claim), name_of(claim)) is not None:
            continue
        if _retention(owner, "whenDeleted") == "Delete":
            reference = {**owner_reference(owner)}
            claim["metadata"]["ownerReferences"] = [reference]
        start = f"create Claim {name_of(claim)}"
        end = f"Pod {name_of(pod)} in StatefulSet {name_of(owner)}"
        try:
            client.create(claim)
        except ApiError as problem:
            text = f"{start} for {end} failed error: {problem.message}"
            events.record(client.world, owner, "Warning", "FailedCreate", text, component=NAME)
            raise
        events.record(
            client.world, owner, "Normal", "SuccessfulCreate", f"{start} {end} success", component=NAME
        )


def _retention(owner: Mapping[str, Any], when: str) -> str:
    return str(dig(owner, "spec", "persistentVolumeClaimRetentionPolicy", when, default="Retain"))


def own_claims(client: Client, owner: Obj, pod: Obj, *, condemned: bool) -> None:
    """Let the claims of a pod belong to what they shall go away with.

    Raises:
        ApiError: a claim cannot be changed.
    """
    references: list[Obj] = []
    if condemned and _retention(owner, "whenScaled") == "Delete":
        reference = {key: item for key, item in owner_reference(pod).items() if key != "controller"}
        references = [{key: item for key, item in reference.items() if key != "blockOwnerDeletion"}]
    elif _retention(owner, "whenDeleted") == "Delete":
        references = [owner_reference(owner)]
    for claim in claims_of(owner, ordinal_of(pod, owner)).values():
        found = client.find(CLAIMS, namespace_of(claim), name_of(claim))
        if found is None:
            continue
        before = meta(found).get("ownerReferences") or []
        others = [item for item in before if item.get("uid") not in {uid_of(owner), uid_of(pod)}]
        if list(before) != others + references:
            body = {"metadata": {"ownerReferences": (others + references) or None}}
            client.patch(CLAIMS, namespace_of(found), name_of(found), body)
