"""Rows of nodes, events, quotas, roles and other things of the cluster itself."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj, dig, labels_of
from firedrill.world.kube.printers.ages import human_duration, since
from firedrill.world.kube.printers.texts import NONE, UNKNOWN
from firedrill.world.kube.quantity import from_bytes, from_milli, milli, value


def node(obj: Obj) -> Obj:
    """Cells of a Node."""
    ready = [
        "Ready" if item.get("status") == "True" else "NotReady"
        for item in dig(obj, "status", "conditions", default=())
        if item.get("type") == "Ready"
    ] or ["Unknown"]
    if dig(obj, "spec", "unschedulable"):
        ready.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    roles = {
        key.removeprefix(prefix) if key.startswith(prefix) else value
        for key, value in labels_of(obj).items()
        if key.startswith(prefix) or (key == "kubernetes.io/role" and value)
    } - {""}
    info = dig(obj, "status", "nodeInfo", default={})
    return {
        "Status": ",".join(ready),
        "Roles": ",".join(sorted(roles)) or NONE,
        "Internal-IP": _address(obj, "InternalIP"),
        "External-IP": _address(obj, "ExternalIP"),
        "OS-Image": info.get("osImage") or UNKNOWN,
        "Kernel-Version": info.get("kernelVersion") or UNKNOWN,
        "Container-Runtime": info.get("containerRuntimeVersion") or UNKNOWN,
    }


def _address(obj: Obj, type_: str) -> str:
    for item in dig(obj, "status", "addresses", default=()):
        if item.get("type") == type_:
            return str(item.get("address"))
    return NONE


def event(obj: Obj) -> Obj:
    """Cells of an Event, in the shape of either API group."""
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = (
        source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    )
    host = source.get("host") or obj.get("reportingInstance") or ""
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if obj.get("series"):
        last, count = obj["series"].get("lastObservedTime"), obj["series"].get("count") or 0
    kind = str(about.get("kind") or "").lower()
    return {
        "Last Seen": since(last),
        "Object": f"{kind}/{about['name']}" if about.get("name") else kind,
        "Subobject": about.get("fieldPath") or "",
        "Source": f"{component}, {host}" if host else component,
        "Message": str(obj.get("message") or obj.get("note") or "").strip(),
        "First Seen": since(first),
        "Count": count,
    }


def namespace(obj: Obj) -> Obj:
    """Cells of a Namespace."""
    return {"Status": dig(obj, "status", "phase", default="")}


def configmap(obj: Obj) -> Obj:
    """Cells of a ConfigMap."""
    return {"Data": len(obj.get("data") or ()) + len(obj.get("binaryData") or ())}


def secret(obj: Obj) -> Obj:
    """Cells of a Secret."""
    return {"Data": len(obj.get("data") or ())}


def service_account(obj: Obj) -> Obj:
    """Cells of a ServiceAccount."""
    return {"Secrets": len(obj.get("secrets") or ())}


def quota(obj: Obj) -> Obj:
    """Cells of a ResourceQuota: what is used of what is allowed."""
    hard, used = dig(obj, "status", "hard", default={}), dig(obj, "status", "used", default={})
    texts = [
        (name.startswith("limits."), f"{name}: {used.get(name, '0')}/{hard[name]}") for name in sorted(hard)
    ]
    return {
        "Request": ", ".join(text for limits, text in texts if not limits),
        "Limit": ", ".join(text for limits, text in texts if limits),
    }


def binding(obj: Obj) -> Obj:
    """Cells of a RoleBinding or ClusterRoleBinding."""
    role = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()

    def names(kind: str) -> str:
        return ", ".join(str(item.get("name")) for item in subjects if item.get("kind") == kind)

    accounts = (
        f"{item.get('namespace', '')}/{item.get('name')}"
        for item in subjects
        if item.get("kind") == "ServiceAccount"
    )
    return {
        "Role": f"{role.get('kind')}/{role.get('name')}",
        "Users": names("User"),
        "Groups": names("Group"),
        "ServiceAccounts": ", ".join(accounts),
    }


def signing_request(obj: Obj) -> Obj:
    """Cells of a CertificateSigningRequest."""
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    types = {item.get("type") for item in dig(obj, "status", "conditions", default=())}
    state = next((type_ for type_ in ("Denied", "Approved") if type_ in types), "Pending")
    if "Failed" in types:
        state += ",Failed"
    if dig(obj, "status", "certificate"):
        state += ",Issued"
    return {
        "SignerName": spec.get("signerName") or NONE,
        "RequestedDuration": NONE if seconds is None else human_duration(seconds * 1000),
        "Condition": state,
    }


def component_status(obj: Obj) -> Obj:
    """Cells of a ComponentStatus."""
    for item in obj.get("conditions") or ():
        if item.get("type") == "Healthy":
            words: Any = {"True": "Healthy", "False": "Unhealthy"}
            return {
                "Status": words.get(item.get("status"), "Unknown"),
                "Message": item.get("message") or "",
                "Error": item.get("error") or "",
            }
    return {"Status": "Unknown", "Message": "", "Error": ""}


def priority_level(obj: Obj) -> Obj:
    """Cells of a PriorityLevelConfiguration."""
    limits = dig(obj, "spec", "limited") or dig(obj, "spec", "exempt", default={})
    queuing = dig(limits, "limitResponse", "queuing", default={})
    return {
        "NominalConcurrencyShares": str(limits.get("nominalConcurrencyShares", NONE)),
        "Queues": str(queuing.get("queues", NONE)),
        "HandSize": str(queuing.get("handSize", NONE)),
        "QueueLengthLimit": str(queuing.get("queueLengthLimit", NONE)),
    }


def pod_metrics(obj: Obj) -> Obj:
    """Cells of PodMetrics: its containers together."""
    used = [item.get("usage") or {} for item in obj.get("containers") or ()]
    return {
        "Cpu": from_milli(sum(milli(one.get("cpu", "0")) for one in used)),
        "Memory": from_bytes(sum(value(one.get("memory", "0")) for one in used)),
    }
