"""Families that reason over time, reach and intent: whom each suspects, and whom it must spare.

Cases are written by hand, without a database: two programs, `web` and `store`, of which the first calls the
second, a node, and the one thing that a test is about.
"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

import pytest

from firedrill.agents.sleuth.case import Alarm, Case, Change, Happening, Line, Thing, parts
from firedrill.agents.sleuth.engine import conclude
from firedrill.agents.sleuth.families import (
    admission,
    changes,
    chaos,
    complaints,
    crashes,
    nodes,
    policies,
    references,
    scheduling,
)
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.model import Ground, Hypothesis, Signal
from firedrill.agents.sleuth.ranking import features
from firedrill.agents.sleuth.reading import differences
from firedrill.agents.sleuth.symptoms import find_onset, find_symptoms
from firedrill.core.topology import Edge, Topology

BEGAN = datetime(2026, 3, 1, 12, 0)
ONSET = BEGAN + timedelta(minutes=20)
WEB, STORE = "shop/Deployment/web", "shop/Deployment/store"


def after(minutes: float) -> datetime:
    return ONSET + timedelta(minutes=minutes)


def stamp(moment: datetime) -> str:
    return f"{moment.isoformat()}Z"


class Shop:
    """A case in the making."""

    def __init__(self, *, alerted: str = "web") -> None:
        self.objects: dict[str, Thing] = {}
        self.events: list[Happening] = []
        self.lines: list[Line] = []
        self.signals: list[Signal] = []
        self.edges = [
            Edge(WEB, "shop/Service/store", "calls"),
            Edge("shop/Service/store", STORE, "selects"),
            Edge("shop/Service/web", WEB, "selects"),
        ]
        self.alarms = [Alarm("HighRequestErrorRate", f"shop/Deployment/{alerted}", ONSET, "critical")]
        self.put("cluster/Node/n1")
        self.put("cluster/Namespace/shop")
        for name in ("web", "store"):
            self.program(name)
            self.put(f"shop/Service/{name}", {"selector": {"app": name}})

    def put(self, entity: str, spec: dict[str, Any] | None = None, **fields: Any) -> Thing:
        """An object; `changes`, `gone`, `appeared`, `first`, `labels`, `made` and `body` are as named."""
        labels, made = fields.pop("labels", {}), fields.pop("made", None)
        meta = {"name": parts(entity)[2], "labels": labels}
        if made is not None:
            meta["creationTimestamp"] = stamp(made)
        body = {"kind": parts(entity)[1], "metadata": meta, "spec": spec or {}, **fields.pop("body", {})}
        fields.setdefault("first", BEGAN)
        fields.setdefault("time", after(15))
        self.objects[entity] = Thing(entity, body, "objects.tsv", **fields)
        return self.objects[entity]

    def program(self, name: str, space: str = "shop", **fields: Any) -> None:
        pod = {"containers": [{"name": "main", "ports": [{"containerPort": 80}]}], **fields.pop("pod", {})}
        template = {"metadata": {"labels": {"app": name}}, "spec": pod}
        body = {"status": {"readyReplicas": 1}}
        self.put(f"{space}/Deployment/{name}", {"replicas": 1, "template": template}, body=body, **fields)

    def pod(self, name: str, owner: str, status: dict[str, Any], **fields: Any) -> Thing:
        space = owner.partition("/")[0]
        self.edges.append(Edge(owner, f"{space}/Pod/{name}", "owns"))
        return self.put(f"{space}/Pod/{name}", fields.pop("spec", {}), body={"status": status}, **fields)

    def event(self, entity: str, reason: str, message: str, **fields: Any) -> None:
        times = {"first": after(-1), "last": after(10), "count": 3, **fields}
        self.events.append(Happening(entity, "Warning", reason, message, file="events.tsv", **times))

    def says(self, entity: str, text: str) -> None:
        self.lines.append(Line(after(1), entity, "", "", text, "logs.tsv"))

    def case(self) -> Case:
        case = Case(
            objects=copy.copy(self.objects),
            events=tuple(self.events),
            alarms=tuple(self.alarms),
            lines=tuple(self.lines),
            signals=tuple(self.signals),
            topology=Topology.build((), self.edges),
            start=BEGAN,
            end=after(15),
        )
        case.symptoms = tuple(find_symptoms(case))
        case.onset, case.onset_clue = find_onset(case)
        return case


def strengths(found: Any) -> dict[str, float]:
    out: dict[str, float] = {}
    for h in found:
        assert h.summary and h.evidence and h.fix, h
        out[h.entity] = max(out.get(h.entity, 0.0), h.strength)
    return out


def changed(path: str, before: str, now: str, minutes: float = -2) -> tuple[Change, ...]:
    return (Change(after(minutes), path, before, now),)


class TestChanges:
    def test_of_a_config_whose_reader_is_unwell(self) -> None:
        shop = Shop()
        shop.edges.append(Edge(STORE, "shop/ConfigMap/limits", "mounts"))
        shop.put("shop/ConfigMap/limits", changes=changed("data.pool", "50", "2"))
        (found,) = changes.changes(shop.case())
        assert (found.entity, found.explains) == ("shop/ConfigMap/limits", (STORE,))
        assert found.strength > 0.7

    def test_elsewhere_is_hardly_suspected(self) -> None:
        """What is read by programs of which none is unwell, nor anybody who calls them."""
        shop = Shop()
        shop.program("wiki", "intranet")
        shop.edges.append(Edge("intranet/Deployment/wiki", "intranet/ConfigMap/pages", "mounts"))
        shop.put("intranet/ConfigMap/pages", changes=changed("data.motd", "Tea", "Coffee"))
        shop.put("intranet/ConfigMap/unread", changes=changed("data.motd", "Tea", "Coffee"))
        shop.put("shop/ConfigMap/unread", changes=changed("data.motd", "Tea", "Coffee"))
        found = strengths(changes.changes(shop.case()))
        assert found["intranet/ConfigMap/pages"] < 0.3 and found["intranet/ConfigMap/unread"] < 0.3
        assert found["shop/ConfigMap/unread"] > 0.7, "a program of its namespace may ask the API for it"

    def test_of_what_all_nodes_run_can_reach_everybody(self) -> None:
        shop = Shop()
        shop.put("mesh/DaemonSet/proxy", changes=changed("spec.template.spec.image", "1", "2"))
        shop.put("mesh/ConfigMap/proxy", changes=changed("data.mode", "open", "closed"))
        assert min(strengths(changes.changes(shop.case())).values()) > 0.7

    def test_a_release_that_ran_well_for_minutes_is_suspected_less(self) -> None:
        image = "spec.template.spec.containers[0].image"
        early, late = Shop(), Shop()
        early.program("store", changes=changed(image, "1", "2", -5))
        late.program("store", changes=changed(image, "1", "2", -1))
        (long_ago,) = changes.changes(early.case())
        (just_now,) = changes.changes(late.case())
        assert long_ago.strength < 0.6 * just_now.strength

    def test_of_one_program_behind_a_shared_service_is_felt_at_the_service(self) -> None:
        told = changed("spec.template.spec.containers[0].image", "1", "2", -0.5)
        rows = []
        for shared in (True, False):
            shop = Shop()
            shop.program("store", changes=told)
            shop.alarms = [Alarm("HighRequestErrorRate", "shop/Service/store", ONSET, "critical")]
            if not shared:
                shop.edges = [edge for edge in shop.edges if edge.type != "selects"]
            case = shop.case()
            (found,) = changes.changes(case)
            rows.append(features(case, Graph(case), [found])[0]["hurt"])
        assert rows[0] > rows[1]

    def test_of_a_route_is_about_what_it_leads_to(self) -> None:
        shop = Shop()
        rules = [{"backendRefs": [{"name": "store", "port": 80}]}]
        shop.put("shop/HTTPRoute/front", {"rules": rules}, changes=changed("spec.rules[0]", "1", "2"))
        (found,) = changes.changes(shop.case())
        assert found.explains == ("shop/Service/store",)

    def test_more_replicas_and_labels_are_no_reason(self) -> None:
        shop = Shop()
        shop.program("store", changes=changed("spec.replicas", "1", "2"))
        shop.put("cluster/Namespace/shop", changes=changed("metadata.labels.team", "a", "b"))
        assert max(strengths(changes.changes(shop.case())).values()) < 0.3

    def test_a_new_object_that_holds_back_is_suspected_with_whom_it_selects(self) -> None:
        shop = Shop()
        came: dict[str, Any] = {"appeared": True, "first": after(-1)}
        shop.put("shop/NetworkPolicy/shut", {"podSelector": {"matchLabels": {"app": "store"}}}, **came)
        shop.put("shop/ConfigMap/notes", **came)
        found = {h.entity: h for h in changes.comings_and_goings(shop.case())}
        assert found["shop/NetworkPolicy/shut"].explains == (STORE,)
        assert found["shop/NetworkPolicy/shut"].strength > found["shop/ConfigMap/notes"].strength

    def test_what_a_controller_made_is_not_suspected(self) -> None:
        shop = Shop()
        shop.edges.append(Edge(STORE, "shop/ConfigMap/leader", "owns"))
        shop.put("shop/ConfigMap/leader", appeared=True, first=after(-1))
        assert not list(changes.comings_and_goings(shop.case()))

    def test_a_config_whose_reader_does_not_run_since_is_a_refusal(self) -> None:
        shop = Shop()
        shop.edges.append(Edge(STORE, "shop/ConfigMap/limits", "mounts"))
        shop.put("shop/ConfigMap/limits", changes=changed("data.port", "80", "http"))
        assert not list(changes.configurations(shop.case())), "its reader runs"
        waiting = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        shop.pod("store-1", STORE, {"phase": "Running", "containerStatuses": [waiting]})
        (found,) = changes.configurations(shop.case())
        assert (found.entity, found.ground) == ("shop/ConfigMap/limits", Ground.REFUSAL)

    def test_differences_are_leaves(self) -> None:
        before = {"a": {"b": [1, 2]}, "c": "x" * 400}
        found = sorted(differences(before, {"a": {"b": [1, 3]}, "d": True}))
        assert [path for path, _, _ in found] == ["a.b[1]", "c", "d"]
        assert all(len(old) <= 200 for _, old, _ in found)


class TestExperiments:
    def chaos(self, shop: Shop, app: str, **fields: Any) -> None:
        labels = {"namespaces": ["shop"], "labelSelectors": {"app": app}}
        spec = {"action": "delay", "selector": labels}
        shop.put("chaos/NetworkChaos/slow", spec, made=after(-1), **fields)

    def strength(self, shop: Shop) -> float:
        (found,) = chaos.experiments(shop.case())
        assert (found.entity, found.ground) == ("chaos/NetworkChaos/slow", Ground.EXPERIMENT)
        return found.strength

    def test_one_whose_target_hurts_its_caller_is_suspected(self) -> None:
        shop = Shop(alerted="web")
        self.chaos(shop, "store")
        assert self.strength(shop) == 1.0

    def test_one_whose_targets_are_well_is_not(self) -> None:
        shop = Shop(alerted="store")
        shop.program("wiki")
        self.chaos(shop, "wiki")
        assert self.strength(shop) < 0.2

    def test_one_that_selects_nothing_is_not(self) -> None:
        shop = Shop()
        self.chaos(shop, "retired")
        assert self.strength(shop) < 0.2

    def test_one_that_says_that_it_selected_nothing_is_not(self) -> None:
        shop = Shop()
        nothing = {"status": {"conditions": [{"type": "Selected", "status": "False"}]}}
        self.chaos(shop, "store", body=nothing)
        assert self.strength(shop) < 0.2

    def test_a_paused_one_is_not_named(self) -> None:
        shop = Shop()
        self.chaos(shop, "store")
        thing = shop.objects["chaos/NetworkChaos/slow"]
        paused = {"experiment.chaos-mesh.org/pause": "true"}
        body = {**thing.body, "metadata": {**thing.body["metadata"], "annotations": paused}}
        shop.objects[thing.id] = Thing(thing.id, body)
        assert not list(chaos.experiments(shop.case()))

    def test_one_of_which_only_events_tell(self) -> None:
        shop = Shop()
        shop.event("chaos/PodChaos/kill-9x2", "Applied", "Successfully apply chaos for shop/store-1")
        shop.event("chaos/Schedule/kill", "Spawned", "Create new object: kill-9x2")
        assert strengths(chaos.experiments(shop.case())) == {"chaos/Schedule/kill": 0.9}


class TestPolicies:
    def test_a_namespace_that_left_the_mesh(self) -> None:
        shop = Shop()
        label = "metadata.labels.istio.io/dataplane-mode"
        shop.put("cluster/Namespace/shop", changes=changed(label, "ambient", ""))
        (found,) = policies.mesh_policies(shop.case())
        assert found.entity == "cluster/Namespace/shop" and WEB in found.explains

    def test_one_that_was_never_in_it_is_no_matter(self) -> None:
        shop = Shop()
        shop.put("cluster/Namespace/shop", changes=changed("metadata.labels.team", "a", ""))
        assert not list(policies.mesh_policies(shop.case()))

    def test_having_always_been_out_of_it_stands_and_having_left_does_not(self) -> None:
        label = {"istio.io/dataplane-mode": "none"}
        always, lately = Shop(), Shop()
        always.put("cluster/Namespace/shop", labels=label)
        told = changed("metadata.labels.istio.io/dataplane-mode", "ambient", "none")
        lately.put("cluster/Namespace/shop", labels=label, changes=told)
        assert [standing(shop, policies.mesh_policies) for shop in (always, lately)] == [1.0, 0.0]

    def test_a_caller_that_is_not_among_those_allowed(self) -> None:
        shop = Shop()
        source = {"principals": ["cluster.local/ns/other/sa/web"]}
        spec = {"selector": {"matchLabels": {"app": "store"}}, "rules": [{"from": [{"source": source}]}]}
        shop.put("shop/AuthorizationPolicy/callers", spec)
        (found,) = policies.mesh_policies(shop.case())
        assert (found.entity, found.explains) == ("shop/AuthorizationPolicy/callers", (STORE,))

    @pytest.mark.parametrize("principal", ["cluster.local/ns/shop/sa/default", "*/sa/default", "*"])
    def test_one_that_is_among_them_is_let_be(self, principal: str) -> None:
        shop = Shop()
        rules = [{"from": [{"source": {"principals": [principal]}}]}]
        spec = {"selector": {"matchLabels": {"app": "store"}}, "rules": rules}
        shop.put("shop/AuthorizationPolicy/callers", spec)
        assert not list(policies.mesh_policies(shop.case()))

    @pytest.mark.parametrize(
        ("rule", "blocked"),
        [
            ({"to": [{"podSelector": {"matchLabels": {"app": "store"}}}]}, True),
            ({"to": [{"namespaceSelector": {}}]}, False),
            ({"to": [{"namespaceSelector": {}}], "ports": [{"port": 80}]}, True),
            ({"ports": [{"port": 53, "protocol": "UDP"}]}, False),
            ({}, False),
        ],
    )
    def test_who_may_go_out_but_not_ask_for_names(self, rule: dict[str, Any], blocked: bool) -> None:
        shop = Shop()
        box = {"name": "main", "env": [{"name": "STORE_ADDR", "value": "store:80"}]}
        shop.program("web", pod={"containers": [box]})
        spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
        shop.put("shop/NetworkPolicy/out", spec)
        assert [h.entity for h in policies.name_lookups(shop.case())] == blocked * ["shop/NetworkPolicy/out"]

    @pytest.mark.parametrize(
        ("dns", "wrong"),
        [
            ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.96.0.10"]}}, True),
            ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.1"], "searches": ["svc"]}}, False),
            ({"dnsPolicy": "ClusterFirst"}, False),
        ],
    )
    def test_short_names_want_search_domains(self, dns: dict[str, Any], wrong: bool) -> None:
        shop = Shop()
        box = {"name": "main", "env": [{"name": "STORE_ADDR", "value": "store:80"}]}
        shop.program("web", pod={"containers": [box], **dns})
        assert [h.entity for h in policies.name_resolution(shop.case())] == wrong * [WEB]


def standing(shop: Shop, family: Any) -> float:
    case = shop.case()
    found: list[Hypothesis] = list(family(case))
    return features(case, Graph(case), found)[0]["standing"]


class TestNodes:
    def agent(self, shop: Shop, selector: dict[str, str], told: tuple[Change, ...]) -> list[Hypothesis]:
        template = {"spec": {"nodeSelector": selector}}
        shop.put("mesh/DaemonSet/proxy", {"template": template}, changes=told)
        shop.pod("web-1", WEB, {"phase": "Running"}, spec={"nodeName": "n1"})
        return list(nodes.agents(shop.case()))

    def test_an_agent_that_was_kept_from_its_nodes_lately(self) -> None:
        told = changed("spec.template.spec.nodeSelector", "", '{"pool": "mesh"}')
        (found,) = self.agent(Shop(), {"pool": "mesh"}, told)
        assert (found.entity, found.explains) == ("mesh/DaemonSet/proxy", (WEB,))

    def test_one_that_is_meant_for_some_nodes_only_is_let_be(self) -> None:
        assert not self.agent(Shop(), {"gpu": "true"}, ())

    def test_one_whose_new_selector_fits_all_is_let_be(self) -> None:
        shop = Shop()
        shop.put("cluster/Node/n1", labels={"pool": "mesh"})
        told = changed("spec.template.spec.nodeSelector", "", '{"pool": "mesh"}')
        assert not self.agent(shop, {"pool": "mesh"}, told)

    def busy(self, shop: Shop) -> list[str]:
        shop.alarms.append(Alarm("KubeAPIServerSlow", None, ONSET, "critical"))
        api = "kube-system/Pod/kube-apiserver-n0"
        shop.signals.append(Signal(api, "cpu", 0.9, ONSET, "cpu 0.2 -> 1.9", "metrics/x.tsv", "up"))
        return [h.entity for h in nodes.busy_api(shop.case())]

    def test_who_came_right_before_the_api_server_got_busy(self) -> None:
        shop = Shop()
        shop.program("crawler", "batch", appeared=True, first=after(-3))
        assert self.busy(shop) == ["batch/Deployment/crawler"]

    def test_who_was_there_or_came_long_before_is_let_be(self) -> None:
        shop = Shop()
        shop.program("crawler", "batch", appeared=True, first=after(-15))
        assert self.busy(shop) == []

    def test_without_an_alert_about_the_api_nobody_is_asked(self) -> None:
        shop = Shop()
        shop.program("crawler", "batch", appeared=True, first=after(-3))
        assert not list(nodes.busy_api(shop.case()))

    def test_pods_that_cannot_be_set_up_alone_or_together(self) -> None:
        alone, both = Shop(), Shop()
        for shop, names in ((alone, ("web",)), (both, ("web", "store"))):
            for name in names:
                waits = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
                shop.pod(f"{name}-1", f"shop/Deployment/{name}", waits, spec={"nodeName": "n1"})
                shop.event(f"shop/Pod/{name}-1", "FailedCreatePodSandBox", "failed to set up network")
        assert strengths(nodes.sandboxes(alone.case()))[WEB] > 0
        assert set(strengths(nodes.sandboxes(both.case()))) == {"cluster/Node/n1"}


class TestScheduling:
    def test_who_put_out_others_is_named_and_they_are_explained(self) -> None:
        shop = Shop()
        shop.program("grabber")
        grabber = "shop/Deployment/grabber"
        shop.edges.append(Edge(grabber, "shop/Pod/grabber-1", "owns"))
        shop.objects["shop/Pod/grabber-1"] = Thing("shop/Pod/grabber-1", {"metadata": {"uid": "u-1"}})
        shop.event("shop/Pod/store-1", "Preempted", "Preempted by pod u-1 on node n1")
        shop.edges.append(Edge(STORE, "shop/Pod/store-1", "owns"))
        (found,) = scheduling.preempted(shop.case())
        assert (found.entity, found.explains) == (grabber, (STORE,))

    def test_a_program_that_makes_room_for_itself_is_not(self) -> None:
        shop = Shop()
        for name in ("store-1", "store-2"):
            shop.edges.append(Edge(STORE, f"shop/Pod/{name}", "owns"))
        shop.objects["shop/Pod/store-2"] = Thing("shop/Pod/store-2", {"metadata": {"uid": "u-2"}})
        shop.event("shop/Pod/store-1", "Preempted", "Preempted by pod u-2 on node n1")
        assert not list(scheduling.preempted(shop.case()))


class TestReferences:
    def ask(self, told: tuple[Change, ...]) -> Hypothesis:
        shop = Shop()
        shop.put("shop/ConfigMap/conf")
        box = {"name": "main", "env": [{"valueFrom": {"configMapKeyRef": {"name": "conf", "key": "PORT"}}}]}
        shop.program("store", pod={"containers": [box]}, changes=told)
        text = "couldn't find key PORT in ConfigMap shop/conf"
        waits = {"waiting": {"reason": "CreateContainerConfigError", "message": text}}
        shop.pod(
            "store-1", STORE, {"containerStatuses": [{"name": "main", "state": waits}], "phase": "Pending"}
        )
        (found,) = references.missing_keys(shop.case())
        return found

    def test_a_key_that_was_long_asked_for_was_taken_away(self) -> None:
        assert self.ask(()).entity == "shop/ConfigMap/conf"

    def test_a_key_that_is_newly_asked_for_is_the_askers_mistake(self) -> None:
        told = changed("spec.template.spec.containers[0].env[0].valueFrom.configMapKeyRef.key", "P", "PORT")
        assert self.ask(told).entity == STORE

    def test_a_volume_that_cannot_be_mounted(self) -> None:
        shop = Shop(alerted="store")
        shop.event(STORE, "FailedMount", "MountVolume.SetUp failed: permission denied")
        assert [h.entity for h in references.unmounted(shop.case())] == [STORE]
        other = Shop(alerted="store")
        other.event(STORE, "FailedMount", 'configmap "conf" not found')
        assert not list(references.unmounted(other.case())), "that is an absent object"


class TestHanging:
    def prepare(self, minutes: float, **container: Any) -> list[str]:
        shop = Shop()
        waits = {
            "phase": "Pending",
            "initContainerStatuses": [
                {"name": "warm", "state": {"running": {"startedAt": stamp(after(minutes))}}}
            ],
        }
        spec = {"initContainers": [{"name": "warm", **container}]}
        shop.pod("store-1", STORE, waits, spec=spec)
        return [h.entity for h in crashes.hanging(shop.case())]

    def test_a_preparation_that_does_not_end(self) -> None:
        assert self.prepare(-1) == [STORE]

    def test_one_that_has_just_begun_or_is_meant_to_go_on(self) -> None:
        assert self.prepare(14) == []
        assert self.prepare(-1, restartPolicy="Always") == []


class TestAdmission:
    def refused(self, message: str, **objects: dict[str, Any]) -> dict[str, float]:
        shop = Shop(alerted="store")
        for name, spec in objects.items():
            shop.put(f"shop/LimitRange/{name}", spec)
        shop.event(STORE, "FailedCreate", message)
        return strengths(admission.admission(shop.case()))

    def test_a_limit_range_a_webhook_and_neither(self) -> None:
        text = 'pods "x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi'
        assert set(self.refused(text, bounds={})) == {"shop/LimitRange/bounds"}
        assert set(self.refused(text)) == {STORE}, "no limit range is recorded"
        assert set(self.refused('admission webhook "x.y.z" denied the request: no')) == {STORE}

    def test_of_a_workload_that_is_well_it_is_over(self) -> None:
        shop = Shop(alerted="web")
        shop.event(STORE, "FailedCreate", 'admission webhook "x.y.z" denied the request: no')
        assert not list(admission.admission(shop.case()))

    def test_a_claim_that_a_quota_left_no_room_for(self) -> None:
        shop = Shop()
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        shop.program("store", pod={"volumes": [volume]})
        shop.put("shop/ResourceQuota/disk", {"hard": {"requests.storage": "1Gi"}})
        assert set(strengths(admission.storage_quota(shop.case()))) == {"shop/ResourceQuota/disk"}
        shop.put("shop/PersistentVolumeClaim/data")
        assert not list(admission.storage_quota(shop.case()))


class TestComplaints:
    def test_whom_several_cannot_reach(self) -> None:
        shop = Shop()
        shop.says(WEB, "dial tcp: store:80: connection refused")
        (one,) = complaints.unreachable(shop.case())
        shop.program("cron")
        shop.says("shop/Deployment/cron", "store:80: i/o timeout")
        (two,) = complaints.unreachable(shop.case())
        assert (one.entity, two.explains) == (STORE, ("shop/Deployment/cron", WEB))
        assert one.strength < two.strength

    def test_a_program_that_speaks_of_itself_or_of_nobody_known_accuses_nobody(self) -> None:
        shop = Shop()
        shop.says(STORE, "store:80: connection refused")
        shop.says(WEB, "api.example.com:443: connection refused")
        assert not list(complaints.unreachable(shop.case()))

    def test_an_alert_about_service_is_the_symptom_and_one_about_a_resource_may_be_the_cause(self) -> None:
        shop = Shop(alerted="web")
        shop.alarms.append(Alarm("NodeHighCpu", "cluster/Node/n1", ONSET, "warning"))
        found = {h.entity: h for h in complaints.alerted(shop.case())}
        assert (found[WEB].ground, found["cluster/Node/n1"].ground) == (Ground.ODDITY, Ground.ANOMALY)


class TestChoice:
    def named(self, names: tuple[str, ...], *, broken: bool = True) -> list[str]:
        """What is named of programs that were each released with an image that cannot be had."""
        shop = Shop(alerted=names[0])
        told = changed("spec.template.spec.containers[0].image", "x:1", "x:2", -0.5)
        for name in names:
            shop.program(name, changes=told)
            waits = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
            state = waits if broken else {"running": {}}
            phase = "Pending" if broken else "Running"
            statuses = [{"name": "main", "image": "x:2", "state": state}]
            status = {"phase": phase, "containerStatuses": statuses}
            shop.pod(f"{name}-1", f"shop/Deployment/{name}", status)
        return sorted(parts(cause.entity)[2] for cause in conclude(shop.case()).causes)

    def test_all_that_were_changed_and_fail_by_themselves(self) -> None:
        assert self.named(("cart", "mail", "tax")) == ["cart", "mail", "tax"]

    def test_those_that_were_changed_and_run_are_not(self) -> None:
        assert self.named(("cart", "mail", "tax"), broken=False) == ["cart"]


class TestOnset:
    def probed(self, first: float, last: float, made: float) -> datetime | None:
        shop = Shop(alerted="store")
        shop.pod("store-1", STORE, {"phase": "Running"}, made=after(made))
        shop.event("shop/Pod/store-1", "Unhealthy", "probe failed", first=after(first), last=after(last))
        return shop.case().onset

    def test_a_probe_that_fails_while_its_pod_starts_is_none(self) -> None:
        assert self.probed(first=-8, last=-7, made=-8.5) == ONSET

    def test_one_that_fails_from_then_on_is(self) -> None:
        assert self.probed(first=-2, last=10, made=-60) == after(-2)

    def test_one_that_passed_minutes_before_is_none(self) -> None:
        assert self.probed(first=-10, last=-9, made=-60) == ONSET
