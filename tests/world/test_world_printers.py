"""Tables of kinds: the words, numbers and ages that `kubectl get` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube import printers
from firedrill.world.kube.kinds import default_kinds
from firedrill.world.kube.objects import freeze
from firedrill.world.kube.printers.table import _ROWS, _declared
from firedrill.world.sim.clock import EPOCH_MS, rfc3339

NOW = EPOCH_MS + 3_600_000


@dataclass
class Named:
    resource: str


def ago(seconds: int) -> str:
    return rfc3339(NOW - seconds * 1000)


def shown(resource: str, obj: dict[str, Any], *, crd: Any = None) -> dict[str, Any]:
    obj = {"metadata": {"name": "x", "creationTimestamp": ago(90), **obj.pop("metadata", {})}, **obj}
    found = printers.table(Named(resource), [freeze(obj)], NOW, columns_for_crd=crd)
    names = [column["name"] for column in found["columnDefinitions"]]
    assert len(found["rows"][0]["cells"]) == len(names)
    return dict(zip(names, found["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_100, "3h5m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (3 * 86_400 + 17 * 3600, "3d17h"),
        (8 * 86_400, "8d"),
        (91 * 86_400, "91d"),
        (730 * 86_400, "2y"),
        (742 * 86_400, "2y12d"),
        (3000 * 86_400, "8y"),
    ],
)
def test_durations_have_two_or_three_digits(seconds: int, text: str) -> None:
    assert printers.human_duration(seconds * 1000) == text


def container(
    name: str = "c", *, ready: bool = False, restarts: int = 0, last: int | None = None, **state: Any
) -> dict[str, Any]:
    out: dict[str, Any] = {"name": name, "ready": ready, "restartCount": restarts, "state": state}
    if last is not None:
        out["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": ago(last)}}
    return out


RUNNING: Any = {"running": {"startedAt": ago(60)}}


@pytest.mark.parametrize(
    ("status", "spec", "metadata", "expected"),
    [
        ({"phase": "Pending"}, {}, {}, ("0/1", "Pending", "0")),
        ({"phase": "Running", "containerStatuses": [container(ready=True, **RUNNING)]}, {}, {}, ("1/1", "Running", "0")),
        (
            {"phase": "Running", "containerStatuses": [container(restarts=3, last=300, waiting={"reason": "CrashLoopBackOff"})]},
            {}, {}, ("0/1", "CrashLoopBackOff", "3 (5m ago)"),
        ),
        ({"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 137, "reason": "OOMKilled"})]}, {}, {}, ("0/1", "OOMKilled", "0")),
        ({"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 3})]}, {}, {}, ("0/1", "ExitCode:3", "0")),
        ({"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 0, "signal": 9})]}, {}, {}, ("0/1", "Signal:9", "0")),
        ({"phase": "Succeeded", "containerStatuses": [container(terminated={"exitCode": 0, "reason": "Completed"})]}, {}, {}, ("0/1", "Completed", "0")),
        ({"phase": "Failed", "reason": "Evicted"}, {}, {}, ("0/1", "Evicted", "0")),
        ({"phase": "Running"}, {}, {"deletionTimestamp": ago(1)}, ("0/1", "Terminating", "0")),
        ({"phase": "Running", "reason": "NodeLost"}, {}, {"deletionTimestamp": ago(1)}, ("0/1", "Unknown", "0")),
        ({"phase": "Succeeded"}, {}, {"deletionTimestamp": ago(1)}, ("0/1", "Succeeded", "0")),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
            {}, {}, ("0/1", "SchedulingGated", "0"),
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [container("i", running={})], "containerStatuses": [container(waiting={"reason": "PodInitializing"})]},
            {"initContainers": [{"name": "i"}, {"name": "j"}]}, {}, ("0/1", "Init:0/2", "0"),
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [container("i", restarts=2, last=30, waiting={"reason": "CrashLoopBackOff"})]},
            {"initContainers": [{"name": "i"}]}, {}, ("0/1", "Init:CrashLoopBackOff", "2 (30s ago)"),
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [container("i", terminated={"exitCode": 1})]},
            {"initContainers": [{"name": "i"}]}, {}, ("0/1", "Init:ExitCode:1", "0"),
        ),
        (
            {"phase": "Running", "initContainerStatuses": [{**container("s", ready=True, **RUNNING), "started": True}],
             "containerStatuses": [container(ready=True, **RUNNING)]},
            {"initContainers": [{"name": "s", "restartPolicy": "Always"}]}, {}, ("2/2", "Running", "0"),
        ),
        (
            {"phase": "Running", "containerStatuses": [container(terminated={"exitCode": 0, "reason": "Completed"}), container("d", ready=True, **RUNNING)]},
            {"containers": [{"name": "c"}, {"name": "d"}]}, {}, ("1/2", "NotReady", "0"),
        ),
    ],
)  # fmt: skip
def test_the_state_of_a_pod_in_one_word(
    status: Any, spec: Any, metadata: Any, expected: tuple[str, str, str]
) -> None:
    found = shown(
        "pods", {"metadata": metadata, "spec": {"containers": [{"name": "c"}], **spec}, "status": status}
    )
    assert (found["Ready"], found["Status"], found["Restarts"]) == expected
    assert found["Age"] == "90s"


def test_a_pod_wide() -> None:
    obj = {
        "spec": {
            "containers": [{}],
            "nodeName": "n1",
            "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}],
        },
        "status": {"podIPs": [{"ip": "10.0.0.9"}], "conditions": [{"type": "a", "status": "True"}]},
    }
    found = shown("pods", obj)
    assert [found[name] for name in ("IP", "Node", "Nominated Node", "Readiness Gates")] == [
        "10.0.0.9",
        "n1",
        "<none>",
        "1/2",
    ]


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("deployments.apps", {"spec": {"replicas": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}}, "template": {"spec": {"containers": [{"name": "m", "image": "i:1"}, {"name": "n", "image": "j"}]}}}, "status": {"readyReplicas": 2, "updatedReplicas": 1}},
     {"Ready": "2/3", "Up-to-date": 1, "Available": 0, "Containers": "m,n", "Images": "i:1,j", "Selector": "a=1,b=2"}),
    ("services", {"spec": {"type": "NodePort", "clusterIP": "10.1.1.1", "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}], "selector": {"app": "x"}}},
     {"Type": "NodePort", "Cluster-IP": "10.1.1.1", "External-IP": "<none>", "Port(s)": "80:30080/TCP,53/UDP", "Selector": "app=x"}),
    ("services", {"spec": {"type": "LoadBalancer", "clusterIPs": ["10.1.1.1"]}}, {"External-IP": "<pending>", "Port(s)": "<none>"}),
    ("services", {"spec": {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "b.example"}]}}}, {"External-IP": "1.2.3.4,b.example,9.9.9.9"}),
    ("services", {"spec": {"type": "ExternalName", "externalName": "db.example"}}, {"Cluster-IP": "<none>", "External-IP": "db.example"}),
    ("services", {"spec": {"type": "ClusterIP", "clusterIP": "None"}}, {"Cluster-IP": "None", "Selector": "<none>"}),
    ("endpoints", {}, {"Endpoints": "<none>"}),
    ("endpoints", {"subsets": [{"notReadyAddresses": [{"ip": "1.1.1.1"}], "ports": [{"port": 1}]}]}, {"Endpoints": ""}),
    ("endpoints", {"subsets": [{"addresses": [{"ip": f"1.1.1.{n}"} for n in range(5)], "ports": [{"port": 80}]}]}, {"Endpoints": "1.1.1.0:80,1.1.1.1:80,1.1.1.2:80 + 2 more..."}),
    ("endpoints", {"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]}, {"Endpoints": "[fd00::1]:80"}),
    ("endpointslices.discovery.k8s.io", {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1.1.1.1"]}]}, {"AddressType": "IPv4", "Ports": "80", "Endpoints": "1.1.1.1"}),
    ("endpointslices.discovery.k8s.io", {}, {"Ports": "<unset>", "Endpoints": "<unset>"}),
    ("nodes", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "master"}}, "spec": {"unschedulable": True}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "nodeInfo": {"kubeletVersion": "v1.31.2"}}},
     {"Status": "NotReady,SchedulingDisabled", "Roles": "control-plane,master", "Version": "v1.31.2", "Internal-IP": "10.0.0.1", "External-IP": "<none>", "OS-Image": "<unknown>"}),
    ("nodes", {}, {"Status": "Unknown", "Roles": "<none>"}),
    ("jobs.batch", {"spec": {"completions": 3}, "status": {"succeeded": 3, "startTime": ago(80), "completionTime": ago(30), "conditions": [{"type": "Complete", "status": "True"}]}}, {"Status": "Complete", "Completions": "3/3", "Duration": "50s"}),
    ("jobs.batch", {"spec": {"parallelism": 2}, "status": {"startTime": ago(80)}}, {"Status": "Running", "Completions": "0/1 of 2", "Duration": "80s"}),
    ("jobs.batch", {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}}, {"Status": "Suspended", "Duration": ""}),
    ("cronjobs.batch", {"spec": {"schedule": "*/5 * * * *", "suspend": False}, "status": {"active": [{}], "lastScheduleTime": ago(200)}}, {"Schedule": "*/5 * * * *", "Timezone": "<none>", "Suspend": "False", "Active": 1, "Last Schedule": "3m20s"}),
    ("horizontalpodautoscalers.autoscaling", {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "w"}, "minReplicas": 1, "maxReplicas": 5, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}, {"type": "Pods", "pods": {"target": {"averageValue": "10"}}}, {"type": "Object", "object": {"target": {"value": "3"}}}]}, "status": {"currentReplicas": 2, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10, "averageValue": "5m"}}}]}},
     {"Reference": "Deployment/w", "Targets": "cpu: 10%/50%, <unknown>/10 + 1 more...", "MinPods": "1", "MaxPods": 5, "Replicas": 2}),
    ("horizontalpodautoscalers.autoscaling", {"spec": {"targetCPUUtilizationPercentage": 80}}, {"Targets": "cpu: <unknown>/80%", "MinPods": "<unset>"}),
    ("poddisruptionbudgets.policy", {"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}}, {"Min Available": "50%", "Max Unavailable": "N/A", "Allowed Disruptions": 1}),
    ("persistentvolumes", {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "claimRef": {"namespace": "b", "name": "c"}, "persistentVolumeReclaimPolicy": "Retain"}, "status": {"phase": "Bound"}},
     {"Capacity": "1Gi", "Access Modes": "RWO,RWX", "Reclaim Policy": "Retain", "Status": "Bound", "Claim": "b/c", "StorageClass": "", "VolumeAttributesClass": "<unset>", "Reason": ""}),
    ("persistentvolumeclaims", {"spec": {"storageClassName": "fast"}, "status": {"phase": "Pending", "capacity": {"storage": "1Gi"}}}, {"Status": "Pending", "Volume": "", "Capacity": "", "StorageClass": "fast"}),
    ("storageclasses.storage.k8s.io", {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"}, {"Name": "x (default)", "ReclaimPolicy": "Delete", "VolumeBindingMode": "Immediate", "AllowVolumeExpansion": False}),
    ("resourcequotas", {"status": {"hard": {"limits.cpu": "4", "pods": "10", "requests.cpu": "1"}, "used": {"pods": "3"}}}, {"Request": "pods: 3/10, requests.cpu: 0/1", "Limit": "limits.cpu: 0/4"}),
    ("events", {"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"}, "source": {"component": "kubelet", "host": "n"}, "type": "Warning", "reason": "BackOff", "message": "text\n", "firstTimestamp": ago(600), "lastTimestamp": ago(5), "count": 7},
     {"Last Seen": "5s", "Type": "Warning", "Object": "pod/p", "Subobject": "spec.containers{c}", "Source": "kubelet, n", "Message": "text", "First Seen": "10m", "Count": 7, "Name": "x"}),
    ("events.events.k8s.io", {"regarding": {"kind": "Pod", "name": "p"}, "reportingController": "s", "eventTime": ago(9), "note": "n"}, {"Last Seen": "9s", "Object": "pod/p", "Source": "s", "Message": "n", "Count": 1}),
    ("secrets", {"type": "Opaque", "data": {"a": "", "b": ""}}, {"Type": "Opaque", "Data": 2}),
    ("configmaps", {"data": {"a": ""}, "binaryData": {"b": ""}}, {"Data": 2}),
    ("rolebindings.rbac.authorization.k8s.io", {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}, {"Role": "Role/r", "Users": "u", "Groups": "", "ServiceAccounts": "n/s"}),
    ("roles.rbac.authorization.k8s.io", {}, {"Created At": ago(90)}),
    ("ingresses.networking.k8s.io", {"spec": {"ingressClassName": "nginx", "rules": [{"host": "a"}, {}], "tls": [{}]}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}, {"Class": "nginx", "Hosts": "a", "Address": "1.2.3.4", "Ports": "80, 443"}),
    ("ingresses.networking.k8s.io", {}, {"Class": "<none>", "Hosts": "*", "Ports": "80"}),
    ("networkpolicies.networking.k8s.io", {"spec": {"podSelector": {"matchLabels": {"b": "1"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"}]}}}, {"Pod-Selector": "a in (x,y),b=1,!c"}),
    ("certificatesigningrequests.certificates.k8s.io", {"spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600}, "status": {"certificate": "x", "conditions": [{"type": "Approved"}]}}, {"SignerName": "s", "Requestor": "u", "RequestedDuration": "60m", "Condition": "Approved,Issued"}),
    ("apiservices.apiregistration.k8s.io", {"status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}, "spec": {"service": {"namespace": "k", "name": "m"}}}, {"Service": "k/m", "Available": "False (MissingEndpoints)"}),
    ("controllerrevisions.apps", {"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": True}]}, "revision": 2}, {"Controller": "daemonset.apps/d", "Revision": 2}),
    ("leases.coordination.k8s.io", {"spec": {"holderIdentity": "h"}}, {"Holder": "h", "Age": "90s"}),
    ("pods.metrics.k8s.io", {"window": "15s", "containers": [{"usage": {"cpu": "150m", "memory": "64Mi"}}, {"usage": {"cpu": "50m", "memory": "64Mi"}}]}, {"Cpu": "200m", "Memory": "128Mi", "Window": "15s"}),
    ("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 30, "limitResponse": {"queuing": {"queues": 64}}}}}, {"Type": "Limited", "NominalConcurrencyShares": "30", "Queues": "64", "HandSize": "<none>"}),
    ("somethings.example.com", {}, {"Name": "x", "Age": "90s"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "obj", "expected"), CASES)
def test_cells_of_kinds(resource: str, obj: dict[str, Any], expected: dict[str, Any]) -> None:
    found = shown(resource, dict(obj))
    assert {name: found[name] for name in expected} == expected


def test_order_of_columns_as_kubectl_prints_them() -> None:
    def plain(resource: str) -> list[str]:
        return [c["name"].upper() for c in printers.columns(Named(resource)) if not c["priority"]]

    assert plain("pods") == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert plain("deployments.apps") == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert plain("resourcequotas") == ["NAME", "AGE", "REQUEST", "LIMIT"]
    assert plain("events") == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert plain("persistentvolumes") == [
        "NAME", "CAPACITY", "ACCESS MODES", "RECLAIM POLICY", "STATUS", "CLAIM", "STORAGECLASS",
        "VOLUMEATTRIBUTESCLASS", "REASON", "AGE",
    ]  # fmt: skip
    assert plain("somethings.example.com") == ["NAME", "AGE"]


def test_every_kind_makes_a_row_even_of_an_empty_object() -> None:
    known = {kind.resource for kind in default_kinds().all()}
    for kind in default_kinds().all():
        assert len(printers.row(kind, {}, NOW)) == len(printers.columns(kind))
    assert set(_ROWS) <= set(_declared())
    assert len(set(_declared()) & known) > 35


def test_a_row_is_kept_and_only_its_ages_move() -> None:
    obj = freeze({"metadata": {"name": "x", "creationTimestamp": ago(10)}})
    kept = printers.cells(Named("nodes"), obj)
    assert printers.at(kept, NOW) == printers.row(Named("nodes"), obj, NOW)
    assert printers.at(kept, NOW + 110_000)[3] == "2m"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(0, 5) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "type", "status", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


CRD = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1, "description": "how big"},
    {"name": "Seen", "type": "date", "jsonPath": ".status.seen"},
    {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
    {"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts[*].name"},
    {"name": "Broken", "type": "string", "jsonPath": ".spec["},
]


def test_columns_of_custom_resources() -> None:
    obj = {
        "spec": {"size": 3, "on": True, "hosts": [{"name": "a"}, {"name": "b"}]},
        "status": {
            "conditions": [{"type": "A", "status": "x"}, {"type": "Ready", "status": "True"}],
            "seen": ago(61),
        },
    }
    found = shown("widgets.example.com", obj, crd=CRD)
    assert found == {
        "Name": "x",
        "Phase": None,
        "Ready": "True",
        "Size": 3,
        "Seen": "61s",
        "On": True,
        "Hosts": "a b",
        "Broken": None,
    }
    assert shown("widgets.example.com", {}, crd=[]) == {"Name": "x", "Age": "90s"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]), ("{.a.b}", [1]), ("$.a.b", [1]), (".a['b']", [1]), (".l[0].n", [1]), (".l[-1].n", [3]), (".l[0:2].n", [1, 2]),
        (".l[*].n", [1, 2, 3]), (".l[?(@.n>1)].n", [2, 3]), ('.l[?(@.k=="z")].n', [3]), (".l[?(@.k)].n", [1, 3]), ("..n", [1, 2, 3]),
        (r".d\.e/f", [5]), (".nosuch", []), (".a.b.c", []), (".a.*", [1]), ("['d.e/f']", [5]),
    ],
)  # fmt: skip
def test_json_paths(path: str, found: list[Any]) -> None:
    value = {"a": {"b": 1}, "l": [{"n": 1, "k": "y"}, {"n": 2}, {"n": 3, "k": "z"}], "d.e/f": 5}
    assert printers.compile_path(path)(value) == found


@given(st.text(".[]?()@'\"=<>*ab01:-\\ ", max_size=24), JUNK)
def test_any_json_path_works_or_is_refused(path: str, value: Any) -> None:
    try:
        find = printers.compile_path(path)
    except ValueError:
        return
    assert isinstance(find(value), list)
