"""Each family of mechanisms on the smallest incident that shows it, and on a healthy one that does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents.sleuth.engine import Diagnosis, investigate, look, suspect
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.snapshot import EventRow, LogRow, ObjectRow, open_incident, write_incident
from firedrill.tools import RecordedEvidence

Body = dict[str, Any]
NOW = 1_780_000_000_000_000_000
SECOND = 1_000_000_000
READY = [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}]


class Cluster:
    """A small healthy cluster: two programs behind Services on one node, one of which calls the other."""

    def __init__(self) -> None:
        self.objects: list[Body] = []
        self.events: list[EventRow] = []
        self.logs: list[LogRow] = []
        self.alerts: list[Body] = []
        self.later: list[Body] = []
        self.add("Node", "n1", labels={"kubernetes.io/hostname": "n1"}, status={"conditions": READY})
        self.add("Namespace", "shop")
        for name, port in (("web", 80), ("store", 6379)):
            self.program(name, port)
        self.find("Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["env"] = [
            {"name": "STORE_ADDR", "value": "store:6379"}
        ]

    def add(self, kind: str, name: str, labels: Body | None = None, **fields: Any) -> Body:
        meta: Body = {"name": name, "labels": labels or {}}
        if kind not in ("Node", "Namespace", "PersistentVolume", "StorageClass"):
            meta["namespace"] = "shop"
        body = {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}
        self.objects.append(body)
        return body

    def program(self, name: str, port: int) -> None:
        labels = {"app": name}
        spec = {"containers": [{"name": "main", "image": f"x/{name}:1", "ports": [{"containerPort": port}]}]}
        self.add(
            "Deployment",
            name,
            spec={
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
            status={"readyReplicas": 1},
        )
        replica_set = self.add("ReplicaSet", f"{name}-7d9f8c6b54", labels=labels)
        replica_set["metadata"]["ownerReferences"] = [
            {"kind": "Deployment", "name": name, "controller": True}
        ]
        pod = self.add(
            "Pod",
            f"{name}-7d9f8c6b54-x2k4p",
            labels=labels,
            spec={**copy.deepcopy(spec), "nodeName": "n1"},
            status={
                "phase": "Running",
                "conditions": READY,
                "containerStatuses": [
                    {
                        "name": "main",
                        "ready": True,
                        "restartCount": 0,
                        "image": f"x/{name}:1",
                        "state": {"running": {}},
                    }
                ],
            },
        )
        pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": replica_set["metadata"]["name"]}]
        self.add("Service", name, spec={"selector": labels, "ports": [{"port": port, "targetPort": port}]})

    def find(self, kind: str, name: str) -> Body:
        return next(o for o in self.objects if o["kind"] == kind and o["metadata"]["name"].startswith(name))

    def remove(self, kind: str, name: str) -> None:
        self.objects.remove(self.find(kind, name))

    def template(self, name: str) -> Body:
        spec: Body = self.find("Deployment", name)["spec"]["template"]["spec"]
        return spec

    def down(self, name: str, **state: Any) -> Body:
        """The pod of a program does not serve, for the reason in ``state``."""
        self.find("Deployment", name)["status"]["readyReplicas"] = 0
        pod = self.find("Pod", f"{name}-")
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        pod["status"]["containerStatuses"][0].update({"ready": False, **state})
        return pod

    def unplaced(self, name: str) -> Body:
        pod = self.down(name)
        del pod["spec"]["nodeName"]
        pod["status"] = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}
        return pod

    def event(self, kind: str, name: str, reason: str, message: str, count: int = 3) -> None:
        entity = self.find(kind, name)["metadata"]
        self.events.append(
            EventRow(
                NOW,
                {
                    "kind": "Event",
                    "type": "Warning",
                    "reason": reason,
                    "message": message,
                    "count": count,
                    "metadata": {"name": f"{entity['name']}.{len(self.events)}", "namespace": "shop"},
                    "involvedObject": {
                        "kind": kind,
                        "name": entity["name"],
                        "namespace": entity.get("namespace"),
                    },
                    "firstTimestamp": "2026-05-28T20:25:00Z",
                    "lastTimestamp": "2026-05-28T20:26:00Z",
                },
            )
        )

    def log(self, name: str, text: str) -> None:
        where = {"k8s.namespace.name": "shop", "k8s.pod.name": f"{name}-7d9f8c6b54-x2k4p"}
        self.logs.append(LogRow(NOW, text, name, resource=where))

    def unit(self, text: str) -> None:
        """What the service manager of the node says."""
        self.logs.append(LogRow(NOW, text, "unit", resource={"k8s.node.name": "n1"}))

    def write(self, folder: Path) -> Path:
        rows = [ObjectRow(NOW, body) for body in self.objects]
        if self.later:
            rows += [ObjectRow(NOW + 300 * SECOND, body) for body in self.later]
        return write_incident(
            folder,
            objects=rows,
            events=self.events,
            logs=self.logs,
            alerts={NOW: self.alerts} if self.alerts else None,
        )


def hypotheses(folder: Path) -> list[Hypothesis]:
    with RecordedEvidence(open_incident(folder)) as incident:
        return suspect(look(incident))


def diagnose(folder: Path) -> Diagnosis:
    with RecordedEvidence(open_incident(folder)) as incident:
        return investigate(incident)


def waits(reason: str, message: str = "") -> Body:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, reason: str = "Error") -> Body:
    gone = {"exitCode": code, "reason": reason, "finishedAt": "2026-05-28T20:26:00Z"}
    return {**waits("CrashLoopBackOff"), "lastState": {"terminated": gone}, "restartCount": 4}


def bad_image(c: Cluster) -> None:
    c.down("store", **waits("ImagePullBackOff", "not found"))
    c.event("Pod", "store-", "Failed", 'Failed to pull image "x/store:9": not found')


def bad_command(c: Cluster) -> None:
    c.down("store", **waits("RunContainerError", 'exec: "nope": executable file not found in $PATH'))


def out_of_memory(c: Cluster) -> None:
    c.down("store", **ended(137, "OOMKilled"))


def crash(c: Cluster) -> None:
    c.down("store", **ended(1))
    c.log("store", "Fatal error: can't open the file for reading: Permission denied")


def missing_config(c: Cluster) -> None:
    c.template("store")["containers"][0]["envFrom"] = [{"configMapRef": {"name": "store-conf"}}]
    c.down("store", **waits("CreateContainerConfigError", 'configmap "store-conf" not found'))


def missing_account(c: Cluster) -> None:
    c.add("ServiceAccount", "default")
    c.template("store")["serviceAccountName"] = "shopkeeper"
    c.remove("Pod", "store-")
    c.find("Deployment", "store")["status"]["readyReplicas"] = 0
    text = 'pods "store-" is forbidden: error looking up service account shop/shopkeeper: serviceaccount "shopkeeper" not found'
    c.event("ReplicaSet", "store-", "FailedCreate", text)


def wrong_selector(c: Cluster) -> None:
    c.find("Service", "store")["spec"]["selector"] = {"app": "store-v2"}


def wrong_target_port(c: Cluster) -> None:
    c.find("Service", "store")["spec"]["ports"][0]["targetPort"] = 9999


def wrong_protocol(c: Cluster) -> None:
    c.find("Service", "store")["spec"]["ports"][0]["protocol"] = "UDP"


def wrong_address(c: Cluster) -> None:
    c.template("web")["containers"][0]["env"][0]["value"] = "stor:6379"
    c.log("web", "dial tcp: lookup stor: no such host")


def wrong_port_in_address(c: Cluster) -> None:
    c.template("web")["containers"][0]["env"][0]["value"] = "store:7000"
    c.log("web", "connection refused")


def deleted_service(c: Cluster) -> None:
    c.remove("Service", "store")
    c.log("web", "lookup store: no such host")


def zero(c: Cluster) -> None:
    c.find("Deployment", "store")["spec"]["replicas"] = 0
    c.remove("Pod", "store-")


def probe_port(c: Cluster) -> None:
    probe = {"tcpSocket": {"port": 7777}}
    c.template("store")["containers"][0]["readinessProbe"] = probe
    c.down("store", state={"running": {}})["spec"]["containers"][0]["readinessProbe"] = probe
    c.event(
        "Pod", "store-", "Unhealthy", "Readiness probe failed: dial tcp 10.0.0.1:7777: connection refused", 20
    )


def quota(c: Cluster) -> None:
    c.add(
        "ResourceQuota",
        "room",
        spec={"hard": {"pods": "2"}},
        status={"hard": {"pods": "2"}, "used": {"pods": "2"}},
    )
    c.remove("Pod", "store-")
    c.find("Deployment", "store")["status"]["readyReplicas"] = 0
    c.event(
        "ReplicaSet",
        "store-",
        "FailedCreate",
        'pods "store-x" is forbidden: exceeded quota: room, requested: pods=1',
    )


def too_large(c: Cluster) -> None:
    c.unplaced("store")
    c.event("Pod", "store-", "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.")


def cordoned(c: Cluster) -> None:
    c.unplaced("store")["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "n1"}
    c.find("Node", "n1")["spec"] = {"unschedulable": True}
    c.event("Pod", "store-", "FailedScheduling", "0/1 nodes are available: 1 node(s) were unschedulable.")


def unbound(c: Cluster) -> None:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "store-data"}}
    c.template("store")["volumes"] = [volume]
    c.unplaced("store")["spec"]["volumes"] = [volume]
    c.add(
        "PersistentVolumeClaim", "store-data", spec={"storageClassName": "fast"}, status={"phase": "Pending"}
    )
    c.add("StorageClass", "slow")
    c.event(
        "Pod",
        "store-",
        "FailedScheduling",
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    )


def no_scheduler(c: Cluster) -> None:
    c.unplaced("store")
    c.unit("kube-scheduler.service - Kubernetes Scheduler\n   Active: inactive (dead) since Thu 2026-05-28")


def node_down(c: Cluster) -> None:
    c.find("Node", "n1")["status"]["conditions"] = [
        {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    ]
    c.down("store")
    c.down("web")


def blocked(c: Cluster) -> None:
    c.add(
        "NetworkPolicy",
        "store-in",
        spec={"podSelector": {"matchLabels": {"app": "store"}}, "policyTypes": ["Ingress"]},
    )
    c.log("web", "store: i/o timeout")


def denied(c: Cluster) -> None:
    c.add(
        "AuthorizationPolicy",
        "nobody",
        spec={"action": "DENY", "rules": [{}], "selector": {"matchLabels": {"app": "web"}}},
    )


def resolver(c: Cluster) -> None:
    c.template("web")["dnsPolicy"] = "Default"
    c.log("web", "lookup store: no such host")


def route(c: Cluster) -> None:
    path = {"backend": {"service": {"name": "webb", "port": {"number": 80}}}}
    c.add("Ingress", "front", spec={"rules": [{"http": {"paths": [path]}}]})


def experiment(c: Cluster) -> None:
    spec = {"action": "delay", "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "store"}}}
    c.objects.append(
        {
            "apiVersion": "chaos-mesh.org/v1alpha1",
            "kind": "NetworkChaos",
            "metadata": {"name": "slow-store", "namespace": "chaos"},
            "spec": spec,
        }
    )
    c.log("web", "store: deadline exceeded")


def scaler(c: Cluster) -> None:
    limited = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}
    c.add(
        "HorizontalPodAutoscaler",
        "web",
        status={"currentReplicas": 1, "conditions": [limited]},
        spec={"maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "web"}},
    )


CASES: list[tuple[Callable[[Cluster], None], str, str, Ground | None]] = [
    (bad_image, "images", "shop/Deployment/store", Ground.REFUSAL),
    (bad_command, "crashes", "shop/Deployment/store", Ground.REFUSAL),
    (out_of_memory, "crashes", "shop/Deployment/store", Ground.REFUSAL),
    (crash, "crashes", "shop/Deployment/store", Ground.FAILURE),
    (missing_config, "references", "shop/Deployment/store", None),
    (missing_account, "references", "shop/Deployment/store", Ground.REFUSAL),
    (wrong_selector, "services", "shop/Service/store", Ground.CONTRADICTION),
    (wrong_target_port, "services", "shop/Service/store", Ground.CONTRADICTION),
    (wrong_protocol, "services", "shop/Service/store", Ground.CONTRADICTION),
    (wrong_address, "addresses", "shop/Deployment/web", Ground.CONTRADICTION),
    (wrong_port_in_address, "addresses", "shop/Deployment/web", Ground.CONTRADICTION),
    (deleted_service, "addresses", "shop/Service/store", Ground.CONTRADICTION),
    (zero, "scaling", "shop/Deployment/store", Ground.CONTRADICTION),
    (probe_port, "probes", "shop/Deployment/store", Ground.REFUSAL),
    (quota, "admission", "shop/ResourceQuota/room", Ground.REFUSAL),
    (too_large, "scheduling", "shop/Deployment/store", Ground.REFUSAL),
    (cordoned, "scheduling", "cluster/Node/n1", Ground.REFUSAL),
    (unbound, "storage", "shop/PersistentVolumeClaim/store-data", Ground.REFUSAL),
    (no_scheduler, "units", "cluster/Node/n1", Ground.REFUSAL),
    (node_down, "nodes", "cluster/Node/n1", Ground.REFUSAL),
    (blocked, "policies", "shop/NetworkPolicy/store-in", Ground.CONTRADICTION),
    (denied, "policies", "shop/AuthorizationPolicy/nobody", Ground.CONTRADICTION),
    (resolver, "policies", "shop/Deployment/web", Ground.CONTRADICTION),
    (route, "routes", "shop/Ingress/front", Ground.CONTRADICTION),
    (experiment, "experiments", "chaos/NetworkChaos/slow-store", Ground.EXPERIMENT),
    (scaler, "autoscalers", "shop/HorizontalPodAutoscaler/web", Ground.FAILURE),
]


@pytest.mark.parametrize(
    ("breaks", "family", "entity", "ground"), CASES, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_mechanism_is_named_with_its_object(
    tmp_path: Path, breaks: Callable[[Cluster], None], family: str, entity: str, ground: Ground | None
) -> None:
    cluster = Cluster()
    breaks(cluster)
    folder = cluster.write(tmp_path / "incident")
    found = [h for h in hypotheses(folder) if h.family == family and h.entity == entity]
    assert found
    assert ground is None or ground in {h.ground for h in found}
    assert all(h.summary and h.evidence and h.fix for h in found)
    causes = [cause.entity for cause in diagnose(folder).causes]
    assert causes == [entity]


def test_a_healthy_cluster_raises_no_suspicion(tmp_path: Path) -> None:
    found = hypotheses(Cluster().write(tmp_path / "incident"))
    assert found == []


def test_a_failure_that_passed_is_no_suspicion(tmp_path: Path) -> None:
    cluster = Cluster()
    text = 'pods "store-" is forbidden: error looking up service account shop/s: serviceaccount "s" not found'
    cluster.event("ReplicaSet", "store-", "FailedCreate", text)
    cluster.event("Pod", "web-", "Unhealthy", "Readiness probe failed: connection refused", 1)
    assert hypotheses(cluster.write(tmp_path / "incident")) == []


def test_policies_add_up(tmp_path: Path) -> None:
    """A second policy that admits the caller makes an empty one harmless."""
    cluster = Cluster()
    blocked(cluster)
    allow = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 6379}]}
    cluster.add(
        "NetworkPolicy",
        "web-to-store",
        spec={"podSelector": {"matchLabels": {"app": "store"}}, "ingress": [allow]},
    )
    assert not [h for h in hypotheses(cluster.write(tmp_path / "incident")) if h.family == "policies"]


def test_a_policy_for_a_port_that_nobody_serves_blocks(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.add(
        "NetworkPolicy",
        "store-in",
        spec={"podSelector": {"matchLabels": {"app": "store"}}, "ingress": [{"ports": [{"port": 1}]}]},
    )
    assert [h.entity for h in hypotheses(cluster.write(tmp_path / "incident"))] == [
        "shop/NetworkPolicy/store-in"
    ]


def test_an_unused_address_is_only_odd(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.template("web")["containers"][0]["env"].append({"name": "HINTS_ADDR", "value": "recommender:80"})
    (found,) = hypotheses(cluster.write(tmp_path / "incident"))
    assert found.ground is Ground.ODDITY


def test_a_change_before_the_onset_is_named(tmp_path: Path) -> None:
    cluster = Cluster()
    flags = cluster.add("ConfigMap", "flags", data={"beta": "off"})
    volume = {"name": "flags", "configMap": {"name": "flags"}}
    cluster.template("web")["volumes"] = [volume]
    cluster.later = copy.deepcopy(cluster.objects)
    after = next(o for o in cluster.later if o["metadata"]["name"] == flags["metadata"]["name"])
    after["data"]["beta"] = "on"
    cluster.alerts = [
        {
            "labels": {
                "alertname": "HighRequestErrorRate",
                "namespace": "shop",
                "service_name": "web",
                "severity": "critical",
            },
            "state": "firing",
            "activeAt": "2026-05-28T20:29:00Z",
            "annotations": {},
        }
    ]
    diagnosis = diagnose(cluster.write(tmp_path / "incident"))
    assert diagnosis.causes[0].entity == "shop/ConfigMap/flags"
    assert "data.beta: off -> on" in diagnosis.causes[0].reasons[0].hypothesis.summary


def test_what_stood_before_the_incident_counts_less(tmp_path: Path) -> None:
    cluster = Cluster()
    wrong_target_port(cluster)
    once = diagnose(cluster.write(tmp_path / "once")).suspects[0].reasons[0]
    cluster.later = copy.deepcopy(cluster.objects)
    cluster.alerts = [
        {
            "labels": {
                "alertname": "HighRequestErrorRate",
                "namespace": "shop",
                "service_name": "web",
                "severity": "critical",
            },
            "state": "firing",
            "activeAt": "2026-05-28T20:29:00Z",
            "annotations": {},
        }
    ]
    twice = diagnose(cluster.write(tmp_path / "twice"))
    standing = next(r for s in twice.suspects for r in s.reasons if r.hypothesis.family == "services")
    assert once.features["standing"] == 0.0
    assert standing.features["standing"] == 1.0


def test_a_quota_without_room_is_named_without_events(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.template("store")["containers"][0]["resources"] = {"requests": {"memory": "300Mi"}}
    hard = {"requests.memory": "1Gi"}
    cluster.add(
        "ResourceQuota",
        "room",
        spec={"hard": hard},
        status={"hard": hard, "used": {"requests.memory": "800Mi"}},
    )
    cluster.remove("Pod", "store-")
    cluster.find("Deployment", "store")["status"]["readyReplicas"] = 0
    assert [c.entity for c in diagnose(cluster.write(tmp_path / "incident")).causes] == [
        "shop/ResourceQuota/room"
    ]


def test_a_changed_secret_whose_user_is_turned_away_is_named(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.add("Secret", "store-login", data={"password": "b2xk"})
    cluster.template("web")["containers"][0]["envFrom"] = [{"secretRef": {"name": "store-login"}}]
    cluster.log("web", "store: Access denied for user 'web' (using password: YES)")
    cluster.later = copy.deepcopy(cluster.objects)
    after = next(o for o in cluster.later if o["kind"] == "Secret")
    after["data"]["password"] = "bmV3"
    assert [c.entity for c in diagnose(cluster.write(tmp_path / "incident")).causes] == [
        "shop/Secret/store-login"
    ]


def refused_for_security(c: Cluster) -> None:
    c.remove("Pod", "store-")
    c.find("Deployment", "store")["status"]["readyReplicas"] = 0
    text = (
        'Error creating: pods "store-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'
    )
    c.event("ReplicaSet", "store-", "FailedCreate", text)


def test_a_namespace_that_became_strict_is_named_and_one_that_always_was_is_not(tmp_path: Path) -> None:
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    always = Cluster()
    always.find("Namespace", "shop")["metadata"]["labels"] = enforced
    refused_for_security(always)
    named = [h.entity for h in hypotheses(always.write(tmp_path / "always")) if h.family == "admission"]
    assert named == ["shop/Deployment/store"]
    lately = Cluster()
    refused_for_security(lately)
    namespace = copy.deepcopy(lately.find("Namespace", "shop"))
    namespace["metadata"]["labels"] = enforced
    lately.later.append(namespace)
    named = [h.entity for h in hypotheses(lately.write(tmp_path / "lately")) if h.family == "admission"]
    assert named == ["cluster/Namespace/shop"]
