"""The rules of each kind, in the words of a real API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from firedrill.world.kube.kinds import Kind, default_kinds
from firedrill.world.kube.objects import freeze, with_path
from firedrill.world.kube.schema import decode, default, schema_for, validate

POD_SPEC: dict[str, Any] = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"app": "x"}}, "spec": POD_SPEC}
OWNER: dict[str, Any] = {"selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}
GOOD: dict[str, dict[str, Any]] = {
    "Pod": {"spec": POD_SPEC},
    "Deployment": {"spec": OWNER},
    "ReplicaSet": {"spec": OWNER},
    "StatefulSet": {"spec": {**OWNER, "serviceName": "x"}},
    "DaemonSet": {"spec": OWNER},
    "Job": {"spec": {"template": {"spec": {**POD_SPEC, "restartPolicy": "Never"}}}},
    "CronJob": {
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {**POD_SPEC, "restartPolicy": "OnFailure"}}}},
        }
    },
    "Service": {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}},
    "Ingress": {
        "spec": {
            "rules": [
                {
                    "host": "a.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        }
    },
    "NetworkPolicy": {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}},
    "ConfigMap": {"data": {"a": "b"}},
    "Secret": {"data": {"a": "Yg=="}},
    "ResourceQuota": {"spec": {"hard": {"pods": "3", "requests.cpu": "1"}}},
    "LimitRange": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}}]}},
    "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "RoleBinding": {
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "b"}],
    },
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"},
            "maxReplicas": 3,
        }
    },
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    "PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "PersistentVolume": {
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
    },
    "StorageClass": {"provisioner": "example.com/disk"},
    "PriorityClass": {"value": 10},
    "Namespace": {},
    "CustomResourceDefinition": {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "string"}}}
                    },
                }
            ],
        },
    },
}


def kind_of(name: str) -> Kind:
    found = default_kinds().find(name)
    assert found is not None
    return found


def good(name: str) -> tuple[Kind, dict[str, Any]]:
    kind = kind_of(name)
    obj = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "x"},
        **copy.deepcopy(GOOD[name]),
    }
    if kind.namespaced:
        obj["metadata"]["namespace"] = "shop"
    return kind, obj


def problems(kind: Kind, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    made = default(kind, decode(schema_for(kind), obj).obj)
    return [str(item) for item in validate(kind, freeze(made), old)]


@pytest.mark.parametrize("name", sorted(GOOD))
def test_an_honest_object_breaks_no_rule(name: str) -> None:
    kind, obj = good(name)
    before = copy.deepcopy(obj)
    assert problems(kind, obj) == []
    assert obj == before
    stored = freeze(default(kind, decode(schema_for(kind), obj).obj))
    assert default(kind, stored) == stored
    assert validate(kind, stored, stored) == []


C = "spec.containers[0]"
BROKEN: list[tuple[str, str, Any, str]] = [
    ("Pod", "metadata.name", "Web_1", """metadata.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"""),
    ("Pod", "metadata.labels", {"a b": "c"}, """metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"""),
    ("Pod", "spec.containers", [], "spec.containers: Required value"),
    ("Pod", "spec.containers", [{"name": "c"}], f"{C}.image: Required value"),
    ("Pod", "spec.containers", [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}], f'{C}.volumeMounts[0].name: Not found: "v"'),
    ("Pod", "spec.containers", [{"name": "c", "image": "i", "ports": [{"containerPort": 70000}]}], f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ("Pod", "spec.containers", [{"name": "c", "image": "i", "imagePullPolicy": "Sometimes"}], f'{C}.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'),
    ("Pod", "spec.containers", [{"name": "c", "image": "i", "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}], f'{C}.resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi'),
    ("Pod", "spec.containers", [{"name": "c", "image": "i", "livenessProbe": {}}], f"{C}.livenessProbe: Required value: must specify a handler type"),
    ("Pod", "spec.containers", [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}], 'spec.containers[1].name: Duplicate value: "c"'),
    ("Pod", "spec.restartPolicy", "Maybe", 'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'),
    ("Deployment", "spec.template.metadata.labels", {"app": "y"}, 'spec.template.metadata.labels: Invalid value: map[string]string{"app":"y"}: `selector` does not match template `labels`'),
    ("Deployment", "spec.replicas", -1, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    ("Deployment", "spec.template.spec.restartPolicy", "Never", 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'),
    ("Deployment", "spec.strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}, 'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:0, IntVal:0, StrVal:""}: may not be 0 when `maxSurge` is 0'),
    ("Job", "spec.template.spec.restartPolicy", "Always", 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
    ("CronJob", "spec.schedule", "soon", 'spec.schedule: Invalid value: "soon": expected exactly 5 fields, found 1: [soon]'),
    ("CronJob", "spec.schedule", "70 * * * *", 'spec.schedule: Invalid value: "70 * * * *": end of range (70) above maximum (59): 70'),
    ("Service", "spec.ports", [], "spec.ports: Required value"),
    ("Service", "spec.ports", [{"port": 0}], "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ("Service", "spec.ports", [{"port": 80, "nodePort": 30080}], "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
    ("Ingress", "spec.rules", [], "spec: Invalid value: []networking.IngressRule(nil): either `defaultBackend` or `rules` must be specified"),
    ("ConfigMap", "data", {"a/b": ""}, """data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"""),
    ("Secret", "type", "kubernetes.io/tls", "data[tls.crt]: Required value"),
    ("Role", "rules", [{"apiGroups": [""], "resources": ["pods"]}], "rules[0].verbs: Required value: verbs must contain at least one value"),
    ("HorizontalPodAutoscaler", "spec.minReplicas", 5, "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"),
    ("PersistentVolumeClaim", "spec.accessModes", [], "spec.accessModes: Required value: at least 1 access mode is required"),
    ("PersistentVolume", "spec.capacity", {}, "spec.capacity: Required value"),
    ("PriorityClass", "value", 2_000_000_000, "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"),
    ("LimitRange", "spec.limits", [{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}], "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"),
    ("CustomResourceDefinition", "metadata.name", "widgets", 'metadata.name: Invalid value: "widgets": must be spec.names.plural+"."+spec.group'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "value", "text"), BROKEN)
def test_a_broken_rule_is_named_as_the_server_names_it(name: str, path: str, value: Any, text: str) -> None:
    kind, obj = good(name)
    assert text in problems(kind, with_path(obj, path.split("."), value))


CHANGES: list[tuple[str, str, Any, str]] = [
    ("Deployment", "spec.selector", {"matchLabels": {"app": "x", "b": "c"}}, 'spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"x", "b":"c"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable'),
    ("StatefulSet", "spec.serviceName", "y", "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"),
    ("RoleBinding", "roleRef.name", "other", 'roleRef: Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"Role", Name:"other"}: cannot change roleRef'),
    ("StorageClass", "parameters", {"a": "b"}, "parameters: Forbidden: updates to parameters are forbidden."),
    ("PriorityClass", "value", 11, "value: Forbidden: may not be changed in an update."),
    ("Secret", "type", "other", 'type: Invalid value: "other": field is immutable'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "value", "text"), CHANGES)
def test_what_may_not_change_is_refused(name: str, path: str, value: Any, text: str) -> None:
    kind, obj = good(name)
    old = default(kind, decode(schema_for(kind), obj).obj)
    assert text in problems(kind, with_path(old, path.split("."), value), old)


def test_a_pod_may_get_another_image_and_nothing_else() -> None:
    kind, obj = good("Pod")
    old = default(kind, decode(schema_for(kind), obj).obj)
    container = {**old["spec"]["containers"][0], "image": "nginx:2"}
    assert problems(kind, with_path(old, ("spec", "containers"), [container]), old) == []
    (found,) = problems(kind, with_path(old, ("spec", "hostNetwork"), True), old)
    assert found.startswith(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    )
    assert "HostNetwork" in found
    more = with_path(old, ("spec", "tolerations"), [{"operator": "Exists"}])
    assert problems(kind, more, old) == []
    assert problems(kind, old, more) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_an_immutable_config_map_stays() -> None:
    kind, obj = good("ConfigMap")
    old = {**obj, "immutable": True}
    assert problems(kind, {**old, "data": {"a": "c"}}, old) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert problems(kind, obj, old) == ["immutable: Forbidden: field is immutable when `immutable` is set"]


def test_a_claim_grows_but_never_shrinks() -> None:
    kind, obj = good("PersistentVolumeClaim")
    old = {**default(kind, obj), "status": {"phase": "Bound"}}
    size = ("spec", "resources", "requests", "storage")
    assert problems(kind, with_path(old, size, "2Gi"), old) == []
    assert problems(kind, with_path(old, size, "1Mi"), old) == [
        "spec.resources.requests.storage: Forbidden: field can not be less than previous value"
    ]
    (found,) = problems(
        kind,
        with_path(old, ("spec", "storageClassName"), "b"),
        with_path(old, ("spec", "storageClassName"), "a"),
    )
    assert found.startswith("spec: Forbidden: spec is immutable after creation except resources.requests")


def test_every_error_carries_a_cause() -> None:
    kind, obj = good("Pod")
    made = default(
        kind, decode(schema_for(kind), with_path(obj, ("spec", "containers"), [{"name": "c"}])).obj
    )
    (found,) = validate(kind, made)
    assert (found.field, found.reason, found.message) == (
        f"{C}.image",
        "FieldValueRequired",
        "Required value",
    )


def test_an_empty_deployment_is_told_all_that_is_missing() -> None:
    kind = kind_of("Deployment")
    obj = {"metadata": {"name": "x", "namespace": "shop"}}
    assert problems(kind, obj) == [
        "spec.selector: Required value",
        "spec.template.metadata.labels: Invalid value: map[string]string(nil): "
        "`selector` does not match template `labels`",
        "spec.template.spec.containers: Required value",
    ]
    assert problems(kind_of("Pod"), obj) == ["spec.containers: Required value"]
