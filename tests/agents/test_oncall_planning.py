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
