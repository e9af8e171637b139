"""Which nodes a daemon set wants a pod on, and what that pod is like.

Source: kube-controller-manager 1.31, `pkg/controller/daemon` and its `util`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers._numbers import scaled
from firedrill.world.kube.controllers._revisions import POD_HASH
from firedrill.world.kube.node_selectors import node_selector_matches, tolerates
from firedrill.world.kube.objects import Obj, annotations_of, dig, labels_of, name_of, with_path

GENERATION = "deprecated.daemonset.template.generation"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_OF_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


def tolerations_of(template: Mapping[str, Any]) -> list[Any]:
    """The template's tolerations with those that every daemon's pod has."""
    spec = template.get("spec") or {}
    out = list(spec.get("tolerations") or ())
    more = (*_TOLERATED, _OF_HOST_NETWORK) if spec.get("hostNetwork") else _TOLERATED
    for key, effect in more:
        new = {"key": key, "operator": "Exists", "effect": effect}
        out = [item for item in out if not (item.get("key") == key and item.get("effect") == effect)]
        out.append(new)
    return out


def pod_for(ds: Obj, node: str, revision_hash: str) -> Obj:
    """The pod for a node; the scheduler binds it, as it fits no other."""
    pod = _pods.pod_from(dig(ds, "spec", "template", default={}), ds)
    generation = annotations_of(ds).get(GENERATION) or str(ds["metadata"].get("generation") or 1)
    labels = {
        **labels_of(pod),
        POD_HASH: revision_hash,
        "pod-template-generation": generation,
    }
    pod = with_path(pod, ("metadata", "labels"), labels)
    pod = with_path(pod, ("spec", "tolerations"), tolerations_of(dig(ds, "spec", "template", default={})))
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    terms = dig(pod, "spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms", default=())
    pinned = [{**term, "matchFields": fields} for term in terms] or [{"matchFields": fields}]
    return with_path(pod, ("spec", "affinity", "nodeAffinity", _REQUIRED), {"nodeSelectorTerms": pinned})


def target_of(pod: Mapping[str, Any]) -> str:
    """The node that a pod is on or meant for; empty where it is not pinned to one."""
    node = dig(pod, "spec", "nodeName")
    if node:
        return str(node)
    terms = dig(pod, "spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms", default=())
    for term in terms:
        for item in term.get("matchFields") or ():
            if item.get("key") == "metadata.name" and item.get("operator") == "In" and item.get("values"):
                return str(item["values"][0])
    return ""


def suits(ds: Mapping[str, Any], node: Mapping[str, Any]) -> tuple[bool, bool]:
    """(whether the node should get a pod, whether one that runs there may stay)."""
    template = dig(ds, "spec", "template", default={})
    spec = template.get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return False, False
    labels = labels_of(node)
    if any(labels.get(key) != text for key, text in (spec.get("nodeSelector") or {}).items()):
        return False, False
    required = dig(spec, "affinity", "nodeAffinity", _REQUIRED)
    if not node_selector_matches(required, node):
        return False, False
    accepted = tolerations_of(template)
    refused = {
        item.get("effect")
        for item in dig(node, "spec", "taints", default=())
        if item.get("effect") in {"NoSchedule", "NoExecute"} and not tolerates(accepted, item)
    }
    return not refused, "NoExecute" not in refused


def bounds(ds: Mapping[str, Any], desired: int) -> tuple[int, int]:
    """(pods above one on a node, nodes without an available pod) that an update may cause at a time."""
    update = dig(ds, "spec", "updateStrategy", "rollingUpdate", default={})
    surge = scaled(update.get("maxSurge", 0), desired, up=True)
    gone = scaled(update.get("maxUnavailable", 1), desired, up=True)
    return surge, 1 if surge == 0 and gone == 0 else gone


def allows_surge(ds: Mapping[str, Any]) -> bool:
    """Whether an update starts the new pod beside the old one."""
    if dig(ds, "spec", "updateStrategy", "type", default="RollingUpdate") != "RollingUpdate":
        return False
    return scaled(dig(ds, "spec", "updateStrategy", "rollingUpdate", "maxSurge", default=0), 100, up=True) > 0
