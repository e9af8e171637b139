"""What is planned about a suspect, by small recordings made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from firedrill.agents.oncall.earlier import past
from firedrill.agents.oncall.fields import Written, made_at, touches, without, writes
from firedrill.agents.oncall.moves import steps_for
from firedrill.agents.oncall.moves.texts import readable, switched_back
from firedrill.agents.oncall.recording import Recording
from firedrill.agents.oncall.steps import Scene, operations

Obj = dict[str, Any]
NOW = 1_767_605_400.0
"""2026-01-05T09:30:00Z."""
OLD, BASE_S = "2026-01-01T00:00:00Z", 3000.0
LATELY, ONSET = "2026-01-05T09:20:00Z", NOW - 600


def about(
    name: str, *, made: str = OLD, wrote: Obj | None = None, namespace: str = "shop", **more: Any
) -> Obj:
    """Metadata; ``wrote`` are the fields that somebody wrote shortly before the onset."""
    out = {"name": name, "namespace": namespace, "creationTimestamp": made, **more}
    if wrote is not None:
        out["managedFields"] = [
            {"manager": "kubectl-edit", "operation": "Update", "time": LATELY, "fieldsV1": wrote}
        ]
    return {key: value for key, value in out.items() if value}


def deployment(name: str = "cart", *, image: str = "cart:1", replicas: int = 2, **more: Any) -> Obj:
    labels = {"app": name}
    box = {"name": name, "image": image, "ports": [{"containerPort": 7070, "name": "grpc"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": about(name, **more),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [box]}},
        },
    }


def revision(of: Obj, number: int, made: str = OLD, image: str = "") -> Obj:
    template = json.loads(json.dumps(of["spec"]["template"]))
    template["metadata"]["labels"]["pod-template-hash"] = f"h{number}"
    if image:
        template["spec"]["containers"][0]["image"] = image
    owner = {"kind": "Deployment", "name": of["metadata"]["name"], "controller": True}
    notes = {"deployment.kubernetes.io/revision": str(number)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": about(f"x-{number}", made=made, annotations=notes, ownerReferences=[owner]),
        "spec": {"template": template},
    }


def service(selector: Obj, port: Obj | None = None, **more: Any) -> Obj:
    ports = [{"name": "grpc", "port": 7070, "targetPort": 7070, "protocol": "TCP", **(port or {})}]
    spec = {"selector": selector, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": about("cart", **more), "spec": spec}


def scene(state: list[Obj] | None = None, **objects: list[Obj]) -> Scene:
    names = {
        "deployments": "deployments.apps",
        "replicasets": "replicasets.apps",
        "networkpolicies": "networkpolicies.networking.k8s.io",
        "podchaos": "podchaos.chaos-mesh.org",
        "schedules": "schedules.chaos-mesh.org",
    }
    found = Recording(NOW, "shop", {names.get(key, key): items for key, items in objects.items()})
    found.state = list(state or [])
    return Scene(found, past(found, BASE_S), ONSET)


def only(of: Scene, entity: str) -> Any:
    """The body of the one request of the first step about an entity."""
    step = steps_for(of, entity, "it was changed")[0]
    (action,) = step.actions
    return action.verb, action.body


def test_a_release_goes_back_to_the_template_before_whatever_was_restarted_since() -> None:
    now = deployment(image="cart:broken", wrote={"f:spec": {"f:template": {"f:spec": {"f:x": {}}}}})
    again = revision(now, 3, LATELY)
    again["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": LATELY}
    now["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": LATELY}
    old, broken = revision(now, 1, image="cart:1"), revision(now, 2, LATELY)
    for item in (old, broken):
        item["spec"]["template"]["metadata"].pop("annotations")
    verb, body = only(scene(deployments=[now], replicasets=[again, old, broken]), "shop/Deployment/cart")
    assert verb == "patch"
    assert [item["path"] for item in body] == ["/spec/template"]
    assert body[0]["value"]["spec"]["containers"][0]["image"] == "cart:1"
    assert "pod-template-hash" not in body[0]["value"]["metadata"]["labels"]


def test_what_is_scaled_to_zero_gets_as_many_pods_as_the_series_tell() -> None:
    now = deployment(replicas=0, wrote={"f:spec": {"f:replicas": {}}})
    labels = {"__name__": "kube_deployment_spec_replicas", "namespace": "shop", "deployment": "cart"}
    series = {"metric": labels, "values": [[NOW - 2900, "3"], [NOW - 30, "0"]]}
    assert only(scene([series], deployments=[now]), "shop/Deployment/cart") == (
        "patch",
        [{"op": "replace", "path": "/spec/replicas", "value": 3}],
    )


def test_nothing_is_done_about_a_workload_that_nobody_changed() -> None:
    now = deployment()
    assert not steps_for(scene(deployments=[now], replicasets=[revision(now, 1)]), "shop/Deployment/cart", "")


def test_a_new_policy_goes_and_an_old_one_stays() -> None:
    def policy(made: str) -> Obj:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": about("np", made=made),
        }

    assert only(scene(networkpolicies=[policy(LATELY)]), "shop/NetworkPolicy/np") == ("delete", None)
    assert not steps_for(scene(networkpolicies=[policy(OLD)]), "shop/NetworkPolicy/np", "")


def test_what_makes_experiments_goes_rather_than_one_that_it_made() -> None:
    owner = {"kind": "Schedule", "name": "hourly", "controller": True}
    version = "chaos-mesh.org/v1alpha1"
    made = {"apiVersion": version, "kind": "PodChaos", "metadata": about("p", ownerReferences=[owner])}
    above = {"apiVersion": version, "kind": "Schedule", "metadata": about("hourly")}
    (step,) = steps_for(scene(podchaos=[made], schedules=[above]), "shop/PodChaos/p", "")
    assert step.cause == "shop/Schedule/hourly"


@pytest.mark.parametrize(
    ("wrong", "path", "value"),
    [
        ({"selector": {"app": "cart", "version": "2"}}, "/spec/selector", {"app": "cart"}),
        ({"port": {"targetPort": 9999}}, "/spec/ports", 7070),
        ({"port": {"protocol": "UDP"}}, "/spec/ports", "TCP"),
    ],
)
def test_a_service_fits_its_pods_again(wrong: Obj, path: str, value: Any) -> None:
    field = "f:ports" if "port" in wrong else "f:selector"
    broken = service(wrong.get("selector", {"app": "cart"}), wrong.get("port"), wrote={"f:spec": {field: {}}})
    _, (operation,) = only(scene(deployments=[deployment()], services=[broken]), "shop/Service/cart")
    assert operation["path"] == path
    told = operation["value"]
    assert told == value or value in told[0].values()


def test_a_service_that_is_gone_is_made_again_as_its_callers_ask_for_it() -> None:
    caller = deployment("front")
    caller["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "CART", "value": "cart:8080"}]
    _, body = only(scene(deployments=[deployment(), caller]), "shop/Service/cart")
    assert body["spec"]["selector"] == {"app": "cart"}
    assert body["spec"]["ports"] == [{"name": "grpc", "port": 8080, "targetPort": 7070, "protocol": "TCP"}]


def test_flags_that_stand_apart_are_set_like_the_rest() -> None:
    flags = {name: {"variants": {"on": True, "off": False}, "defaultVariant": "off"} for name in "abc"}
    odd = json.dumps({"flags": {**flags, "d": {**flags["a"], "defaultVariant": "on"}}}, indent=2)
    told = switched_back(odd)
    assert told is not None
    assert {flag["defaultVariant"] for flag in json.loads(told)["flags"].values()} == {"off"}
    assert switched_back("not json") is None
    assert switched_back('{"flags": []}') is None


def test_a_line_with_a_word_that_no_resolver_knows_goes() -> None:
    assert readable(".:53 {\n    errors\n    forwrad . /etc/resolv.conf\n}") == ".:53 {\n    errors\n}"


def test_who_wrote_what_is_told_by_managed_fields() -> None:
    fields: Obj = {"f:spec": {"f:a": {}, "f:list": {'k:{"name":"x"}': {".": {}, "f:name": {}}}}}
    obj = {
        "kind": "Odd",
        "metadata": about("x", wrote=fields),
        "spec": {"a": 1, "b": 2, "list": [{"name": "x"}, {"name": "y"}]},
    }
    written = writes(obj, 0)
    assert [(one.manager, one.time > made_at(obj)) for one in written] == [("kubectl-edit", True)]
    assert touches(written, "spec", "a")
    assert not touches(written, "spec", "b")
    before = without(obj, written)
    assert before is not None
    assert before["spec"] == {"b": 2, "list": [{"name": "y"}]}
    assert without(obj, [Written(0.0, "x", {})]) is None


def test_operations_take_one_state_to_the_other() -> None:
    now = {"kind": "X", "metadata": {"labels": {"a/b": "1"}}, "spec": {"a": 1, "b": 2}, "data": {"k": "v"}}
    wanted = {"kind": "X", "metadata": {"labels": {"c": "2"}}, "spec": {"a": 3, "b": 2}}
    assert operations(now, wanted) == [
        {"op": "remove", "path": "/metadata/labels/a~1b"},
        {"op": "add", "path": "/metadata/labels/c", "value": "2"},
        {"op": "remove", "path": "/data"},
        {"op": "replace", "path": "/spec/a", "value": 3},
    ]
    assert operations(now, now) == []


def told(metric: str, value: float, **labels: str) -> Obj:
    """A series that had a value at the beginning of the window, and none at its end."""
    about_it = {"__name__": metric, "namespace": "shop", **labels}
    return {"metric": about_it, "values": [[NOW - 2900, str(value)], [NOW - 700, str(value)]]}


def anew(change: Obj, **more: Any) -> tuple[Obj, list[Obj]]:
    """A workload that was deleted and made anew with another container, and what series tell of the old one."""
    obj = deployment(made=LATELY)
    obj["spec"]["template"]["spec"]["containers"][0].update(change)
    obj["spec"]["template"]["spec"].update(more)
    pod = {"pod": "cart-abc12-x7z9q", "container": "cart"}
    return obj, [
        told("kube_pod_container_info", 1, image="cart:1", **pod),
        told("kube_pod_container_resource_limits", 67_108_864, resource="memory", **pod),
        told("kube_pod_container_resource_limits", 0.2, resource="cpu", **pod),
    ]


def box_of(body: list[Obj]) -> Obj:
    box: Obj = body[0]["value"]["spec"]["containers"][0]
    return box


def test_what_was_made_anew_gets_the_image_and_the_limits_that_series_tell() -> None:
    obj, state = anew({"image": "cart:broken", "resources": {"limits": {"memory": "1Mi", "cpu": "0.2"}}})
    _, body = only(scene(state, deployments=[obj]), "shop/Deployment/cart")
    assert box_of(body)["image"] == "cart:1"
    assert box_of(body)["resources"]["limits"] == {"memory": "67108864", "cpu": "0.2"}


@pytest.mark.parametrize(
    ("probe", "said", "wanted"),
    [
        ({"readinessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 10, "failureThreshold": 3}}, "Readiness",
         {"tcpSocket": {"port": 7070}, "periodSeconds": 10, "failureThreshold": 3}),
        ({"startupProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1, "failureThreshold": 1}}, "Startup",
         {"tcpSocket": {"port": 7070}, "periodSeconds": 10, "failureThreshold": 30}),
    ],
)  # fmt: skip
def test_a_probe_that_fails_asks_where_somebody_listens_and_long_enough(
    probe: Obj, said: str, wanted: Obj
) -> None:
    obj, state = anew({**probe, "image": "cart:1"})
    of = scene(state[:1], deployments=[obj])
    event = {"reason": "Unhealthy", "message": f"{said} probe failed: refused", "lastTimestamp": LATELY}
    of.found.events = [{**event, "involvedObject": {"namespace": "shop", "name": "cart-9-z"}}]
    _, body = only(of, "shop/Deployment/cart")
    assert box_of(body)[f"{said.lower()}Probe"] == wanted


def test_an_address_that_nobody_has_becomes_the_one_that_is_meant() -> None:
    obj, state = anew({"image": "cart:1", "env": [{"name": "REDIS", "value": "redis-crt:6380"}]})
    redis = service({"app": "redis"})
    redis["metadata"]["name"] = "redis-cart"
    _, body = only(scene(state[:1], deployments=[obj], services=[redis]), "shop/Deployment/cart")
    assert box_of(body)["env"] == [{"name": "REDIS", "value": "redis-cart:7070"}]


def test_a_workload_that_users_reach_is_never_deleted() -> None:
    new = deployment(made=LATELY)
    for of in (
        scene(deployments=[new], services=[service({"app": "cart"})]),
        scene(anew({})[1], deployments=[new]),
    ):
        verbs = {a.verb for step in steps_for(of, "shop/Deployment/cart", "") for a in step.actions}
        assert "delete" not in verbs
    assert only(scene(deployments=[new]), "shop/Deployment/cart") == ("delete", None)


def test_labels_of_a_namespace_are_what_series_tell() -> None:
    fields: Obj = {"f:metadata": {"f:labels": {"f:mode": {}, "f:strict": {}}}}
    space = about("shop", wrote=fields, namespace="", labels={"mode": "none", "strict": "yes", "team": "a"})
    state = [{"metric": {"__name__": "kube_namespace_labels", "namespace": "shop", "label_mode": "ambient"},
              "values": [[NOW - 2900, "1"]]}]  # fmt: skip
    of = scene(state, namespaces=[{"apiVersion": "v1", "kind": "Namespace", "metadata": space}])
    assert only(of, "cluster/Namespace/shop")[1] == [
        {"op": "replace", "path": "/metadata/labels/mode", "value": "ambient"},
        {"op": "remove", "path": "/metadata/labels/strict"},
    ]


def test_a_node_is_opened_again() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": about("w1", namespace="", wrote={"f:spec": {"f:unschedulable": {}}}),
        "spec": {"unschedulable": True, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]},
    }  # fmt: skip
    state = [
        {"metric": {"__name__": "kube_node_spec_unschedulable", "node": "w1"}, "values": [[NOW - 2900, "0"]]}
    ]
    _, body = only(scene(state, nodes=[node]), "cluster/Node/w1")
    assert {(item["op"], item["path"]) for item in body} == {
        ("remove", "/spec/unschedulable"),
        ("remove", "/spec/taints"),
    }


def test_a_policy_of_a_mesh_allows_those_who_call() -> None:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": about("viewer", wrote={"f:spec": {"f:rules": {}}}),
        "spec": {
            "selector": {"matchLabels": {"app": "cart"}},
            "rules": [{"from": [{"source": {"principals": ["nobody"]}}]}],
        },
    }
    front = deployment("front")
    front["spec"]["template"]["spec"]["serviceAccountName"] = "front"
    of = scene(deployments=[deployment(), front], policies=[policy])
    labels = {"source_workload": "front", "destination_workload": "cart"}
    spaces = {"source_workload_namespace": "shop", "destination_workload_namespace": "shop"}
    of.found.metrics = [{"metric": {"__name__": "istio_requests_total", **labels, **spaces}, "values": []}]
    _, body = only(of, "shop/AuthorizationPolicy/viewer")
    assert body[0]["value"] == [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/front"]}}]}]
