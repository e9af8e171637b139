"""Policies that stand in the way: network policies, mesh policies, DNS, autoscalers, disruption budgets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from firedrill.agents.sleuth.case import Body, Case, Thing, listing, mapping, parts
from firedrill.agents.sleuth.families.common import clues, container_ports, fits, kubectl, undo
from firedrill.agents.sleuth.graph import Graph, addresses, service_named, settings
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import time_of

_MESH_LABEL = "istio.io/dataplane-mode"


def _selected(case: Case, policy: Thing, selector: dict[str, object]) -> list[Thing]:
    return [
        thing
        for thing in case.workloads
        if thing.namespace == policy.namespace and fits(selector, thing.pod_labels)
    ]


def network_policies(case: Case) -> Iterator[Hypothesis]:
    """NetworkPolicies that together let nobody, or no port, through to or from the pods that they select."""
    policies = case.all("NetworkPolicy")
    blocked: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for thing in case.workloads:
        for way in ("Ingress", "Egress"):
            mine = [
                policy
                for policy in policies
                if policy.namespace == thing.namespace
                and _governs(policy, way)
                and _picks(policy.spec.get("podSelector"), thing)
            ]
            if mine and not any(_lets_through(case, policy, way, thing) for policy in mine):
                for policy in mine:
                    blocked[policy.id][way].add(thing.id)
    for policy in policies:
        hit = blocked.get(policy.id)
        if not hit:
            continue
        # a policy that covers a whole namespace is usual; one aimed at a single program is not
        aimed = bool(mapping(policy.spec, "podSelector"))
        ways = " and ".join(
            f"{'into' if way == 'Ingress' else 'out of'} {', '.join(sorted(parts(t)[2] for t in things)[:4])}"
            for way, things in sorted(hit.items())
        )
        text = f"it lets nothing {ways}"
        yield Hypothesis(
            policy.id,
            "policies",
            Ground.CONTRADICTION if aimed else Ground.ODDITY,
            text,
            strength=0.9 if aimed else 0.6,
            explains=tuple(sorted(set().union(*hit.values()))),
            time=time_of(mapping(policy.body, "metadata").get("creationTimestamp")),
            evidence=clues(
                policy.clue(f"{text}; created {mapping(policy.body, 'metadata').get('creationTimestamp')}")
            ),
            fix=(kubectl(policy.id, "get", "-o yaml"), kubectl(policy.id, "delete")),
        )


def name_lookups(case: Case) -> Iterator[Hypothesis]:
    """NetworkPolicies that let programs out, yet not to where names are resolved."""
    for thing in case.workloads:
        mine = [
            policy
            for policy in case.all("NetworkPolicy")
            if policy.namespace == thing.namespace
            and _governs(policy, "Egress")
            and _picks(policy.spec.get("podSelector"), thing)
        ]
        rules = [rule for policy in mine for rule in listing(policy.spec, "egress")]
        named = next(
            (v for _, _, v in settings(thing) for host, _ in addresses(v) if _is_name(case, thing, host)), ""
        )
        if not rules or not named or any(_to_resolver(thing, rule) for rule in rules):
            continue
        for policy in mine:
            made = mapping(policy.body, "metadata").get("creationTimestamp")
            yield Hypothesis(
                policy.id,
                "policies",
                Ground.CONTRADICTION,
                f"it does not let {thing.name} resolve names, which {named[:80]} asks for",
                strength=1.0,
                explains=(thing.id,),
                time=time_of(made),
                evidence=clues(policy.clue(f"no egress to port 53 outside; created {made}")),
                fix=(kubectl(policy.id, "edit"), kubectl(policy.id, "delete")),
            )


def _is_name(case: Case, thing: Thing, host: str) -> bool:
    return service_named(case, thing.namespace, host) is not None


def _to_resolver(thing: Thing, rule: Body) -> bool:
    """Whether a rule for what goes out admits questions to a resolver in another namespace."""
    ports = listing(rule, "ports")
    if ports and not any(
        port.get("port") in (None, 53, "dns") and port.get("protocol", "TCP") == "UDP" for port in ports
    ):
        return False
    peers = rule.get("to")
    if not peers or thing.namespace == "kube-system":
        return True
    return any("ipBlock" in peer or "namespaceSelector" in peer for peer in listing(rule, "to"))


def _governs(policy: Thing, way: str) -> bool:
    kinds = policy.spec.get("policyTypes")
    if isinstance(kinds, list):
        return way in kinds
    return way == "Ingress" or "egress" in policy.spec


def _picks(selector: object, thing: Thing) -> bool:
    """Whether a label selector fits the pods of a workload; the operators that exist are all known."""
    if not fits(mapping(selector, "matchLabels"), thing.pod_labels):
        return False
    for rule in listing(selector, "matchExpressions"):
        value, values = thing.pod_labels.get(str(rule.get("key"))), rule.get("values")
        known = values if isinstance(values, list) else []
        operator = rule.get("operator")
        bad = {
            "In": value not in known,
            "NotIn": value in known,
            "Exists": value is None,
            "DoesNotExist": value is not None,
        }.get(str(operator), False)
        if bad:
            return False
    return True


def _lets_through(case: Case, policy: Thing, way: str, thing: Thing) -> bool:
    """Whether some rule of the policy admits anybody on some port that matters."""
    peers_key = "from" if way == "Ingress" else "to"
    for rule in listing(policy.spec, way.lower()):
        ports = listing(rule, "ports")
        if rule.get("ports") == []:
            continue
        if way == "Ingress" and ports and not _serves(thing, ports):
            continue
        peers = rule.get(peers_key)
        if not peers or any(_somebody(case, policy, peer) for peer in listing(rule, peers_key)):
            return True
    return False


def _serves(thing: Thing, ports: list[Body]) -> bool:
    declared = container_ports(thing)
    wanted = [port.get("port") for port in ports]
    return not declared or any(port is None or isinstance(port, str) or port in declared for port in wanted)


def _somebody(case: Case, policy: Thing, peer: Body) -> bool:
    if "ipBlock" in peer or "namespaceSelector" in peer:
        return True
    return any(
        thing.namespace == policy.namespace and _picks(peer.get("podSelector"), thing)
        for thing in case.workloads
    )


def mesh_policies(case: Case) -> Iterator[Hypothesis]:
    """A mesh policy that denies, or insists on what its callers do not speak."""
    for policy in case.all("AuthorizationPolicy"):
        if policy.spec.get("action") == "DENY" or (
            policy.spec.get("action") in (None, "ALLOW") and not policy.spec.get("rules")
        ):
            selector = dict(mapping(policy.spec, "selector", "matchLabels"))
            yield Hypothesis(
                policy.id,
                "policies",
                Ground.CONTRADICTION,
                f"it denies requests: {listing(policy.spec, 'rules')!s:.160}",
                strength=0.9,
                explains=tuple(t.id for t in _selected(case, policy, selector)) if selector else (),
                evidence=clues(policy.clue("action DENY, or nothing allowed")),
                fix=(kubectl(policy.id, "delete"),),
            )
    yield from _strangers(case)
    for policy in case.all("PeerAuthentication"):
        outside = [
            thing
            for thing in case.workloads
            if thing.namespace == policy.namespace
            and (
                thing.pod_labels.get("istio.io/dataplane-mode") == "none"
                or thing.pod_labels.get("sidecar.istio.io/inject") == "false"
            )
        ]
        if mapping(policy.spec, "mtls").get("mode") == "STRICT":
            yield Hypothesis(
                policy.id,
                "policies",
                Ground.CONTRADICTION if outside else Ground.ODDITY,
                "it demands mutual TLS"
                + (f", which {outside[0].name} outside the mesh cannot speak" if outside else ""),
                strength=0.9 if outside else 0.5,
                explains=tuple(thing.id for thing in outside),
                evidence=clues(policy.clue("mtls mode STRICT")),
                fix=(kubectl(policy.id, "delete"),),
            )
    yield from _left_mesh(case)


def _left_mesh(case: Case) -> Iterator[Hypothesis]:
    """A namespace that is taken out of the mesh by its label, or lost the one that took it in."""
    for space in case.all("Namespace"):
        told = [change for change in space.changes if _MESH_LABEL in change.path]
        out = space.labels.get(_MESH_LABEL) == "none"
        if not out and not (told and not told[-1].after):
            continue
        yield Hypothesis(
            space.id,
            "policies",
            Ground.CONTRADICTION,
            f"it is taken out of the mesh by its label{'; it was in it before' if told else ''}",
            strength=0.9,
            time=told[-1].time if told else None,
            explains=tuple(thing.id for thing in case.workloads if thing.namespace == space.name),
            evidence=clues(space.clue(f"{_MESH_LABEL}: {space.labels.get(_MESH_LABEL) or '(nothing)'}")),
            fix=(f"kubectl label namespace {space.name} {_MESH_LABEL}=ambient --overwrite",),
        )


def _strangers(case: Case) -> Iterator[Hypothesis]:
    """Policies that allow some callers, of which none is one that calls."""
    graph = Graph(case)
    for thing in case.workloads:
        allowing = [
            policy
            for policy in case.all("AuthorizationPolicy")
            if policy.namespace == thing.namespace
            and policy.spec.get("action") in (None, "ALLOW")
            and mapping(policy.spec, "selector", "matchLabels")
            and fits(mapping(policy.spec, "selector", "matchLabels"), thing.pod_labels)
        ]
        callers = _callers(case, graph, thing)
        rules = [rule for policy in allowing for rule in listing(policy.spec, "rules")]
        barred = [c for c in callers if not any(_admits(rule, c, thing) for rule in rules)]
        if not rules or not barred:
            continue
        for policy in allowing:
            yield Hypothesis(
                policy.id,
                "policies",
                Ground.CONTRADICTION,
                f"{parts(barred[0].id)[2]} calls {thing.name}, and is not among those that it allows",
                strength=0.95 if len(barred) == len(callers) else 0.7,
                explains=(thing.id,),
                time=time_of(mapping(policy.body, "metadata").get("creationTimestamp")),
                evidence=clues(policy.clue(f"rules {listing(policy.spec, 'rules')!s:.200}")),
                fix=(kubectl(policy.id, "edit"),),
            )


def _callers(case: Case, graph: Graph, thing: Thing) -> list[Thing]:
    """The workloads that call one, themselves or through its Services."""
    fronts = (thing.id, *case.service_of.get(thing.id, ()))
    found = {
        case.top(victim)
        for front in fronts
        for victim, how in graph.edges.get(front, {}).items()
        if how == "calls it"
    }
    # meshes name a caller by its Service
    found |= {top for top, own in case.service_of.items() if found.intersection(own)}
    return [item for item in case.workloads if item.id in found and item.id != thing.id]


def _admits(rule: Body, caller: Thing, thing: Thing) -> bool:
    """Whether the sources of a rule may mean that caller; what is not understood may."""
    sources = [mapping(item, "source") for item in listing(rule, "from")]
    if not sources:
        return True
    account = caller.pod_spec.get("serviceAccountName") or "default"
    spiffe = f"cluster.local/ns/{caller.namespace}/sa/{account}"
    for source in sources:
        known = {
            "namespaces": caller.namespace,
            "principals": spiffe,
            "serviceAccounts": f"{caller.namespace}/{account}",
        }
        if all(
            key not in known or not isinstance(values, list) or any(_like(v, known[key]) for v in values)
            for key, values in source.items()
        ):
            return True
    return False


def _like(pattern: object, text: str) -> bool:
    pattern = str(pattern)
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    return text == pattern or text.endswith(f"/{pattern}")


def name_resolution(case: Case) -> Iterator[Hypothesis]:
    """Pods that look up Services by name while their DNS policy asks the node's resolver."""
    for thing in case.workloads:
        policy = thing.pod_spec.get("dnsPolicy")
        own = mapping(thing.pod_spec, "dnsConfig")
        outward = policy == "Default" or (policy == "None" and not own.get("nameservers"))
        # without search domains only whole names are resolved
        short = policy == "None" and not own.get("searches")
        if not outward and not short:
            continue
        named = [
            value
            for _, _, value in settings(thing)
            for host, _ in addresses(value)
            if (outward or ".svc." not in host) and service_named(case, thing.namespace, host)
        ]
        changed = any("dnsPolicy" in change.path or "dnsConfig" in change.path for change in thing.changes)
        if named or changed:
            yield Hypothesis(
                thing.id,
                "policies",
                Ground.CONTRADICTION,
                f"dnsPolicy {policy} does not resolve {'' if outward else 'short '}names of Services"
                + (f", such as {named[0]}" if named else ""),
                evidence=clues(thing.clue(f"dnsPolicy {policy}")),
                fix=(undo(thing.id),),
            )


def autoscalers(case: Case) -> Iterator[Hypothesis]:
    """An autoscaler that sits at its limit, cannot read its metrics, or has no target."""
    for scaler in case.all("HorizontalPodAutoscaler"):
        top, now = scaler.spec.get("maxReplicas"), scaler.status.get("currentReplicas")
        target = mapping(scaler.spec, "scaleTargetRef")
        aim = case.get(str(target.get("kind")), scaler.namespace, target.get("name"))
        problems = [
            f"{item.get('type')}: {item.get('message')}"
            for item in listing(scaler.status, "conditions")
            if (item.get("type") in ("AbleToScale", "ScalingActive") and item.get("status") == "False")
        ]
        limited = any(
            item.get("type") == "ScalingLimited"
            and item.get("reason") == "TooManyReplicas"
            and item.get("status") == "True"
            for item in listing(scaler.status, "conditions")
        )
        full = limited or (isinstance(top, int) and isinstance(now, int) and now >= top > 1)
        low = [
            mapping(item, "resource", "target").get("averageUtilization")
            for item in listing(scaler.spec, "metrics")
        ]
        greedy = [value for value in low if isinstance(value, int) and value <= 35]
        if full or problems or greedy:
            text = "; ".join(
                [
                    *problems,
                    *([f"it is at its limit of {top}"] if full else []),
                    *([f"it aims at {greedy[0]} % use, which normal load exceeds"] if greedy else []),
                ]
            )
            yield Hypothesis(
                scaler.id,
                "autoscalers",
                Ground.FAILURE if full else Ground.ODDITY,
                text,
                strength=0.9 if limited or (full and greedy) else 0.5,
                explains=(aim.id,) if aim else (),
                evidence=clues(scaler.clue(text)),
                fix=(kubectl(scaler.id, "edit"),),
            )
