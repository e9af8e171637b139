"""What happens to a pod's delayed claims once its node is chosen.

Source: kube-scheduler 1.31, VolumeBinding's PreBind: volumes are reserved by `claimRef`, provisioning is
asked for by an annotation, and the pod waits until the volume controller has bound everything.
"""

from __future__ import annotations

from firedrill.world.kube.api.client import Client
from firedrill.world.kube.objects import Obj, annotations_of, name_of, with_path
from firedrill.world.kube.scheduler.podinfo import PodInfo
from firedrill.world.kube.scheduler.volumes import plan_binding
from firedrill.world.kube.volumes.matching import SELECTED_NODE, claimed_by, is_bound, reserved


def _claims(client: Client, pod: PodInfo) -> list[Obj]:
    found = (client.find("persistentvolumeclaims", pod.namespace, name) for name in pod.claims)
    return [claim for claim in found if claim is not None]


def volumes_ready(client: Client, pod: PodInfo) -> bool:
    """Whether every claim of the pod is bound."""
    claims = _claims(client, pod)
    return len(claims) == len(pod.claims) and all(map(is_bound, claims))


def bind_volumes(client: Client, pod: PodInfo, node: Obj) -> bool:
    """Begin to bind the pod's claims on the node; True where there is nothing to wait for.

    Raises:
        ApiError: a volume or a claim could not be written.
    """
    waiting = [claim for claim in _claims(client, pod) if not is_bound(claim)]
    if not waiting:
        return True
    plan = plan_binding(waiting, node, client.world.cluster.store)
    if plan is None:
        return False
    for claim, volume in plan.volumes:
        if not claimed_by(volume, claim):
            client.update(reserved(volume, claim))
    for claim in plan.provision:
        if annotations_of(claim).get(SELECTED_NODE) != name_of(node):
            given = {**annotations_of(claim), SELECTED_NODE: name_of(node)}
            client.update(with_path(claim, ("metadata", "annotations"), given))
    return False
