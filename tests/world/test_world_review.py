"""What a review of a served world against a real cluster's words brought to light."""

from __future__ import annotations

import json
from typing import Any

import pytest

from firedrill.world import Settings, World
from firedrill.world.kube import audit, cel, selectors
from firedrill.world.kube.api import ApiError, handle
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import Request, User
from firedrill.world.kube.kinds import default_kinds
from firedrill.world.kube.schema import decode, default, schema_for, validate

POD: dict[str, Any] = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}


def problems(api: str, name: str, old: dict[str, Any] | None = None, **body: Any) -> list[str]:
    """The broken rules of an object, as a real server words them."""
    group, _, version = api.rpartition("/")
    kind = default_kinds().by_gvk(group, version, name)
    assert kind is not None

    def full(fields: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": "x", "resourceVersion": "1", **({"namespace": "shop"} if kind.namespaced else {})}
        obj = {"apiVersion": api, "kind": name, "metadata": meta, **fields}
        return default(kind, decode(schema_for(kind), obj).obj)

    return [str(item) for item in validate(kind, full(body), None if old is None else full(old))]


def job(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": POD}, **spec}}


def cron(schedule: str = "* * * * *", **spec: Any) -> dict[str, Any]:
    return {"spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": POD}}}, **spec}}


def hook(**fields: Any) -> dict[str, Any]:
    return {
        "webhooks": [
            {
                "name": "a.b.c",
                "clientConfig": {"service": {"name": "s", "namespace": "n"}},
                "rules": [
                    {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
                ],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                **fields,
            }
        ]
    }


WEBHOOK = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
BINDING = ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding")
CSR = ("certificates.k8s.io/v1", "CertificateSigningRequest")
CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("batch/v1", "CronJob", cron(timeZone="Foo/Bar"), "unknown time zone Foo/Bar"),
    ("batch/v1", "CronJob", cron(timeZone="../etc/passwd"), "unknown time zone ../etc/passwd"),
    ("batch/v1", "CronJob", cron(timeZone=""), "timeZone must be nil or non-empty string"),
    ("batch/v1", "CronJob", cron("TZ=UTC * * * * *"), "cannot use TZ or CRON_TZ in schedule, use timeZone"),
    ("batch/v1", "Job", job(completionMode="Indexed", parallelism=2), "when completion mode is Indexed"),
    ("batch/v1", "Job", job(maxFailedIndexes=1), "when maxFailedIndexes is specified"),
    ("batch/v1", "Job", job(completionMode="X"), 'supported values: "NonIndexed", "Indexed"'),
    (
        "batch/v1",
        "Job",
        job(podFailurePolicy={"rules": [{"action": "FailIndex"}]}),
        "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is",
    ),
    (
        "batch/v1",
        "Job",
        job(
            podFailurePolicy={
                "rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [2, 1]}}]
            }
        ),
        "values: Invalid value: []int32{2, 1}: must be ordered",
    ),
    (
        "policy/v1",
        "PodDisruptionBudget",
        {"spec": {"selector": {}, "minAvailable": 1, "maxUnavailable": 1}},
        "minAvailable and maxUnavailable cannot be both set",
    ),
    (
        "policy/v1",
        "PodDisruptionBudget",
        {"spec": {"selector": {}, "unhealthyPodEvictionPolicy": "Foo"}},
        'Unsupported value: "Foo": supported values: "AlwaysAllow", "IfHealthyBudget"',
    ),
    (
        "networking.k8s.io/v1",
        "Ingress",
        {
            "spec": {
                "ingressClassName": "A B",
                "defaultBackend": {"service": {"name": "s", "port": {"number": 1}}},
            }
        },
        'spec.ingressClassName: Invalid value: "A B": a lowercase RFC 1123 subdomain',
    ),
    (
        "v1",
        "Pod",
        {"spec": {**POD, "dnsPolicy": "None"}},
        "must provide `dnsConfig` when `dnsPolicy` is None",
    ),
    (
        "v1",
        "Pod",
        {"spec": {**POD, "hostAliases": [{"ip": "1.2.3", "hostnames": ["a"]}]}},
        'spec.hostAliases[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or',
    ),
    (
        "v1",
        "Pod",
        {
            "spec": {
                "containers": [
                    {
                        "name": "a",
                        "image": "b",
                        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.foo"}}}],
                    }
                ]
            }
        },
        'Invalid value: "metadata.foo": error converting fieldPath: field label not supported: metadata.foo',
    ),
    (*WEBHOOK, hook(name="foo"), "should be a domain with at least three segments separated by dots"),
    (*WEBHOOK, hook(clientConfig={}), "exactly one of url or service is required"),
    (*WEBHOOK, hook(clientConfig={"url": "http://x"}), "'https' is the only allowed URL scheme; desired"),
    (*WEBHOOK, hook(sideEffects="Some"), 'supported values: "None", "NoneOnDryRun"'),
    (*WEBHOOK, hook(timeoutSeconds=99), "the timeout value must be between 1 and 30 seconds"),
    (*WEBHOOK, hook(admissionReviewVersions=["v9"]), "must include at least one of v1, v1beta1"),
    (*BINDING, {"spec": {"policyName": "p"}}, "spec.validationActions: Required value"),
    (
        *BINDING,
        {"spec": {"policyName": "p", "validationActions": ["Deny", "Warn"]}},
        "must not contain both Deny and Warn",
    ),
    ("coordination.k8s.io/v1", "Lease", {"spec": {"leaseDurationSeconds": 0}}, "must be greater than 0"),
    (*CSR, {"spec": {"request": "Zm9v", "signerName": "a/b"}}, "spec.usages: Required value"),
    (*CSR, {"spec": {"request": "Zm9v"}}, "[]byte{0x66, 0x6f, 0x6f}: PEM block type must be CERTIFICATE REQ"),
    ("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "a"}}, "must be a domain-prefixed path"),
    ("node.k8s.io/v1", "RuntimeClass", {"handler": "A B"}, "handler: Invalid value"),
]


@pytest.mark.parametrize(("api", "name", "body", "words"), CASES)
def test_a_hostile_manifest_is_refused_in_the_words_of_a_real_server(
    api: str, name: str, body: dict[str, Any], words: str
) -> None:
    found = problems(api, name, **body)
    assert any(words in item for item in found), found


def test_what_a_real_server_takes_is_taken() -> None:
    assert problems(*WEBHOOK, **hook()) == []
    assert problems("batch/v1", "CronJob", **cron(timeZone="Europe/Berlin")) == []
    assert problems(*BINDING, spec={"policyName": "p", "validationActions": ["Deny", "Audit"]}) == []


def test_a_cron_job_keeps_the_schedule_that_it_had() -> None:
    kept = cron("TZ=UTC * * * * *")
    assert problems("batch/v1", "CronJob", old=kept, **kept) == []


def test_a_suspended_job_may_move_and_not_change_its_work() -> None:
    held = job(suspend=True)
    moved = job(suspend=True, template={"spec": {**POD, "nodeSelector": {"a": "b"}}})
    changed = job(suspend=True, template={"spec": {**POD, "containers": [{"name": "a", "image": "c"}]}})
    assert problems("batch/v1", "Job", old=held, **moved) == []
    assert any("field is immutable" in item for item in problems("batch/v1", "Job", old=held, **changed))


LEVELS = (("enforce", "baseline"), ("audit", "restricted"))


def lab() -> tuple[World, Client]:
    world = World(1, settings=Settings(freeze=True))
    admin = Client(world, User("ann", ("system:masters",)))
    for name in ("default", "shop"):
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = {"name": "default", "namespace": name}
        admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    return world, admin


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**POD, **spec}}


def last_notes(world: World) -> dict[str, str]:
    return dict(list(audit.events(world))[-1]["annotations"])


def policy(**spec: Any) -> dict[str, Any]:
    rules = [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p.example.com"},
        "spec": {"matchConstraints": {"resourceRules": rules}, **spec},
    }


def bound(*actions: str) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "b"},
        "spec": {"policyName": "p.example.com", "validationActions": list(actions)},
    }


def test_the_audit_tells_what_pod_security_thinks() -> None:
    world, admin = lab()
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in LEVELS}
    admin.patch("namespaces", "", "shop", {"metadata": {"labels": labels}})
    admin.create(pod())
    notes = last_notes(world)
    assert notes["pod-security.kubernetes.io/enforce-policy"] == "baseline:latest"
    told = notes["pod-security.kubernetes.io/audit-violations"]
    assert told.startswith('would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false')
    assert notes["authorization.k8s.io/decision"] == "allow"


def test_the_audit_tells_what_policies_say() -> None:
    world, admin = lab()
    value = "'image ' + object.spec.containers[0].image"
    admin.create(
        policy(
            validations=[{"expression": "true"}, {"expression": "false", "message": "never"}],
            auditAnnotations=[{"key": "image", "valueExpression": value}],
        )
    )
    admin.create(bound("Audit"))
    admin.create(pod())
    notes = last_notes(world)
    failure = json.loads(notes["validation.policy.admission.k8s.io/validation_failure"])
    assert failure == [
        {
            "message": "never",
            "policy": "p.example.com",
            "binding": "b",
            "expressionIndex": 1,
            "validationActions": ["Audit"],
        }
    ]
    assert notes["p.example.com/image"] == "image b"


def test_the_audit_tells_a_refusal_by_roles_from_one_by_admission() -> None:
    world, admin = lab()
    admin.create(policy(validations=[{"expression": "false", "reason": "Forbidden"}]))
    admin.create(bound("Deny"))
    with pytest.raises(ApiError, match="denied request: failed expression: false"):
        admin.create(pod())
    assert last_notes(world)["authorization.k8s.io/decision"] == "allow"
    with pytest.raises(ApiError, match="cannot create"):
        Client(world, User("bob", ())).create(pod())
    assert last_notes(world)["authorization.k8s.io/decision"] == "forbid"


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ({"url": "https://guard.example.com/x"}, "lookup guard.example.com on 10.0.0.1:53: no such host"),
        ({"url": "https://192.0.2.1/x"}, '?timeout=10s": context deadline exceeded'),
        ({"service": {"name": "s", "namespace": "shop"}}, 'service "s" not found'),
        ({"service": {"name": "web", "namespace": "shop"}}, 'no service port 443 found for service "web"'),
    ],
)
def test_a_webhook_out_of_reach_fails_what_it_must_answer(client: dict[str, Any], words: str) -> None:
    world, admin = lab()
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}
    admin.create({**service, "spec": {"ports": [{"port": 80}]}})
    head = {"apiVersion": WEBHOOK[0], "kind": WEBHOOK[1], "metadata": {"name": "w"}}
    made = admin.create({**head, **hook(clientConfig=client)})
    with pytest.raises(ApiError) as caught:
        admin.create(pod())
    assert caught.value.code == 500
    assert 'failed calling webhook "a.b.c": failed to call webhook: Post "https://' in caught.value.message
    assert words in caught.value.message
    admin.update({**made, **hook(clientConfig=client, failurePolicy="Ignore")})
    admin.create(pod())
    key = "failed-open.validating.webhook.admission.k8s.io/round_0_index_0"
    assert last_notes(world)[key] == "a.b.c"


def test_a_webhook_is_asked_only_where_its_conditions_hold() -> None:
    _, admin = lab()
    conditions = [{"name": "c", "expression": "object.metadata.name != 'free'"}]
    head = {"apiVersion": WEBHOOK[0], "kind": WEBHOOK[1], "metadata": {"name": "w"}}
    admin.create({**head, **hook(matchConditions=conditions)})
    admin.create(pod("free"))
    with pytest.raises(ApiError, match="failed calling webhook"):
        admin.create(pod("held"))


@pytest.mark.parametrize(
    ("patch_type", "body", "words"),
    [
        (
            "strategic",
            {"spec": {"replicas": "x"}},
            'patch: Invalid value: "map[spec:map[replicas:x]]": unrecognized type: int32',
        ),
        (
            "strategic",
            {"spec": {"paused": "x"}},
            'patch: Invalid value: "map[spec:map[paused:x]]": unrecognized type: bool',
        ),
        (
            "strategic",
            {"metadata": {"labels": {"a": 1}}},
            'patch: Invalid value: "map[metadata:map[labels:map[a:1]]]": cannot convert int64 to string',
        ),
        (
            "merge",
            {"spec": {"replicas": "x"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    ],
)
def test_a_patch_that_leaves_no_object_is_refused_as_a_patch(patch_type: Any, body: Any, words: str) -> None:
    _, admin = lab()
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    meta = {"name": "d", "namespace": "shop"}
    admin.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    with pytest.raises(ApiError) as caught:
        admin.patch("deployments.apps", "shop", "d", body, patch_type=patch_type)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert words in caught.value.message


def test_an_eviction_names_the_pod_of_its_path() -> None:
    world, admin = lab()
    admin.create(pod())
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "q", "namespace": "shop"}}
    request = Request(
        "create", "", "v1", "pods", "shop", "p", "eviction", body, user=User("ann", ("system:masters",))
    )
    with pytest.raises(ApiError, match="name in URL does not match name in Eviction object"):
        handle(world, request)


@pytest.mark.parametrize(
    "expression",
    [
        "s.replace('a', s).size() > 0",
        "s.split('').map(x, s.split('').size()).size() > 0",
        "s.split('').join(s).size() > 0",
    ],
)
def test_what_an_expression_makes_of_long_texts_is_bounded(expression: str) -> None:
    with pytest.raises(cel.CelError, match="cost limit exceeded"):
        cel.compile(expression).evaluate({"s": "a" * 30_000})
    assert cel.compile(expression).evaluate({"s": "a" * 30}) is True


def test_patterns_of_expressions_take_linear_time() -> None:
    assert cel.compile("s.find('a*a*a*a*a*b')").evaluate({"s": "a" * 20_000}) == ""
    assert cel.compile("s.find('(a+)+b')").evaluate({"s": "a" * 5_000 + "b"}) == "a" * 5_000 + "b"
    with pytest.raises(cel.CelError, match="error parsing regexp"):
        cel.compile("s.find('(')").evaluate({"s": "a"})


LABEL_VALUE = "a valid label must be an empty string or consist of alphanumeric characters"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a=,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a==(", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of'),
        ("a=b/c", f'unable to parse requirement: values[0][a]: Invalid value: "b/c": {LABEL_VALUE}'),
        ("a>b", "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"),
    ],
)
def test_a_selector_that_cannot_be_read_is_refused_in_the_words_of_a_real_server(
    text: str, words: str
) -> None:
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ()),
        (" a , !b,c!=d ", (("a", "exists", ()), ("b", "!", ()), ("c", "notin", ("d",)))),
        ("in in (in,notin)", (("in", "in", ("in", "notin")),)),
        ("x.io/a notin ()", (("x.io/a", "notin", ("",)),)),
        ("a in (b,,c)", (("a", "in", ("", "b", "c")),)),
        ("a=,b>3", (("a", "in", ("",)), ("b", "gt", ("3",)))),
    ],
)
def test_a_selector_is_read(text: str, wanted: tuple[selectors.Requirement, ...]) -> None:
    assert selectors.parse(text) == wanted


@pytest.mark.parametrize(
    "text", ["a" * 100_000 + "!", "a in (" + "b," * 50_000, "(" * 100_000, "!=" * 50_000]
)
def test_a_long_selector_is_refused_soon(text: str) -> None:
    with pytest.raises(selectors.SelectorError):
        selectors.parse(text)


def test_a_binding_to_a_role_that_is_not_there_tells_so() -> None:
    world = World()
    master = Client(world, User("root", ("system:masters",)))
    master.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    rbac_group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [rbac_group], "resources": ["rolebindings"], "verbs": ["create"]}
    role = {
        "apiVersion": f"{rbac_group}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "binder"},
        "rules": [rule],
    }
    master.create(role)

    def binding(name: str, kind: str, to: str, user: str) -> dict[str, Any]:
        return {
            "apiVersion": f"{rbac_group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "shop"},
            "roleRef": {"apiGroup": rbac_group, "kind": kind, "name": to},
            "subjects": [{"kind": "User", "name": user, "apiGroup": rbac_group}],
        }

    master.create(binding("a", "ClusterRole", "binder", "ann"))
    ann = Client(world, User("ann"))
    ann.create(binding("b", "ClusterRole", "binder", "bob"))
    for kind in ("ClusterRole", "Role"):
        with pytest.raises(ApiError) as caught:
            ann.create(binding("c", kind, "ghost", "bob"))
        assert caught.value.code == 404
        assert caught.value.message == f'{kind.lower()}s.{rbac_group} "ghost" not found'
    master.create(binding("c", "ClusterRole", "ghost", "bob"))


SUBSET: dict[str, Any] = {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}
SLICE: dict[str, Any] = {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}


def daemon(**rolling: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": POD["containers"]}}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, "updateStrategy": strategy}
    }


def taints(*items: dict[str, str]) -> dict[str, Any]:
    return {"spec": {"taints": list(items)}}


def definition(pattern: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    given = {"plural": "xs", "singular": "x", "kind": "X", "listKind": "XList"}
    return {"spec": {"group": "x.io", "scope": "Namespaced", "names": given, "versions": [version]}}


CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
MORE_RULES: list[tuple[str, str, dict[str, Any], str]] = [
    ("v1", "Endpoints", {"subsets": [{}]}, "subsets[0]: Required value: must specify `addresses` or"),
    (
        "v1",
        "Endpoints",
        {"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]},
        "may not be in the loopback range (127.0.0.0/8, ::1/128)",
    ),
    ("v1", "Endpoints", {"subsets": [{**SUBSET, "ports": [{"port": 0}]}]}, "must be between 1 and 65535"),
    (
        "v1",
        "Endpoints",
        {"subsets": [{**SUBSET, "ports": [{"port": 1}, {"port": 2, "name": "b"}]}]},
        "subsets[0].ports[0].name: Required value",
    ),
    ("discovery.k8s.io/v1", "EndpointSlice", {**SLICE, "addressType": "X"}, 'Unsupported value: "X"'),
    (
        "discovery.k8s.io/v1",
        "EndpointSlice",
        {**SLICE, "endpoints": [{"addresses": []}]},
        "endpoints[0].addresses: Required value: must contain at least 1 address",
    ),
    (
        "discovery.k8s.io/v1",
        "EndpointSlice",
        {**SLICE, "ports": [{"name": "a"}, {"name": "a"}]},
        'ports[1].name: Duplicate value: "a"',
    ),
    (
        "v1",
        "Event",
        {"involvedObject": {"kind": "Pod", "name": "x", "namespace": "other"}},
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
    ),
    (
        "v1",
        "Node",
        taints({"key": "a", "effect": "Never"}),
        'metadata.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", ',
    ),
    (
        "v1",
        "Node",
        taints({"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute"}),
        'metadata.taints[1]: Duplicate value: core.Taint{Key:"a", Value:"", Effect:"NoExecute", TimeAdded:<nil>}: '
        "taints must be unique by key and effect pair",
    ),
    (
        "storage.k8s.io/v1",
        "StorageClass",
        {"provisioner": "x", "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": []}]}]},
        "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
    ),
    (
        "v1",
        "ResourceQuota",
        {"spec": {"hard": {"pods": "1.5"}}},
        "spec.hard[pods]: Invalid value: 1500m: must be an integer",
    ),
    ("v1", "ResourceQuota", {"spec": {"hard": {"ghosts": "1"}}}, "must be a standard resource for quota"),
    (
        "v1",
        "ResourceQuota",
        {"spec": {"hard": {"services": "1"}, "scopes": ["BestEffort"]}},
        'spec.scopes: Invalid value: []core.ResourceQuotaScope{"BestEffort"}: unsupported scope applied to resource',
    ),
    (
        "v1",
        "ResourceQuota",
        {"spec": {"hard": {"pods": "1"}, "scopes": ["Terminating", "NotTerminating"]}},
        "conflicting scopes",
    ),
    (
        "v1",
        "LimitRange",
        {"spec": {"limits": [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "500m"}}]}},
        "is less than 1",
    ),
    (
        "v1",
        "LimitRange",
        {"spec": {"limits": [{"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "2"},
                              "maxLimitRequestRatio": {"cpu": "3"}}]}},
        "ratio 3 is greater than max/min = 2.000000",
    ),
    (
        "v1",
        "LimitRange",
        {"spec": {"limits": [{"type": "Pod", "default": {"cpu": "1"}}]}},
        "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
    ),
    (
        "v1",
        "Pod",
        {"spec": {**POD, "securityContext": {"sysctls": [{"name": "net.-x", "value": "1"}]}}},
        "must have at most 253 characters and match regex",
    ),
    (
        "apps/v1",
        "DaemonSet",
        daemon(maxSurge=1, maxUnavailable=1),
        "rollingUpdate.maxSurge: Invalid value: intstr.IntOrString{Type:0, IntVal:1, StrVal:\"\"}: "
        "may not be set when maxUnavailable is non-zero",
    ),
    (
        "apps/v1",
        "DaemonSet",
        daemon(maxSurge=0, maxUnavailable=0),
        "rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
    ),
    (
        *CRD,
        definition("("),
        'properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: '
        "error parsing regexp: missing closing ): `(`",
    ),
    (*CRD, definition("+"), "error parsing regexp: missing argument to repetition operator: `+`"),
    (*CRD, definition("(?=a)b"), "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
]  # fmt: skip


@pytest.mark.parametrize(("api", "kind", "fields", "words"), MORE_RULES)
def test_more_rules_are_those_of_a_real_server(
    api: str, kind: str, fields: dict[str, Any], words: str
) -> None:
    assert any(words in item for item in problems(api, kind, **fields)), problems(api, kind, **fields)


def test_what_keeps_these_rules_is_taken() -> None:
    assert problems("v1", "Endpoints", subsets=[SUBSET]) == []
    assert problems("discovery.k8s.io/v1", "EndpointSlice", **SLICE) == []
    assert problems("v1", "Node", **taints({"key": "a", "effect": "NoExecute"})) == []
    hard = {"pods": "3", "count/widgets.x.io": "2", "requests.nvidia.com/gpu": "1", "requests.storage": "1Gi"}
    assert problems("v1", "ResourceQuota", spec={"hard": hard}) == []
    gold = "gold.storageclass.storage.k8s.io/requests.storage"
    assert problems("v1", "ResourceQuota", spec={"hard": {gold: "1Gi"}}) == []
    for rolling in ({"maxSurge": 0, "maxUnavailable": "10%"}, {"maxSurge": 1, "maxUnavailable": 0}):
        assert problems("apps/v1", "DaemonSet", **daemon(**rolling)) == []
    sysctls = {
        "sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "1 2"}, {"name": "a/b", "value": "1"}]
    }
    assert problems("v1", "Pod", spec={**POD, "securityContext": sysctls}) == []
