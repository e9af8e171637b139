"""A mesh as the traffic feels it: whose connections go through it, and what its proxies make of them.

An ambient mesh: a proxy on each node (a DaemonSet of `ztunnel`) takes the connections of the pods that
take part, shows who they are, and checks who may reach them. Gateways and waypoints are proxies in pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.mesh.policy import Asked, Denial, decide, mode_of
from firedrill.world.mesh.routing import Rule, find_rule, listener_ports

MODE_LABEL: Final = "istio.io/dataplane-mode"
WAYPOINT_LABEL: Final = "istio.io/use-waypoint"
GATEWAY_LABEL: Final = "gateway.networking.k8s.io/gateway-name"
_STRICT = "istio_converted_static_strict"


class Verdict(NamedTuple):
    """What becomes of a connection or request.

    Attributes:
        result: `ok`; `refused` (no proxy on a node), `reset` (the proxy in front of the callee ends it),
            `denied` (a proxy that sees requests answers 403), `unrouted` (a gateway answers 404).
        why: as the proxy notes it; empty where all is well.
    """

    result: str
    why: str = ""


OK: Final = Verdict("ok")


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A mesh at a moment.

    Attributes:
        root: its own namespace; empty where there is no mesh.
        nodes: whose proxy works.
        strangers: uids of pods that its proxies have not been told of.
        namespaces: labels by name.
        authorizations, authentications, routes: the objects, as proxies were told of them last.
        gateways: by namespace and name, likewise.
        waypoints: (namespace, name) of those whose proxies are ready.
        trust: domain of identities.
    """

    root: str = ""
    nodes: frozenset[str] = frozenset()
    strangers: frozenset[str] = frozenset()
    namespaces: Mapping[str, Mapping[str, str]] | None = None
    authorizations: tuple[Obj, ...] = ()
    authentications: tuple[Obj, ...] = ()
    routes: tuple[Obj, ...] = ()
    gateways: Mapping[tuple[str, str], Obj] | None = None
    waypoints: frozenset[tuple[str, str]] = frozenset()
    services: Mapping[tuple[str, str], Mapping[str, str]] | None = None
    trust: str = "cluster.local"

    def gateway_of(self, pod: Obj) -> Obj | None:
        """The Gateway whose proxy a pod is."""
        if not self.gateways:
            return None
        space, labels = namespace_of(pod), labels_of(pod)
        name = labels.get(GATEWAY_LABEL)
        return self.gateways.get((space, name)) if name else None

    def captured(self, pod: Obj) -> bool:
        """Whether a node's proxy takes the connections of a pod."""
        if not self.root or dig(pod, "spec", "hostNetwork"):
            return False
        own = labels_of(pod).get(MODE_LABEL)
        space = (self.namespaces or {}).get(namespace_of(pod)) or {}
        wanted = own if own is not None else space.get(MODE_LABEL)
        return wanted == "ambient" and GATEWAY_LABEL not in labels_of(pod)

    def identity(self, pod: Obj) -> str:
        """The identity that a pod can show: empty outside of the mesh."""
        if not self.root or not (self.captured(pod) or self.gateway_of(pod) is not None):
            return ""
        account = str(dig(pod, "spec", "serviceAccountName", default="default"))
        return f"{self.trust}/ns/{namespace_of(pod)}/sa/{account}"

    def secured(self, source: Obj, target: Obj) -> bool:
        """Whether what passes between two pods is encrypted, and the callee knows who calls."""
        return bool(self.identity(source)) and self.captured(target)

    def check(self, source: Obj, target: Obj, asked: Asked, service: tuple[str, str] = ("", "")) -> Verdict:
        """What becomes of a request from one pod to another.

        Args:
            source, target: the pods.
            asked: the request; its principal is filled in here.
            service: (namespace, name) of the Service on the way.
        """
        if not self.root:
            return OK
        out, into = self.captured(source), self.captured(target)
        for pod, taken in ((source, out), (target, into)):
            node = str(dig(pod, "spec", "nodeName", default=""))
            if taken and node not in self.nodes:
                return Verdict("refused", f"no proxy on node {node}")
            if taken and str(dig(pod, "metadata", "uid", default="")) in self.strangers:
                return Verdict("reset", f"unknown workload {dig(pod, 'status', 'podIP', default='')}")
        gateway = self.gateway_of(target)
        if gateway is not None:
            return self._at_gateway(source, target, gateway, asked)
        if not into:
            return OK
        asked = asked._replace(principal=self.identity(source))
        waypoint = self._waypoint(target, service) if out else None
        if waypoint is not None:
            return self._at_waypoint(waypoint, target, asked, service)
        return self._at_node(source, target, asked)

    def _at_node(self, source: Obj, target: Obj, asked: Asked) -> Verdict:
        space, labels = namespace_of(target), labels_of(target)
        mode = mode_of(self.authentications, self.root, space, labels, asked.port)
        if not self.secured(source, target) and mode == "STRICT":
            text = f"explicitly denied by: {self.root}/{_STRICT}"
            return Verdict("reset", f"connection closed due to policy rejection: {text}")
        connection = asked._replace(host="", method="", path="")
        denial = decide(self._selecting(space, labels), connection, requests=False)
        if denial is None:
            return OK
        none = "allow policies exist, but none allowed"
        text = f"explicitly denied by: {denial.policy}" if denial.policy else none
        return Verdict("reset", f"connection closed due to policy rejection: {text}")

    def _at_gateway(self, source: Obj, target: Obj, gateway: Obj, asked: Asked) -> Verdict:
        ports = listener_ports(gateway)
        if ports and asked.port not in ports:
            return Verdict("refused", f"the gateway does not listen on {asked.port}")
        space, labels = namespace_of(target), labels_of(target)
        policies = [*self._selecting(space, labels), *self._targeting("Gateway", space, name_of(gateway))]
        denial = decide(policies, asked._replace(principal=""), requests=True)
        if denial is not None:
            return Verdict("denied", matched(denial))
        if self.rule_for(target, asked) is None:
            return Verdict("unrouted", "route_not_found")
        return OK

    def _at_waypoint(
        self, waypoint: tuple[str, str], target: Obj, asked: Asked, service: tuple[str, str]
    ) -> Verdict:
        if waypoint not in self.waypoints:
            return Verdict("reset", f"no healthy waypoint {waypoint[0]}/{waypoint[1]}")
        policies = [
            *self._targeting("Gateway", *waypoint),
            *self._targeting("Service", *service),
        ]
        denial = decide(policies, asked, requests=True)
        return OK if denial is None else Verdict("denied", matched(denial))

    def _waypoint(self, target: Obj, service: tuple[str, str]) -> tuple[str, str] | None:
        space = namespace_of(target)
        labels = (self.services or {}).get(service) or {}
        name = labels.get(WAYPOINT_LABEL) or ((self.namespaces or {}).get(space) or {}).get(WAYPOINT_LABEL)
        if not name or name == "none" or (space, name) not in (self.gateways or {}):
            return None
        return space, name

    def rule_for(self, pod: Obj, asked: Asked) -> Rule | None:
        """The rule by which the gateway in a pod sends a request on."""
        gateway = self.gateway_of(pod)
        if gateway is None:
            return None
        ports = listener_ports(gateway)
        port = asked.port if asked.port in ports else 0
        return find_rule(
            gateway, self.routes, port=port, host=asked.host, method=asked.method, path=asked.path
        )

    def _selecting(self, namespace: str, labels: Mapping[str, str]) -> list[Obj]:
        """The policies that select a workload by its labels."""
        out = []
        for policy in self.authorizations:
            if dig(policy, "spec", "targetRefs") or dig(policy, "spec", "targetRef"):
                continue
            wanted = dig(policy, "spec", "selector", "matchLabels", default=None) or {}
            here = namespace_of(policy) in (namespace, self.root)
            if here and all(labels.get(key) == value for key, value in wanted.items()):
                out.append(policy)
        return out

    def _targeting(self, kind: str, namespace: str, name: str) -> list[Obj]:
        """The policies that name an object in `targetRefs`."""
        out = []
        for policy in self.authorizations:
            one = dig(policy, "spec", "targetRef")
            references = dig(policy, "spec", "targetRefs", default=None) or ([one] if one else [])
            for item in references:
                space = item.get("namespace") or namespace_of(policy)
                if (item.get("kind"), space, item.get("name")) == (kind, namespace, name):
                    out.append(policy)
                    break
        return out


def matched(denial: Denial) -> str:
    """A denial as proxies note it behind the status of a request."""
    if not denial.policy:
        return "rbac_access_denied_matched_policy[none]"
    space, _, name = denial.policy.partition("/")
    return f"rbac_access_denied_matched_policy[ns[{space}]-policy[{name}]-rule[{denial.rule}]]"
