"""What admission fills in and refuses, through the API."""

from typing import Any

import pytest

from firedrill.world import Settings, World
from firedrill.world.kube.api import server
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import ADMIN, Options, Request, User, node_user
from firedrill.world.kube.objects import Obj

REG = "admissionregistration.k8s.io"


class Api:
    def __init__(self) -> None:
        self.world = World(1, settings=Settings(freeze=True))
        for name in ("default", "kube-system"):
            self.make(
                "", "namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            )
            self.thing("ServiceAccount", "serviceaccounts", "default", namespace=name)

    def make(
        self, group: str, plural: str, namespace: str, body: Obj, user: User = ADMIN, **options: Any
    ) -> Obj:
        made: Obj = self.send("create", group, plural, namespace, body, user, **options).obj
        return made

    def send(
        self,
        verb: Any,
        group: str,
        plural: str,
        namespace: str,
        body: Any,
        user: User = ADMIN,
        name: str = "",
        **options: Any,
    ) -> Any:
        request = Request(
            verb, group, "v1", plural, namespace, name, body=body, user=user, options=Options(**options)
        )
        return server.handle(self.world, request)

    def thing(
        self, kind: str, plural: str, name: str, namespace: str = "default", group: str = "", **rest: Any
    ) -> Obj:
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        version = f"{group}/v1" if group else "v1"
        return self.make(
            group, plural, namespace, {"apiVersion": version, "kind": kind, "metadata": meta, **rest}
        )

    def pod(
        self,
        name: str = "p",
        *,
        namespace: str = "default",
        container: Any = None,
        generate: str = "",
        **spec: Any,
    ) -> Obj:
        meta: Obj = {"generateName": generate} if generate else {"name": name}
        containers = [{"name": "c", "image": "x", **(container or {})}]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {"containers": containers, **spec},
        }
        return self.make("", "pods", namespace, body)

    def refused(self, *args: Any, **more: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.pod(*args, **more)
        return caught.value


@pytest.fixture
def api() -> Api:
    return Api()


def label(api: Api, namespace: str, labels: dict[str, str]) -> Any:
    body = {"metadata": {"labels": labels}}
    request = Request("patch", "", "v1", "namespaces", "", namespace, body=body, patch_type="merge")
    return server.handle(api.world, request)


# --- namespaces


def test_nothing_is_made_in_a_namespace_that_is_not_there(api: Api) -> None:
    problem = api.refused(namespace="nope")
    assert (problem.code, problem.message) == (404, 'namespaces "nope" not found')


def test_nothing_is_made_in_a_namespace_that_is_going(api: Api) -> None:
    old = api.world.cluster.store.get("namespaces", "", "kube-system")
    assert old is not None
    api.world.cluster.store.put("namespaces", {**old, "status": {"phase": "Terminating"}})
    problem = api.refused(namespace="kube-system", generate="x-")
    assert problem.message == (
        'pods "x-" is forbidden: unable to create new content in namespace kube-system '
        "because it is being terminated"
    )
    assert problem.details is not None
    assert problem.details["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace kube-system is being terminated",
            "field": "metadata.namespace",
        }
    ]


def test_the_namespaces_of_the_cluster_stay(api: Api) -> None:
    with pytest.raises(
        ApiError, match='namespaces "default" is forbidden: this namespace may not be deleted'
    ):
        api.send("delete", "", "namespaces", "", None, name="default")


# --- pods: accounts, priority, tolerations, runtime classes


def test_a_pod_runs_as_the_default_account_with_its_token(api: Api) -> None:
    spec = api.pod()["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    name = spec["volumes"][0]["name"]
    assert name.startswith("kube-api-access-") and len(name) == len("kube-api-access-") + 5
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": name, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    ]
    sources = spec["volumes"][0]["projected"]["sources"]
    assert [next(iter(source)) for source in sources] == ["serviceAccountToken", "configMap", "downwardAPI"]


def test_no_token_where_nobody_wants_one(api: Api) -> None:
    assert "volumes" not in api.pod(automountServiceAccountToken=False)["spec"]
    api.thing("ServiceAccount", "serviceaccounts", "quiet", automountServiceAccountToken=False)
    assert "volumes" not in api.pod("q", serviceAccountName="quiet")["spec"]


def test_a_missing_account_is_named_as_the_server_names_it(api: Api) -> None:
    problem = api.refused(generate="web-", serviceAccountName="ghost")
    assert problem.message == (
        'pods "web-" is forbidden: error looking up service account default/ghost: '
        'serviceaccount "ghost" not found'
    )


def test_pull_secrets_come_from_the_account(api: Api) -> None:
    api.thing("ServiceAccount", "serviceaccounts", "s", imagePullSecrets=[{"name": "reg"}])
    assert api.pod(serviceAccountName="s")["spec"]["imagePullSecrets"] == [{"name": "reg"}]


def test_priority_comes_from_the_class(api: Api) -> None:
    group = "scheduling.k8s.io"
    assert api.pod("zero")["spec"]["priority"] == 0
    api.thing("PriorityClass", "priorityclasses", "high", "", group, value=100, preemptionPolicy="Never")
    spec = api.pod("a", priorityClassName="high")["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (100, "Never")
    assert "no PriorityClass with name low was found" in api.refused("b", priorityClassName="low").message
    assert "computed 100 from" in api.refused("b", priorityClassName="high", priority=7).message
    api.thing("PriorityClass", "priorityclasses", "usual", "", group, value=5, globalDefault=True)
    assert api.pod("c")["spec"]["priorityClassName"] == "usual"
    with pytest.raises(ApiError, match="usual is already marked as default"):
        api.thing("PriorityClass", "priorityclasses", "other", "", group, value=6, globalDefault=True)


def test_pods_bear_a_silent_node_for_five_minutes(api: Api) -> None:
    mine = {
        "key": "node.kubernetes.io/not-ready",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }
    found = {
        item["key"]: item["tolerationSeconds"] for item in api.pod(tolerations=[mine])["spec"]["tolerations"]
    }
    assert found == {"node.kubernetes.io/not-ready": 5, "node.kubernetes.io/unreachable": 300}


def test_runtime_classes(api: Api) -> None:
    assert 'RuntimeClass "kata" not found' in api.refused(runtimeClassName="kata").message
    api.thing(
        "RuntimeClass",
        "runtimeclasses",
        "kata",
        "",
        "node.k8s.io",
        handler="kata",
        overhead={"podFixed": {"cpu": "250m"}},
        scheduling={"nodeSelector": {"k": "v"}},
    )
    spec = api.pod(runtimeClassName="kata")["spec"]
    assert spec["overhead"] == {"cpu": "250m"} and spec["nodeSelector"] == {"k": "v"}


def test_a_new_node_is_tainted_and_a_kubelet_keeps_to_itself(api: Api) -> None:
    node = api.thing("Node", "nodes", "n1", "")
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    with pytest.raises(ApiError, match="can only create mirror pods"):
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": {"containers": [{"name": "c", "image": "x"}]},
        }
        api.make("", "pods", "default", body, user=node_user("n1"))


# --- storage


def test_claims_get_the_default_class_and_a_finalizer(api: Api) -> None:
    group, marked = "storage.k8s.io", {"storageclass.kubernetes.io/is-default-class": "true"}
    body = {
        "apiVersion": f"{group}/v1",
        "kind": "StorageClass",
        "metadata": {"name": "std", "annotations": marked},
        "provisioner": "x",
    }
    api.make(group, "storageclasses", "", body)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = api.thing("PersistentVolumeClaim", "persistentvolumeclaims", "c", spec=spec)
    assert claim["spec"]["storageClassName"] == "std"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    none = api.thing(
        "PersistentVolumeClaim", "persistentvolumeclaims", "d", spec={**spec, "storageClassName": ""}
    )
    assert none["spec"]["storageClassName"] == ""


# --- pod security


def test_pod_security_refuses_and_warns(api: Api) -> None:
    label(api, "default", {"pod-security.kubernetes.io/enforce": "baseline"})
    assert api.refused(hostNetwork=True).message == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    )
    api.pod("fine")
    label(
        api,
        "default",
        {"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/warn-version": "v1.24"},
    )
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    warnings = api.send("create", "apps", "deployments", "default", body).warnings
    assert warnings == (
        'would violate PodSecurity "restricted:v1.24": allowPrivilegeEscalation != false (container "c" must set '
        'securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set '
        'securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set '
        'securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    )


def test_a_stricter_label_tells_of_pods_that_are_there(api: Api) -> None:
    api.pod("one", hostPID=True)
    api.pod("two", hostPID=True)
    warnings = label(api, "default", {"pod-security.kubernetes.io/enforce": "baseline"}).warnings
    assert warnings == (
        'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"',
        "one (and 1 other pod): host namespaces",
    )
    with pytest.raises(
        ApiError, match='Invalid value: "strict": must be one of privileged, baseline, restricted'
    ):
        label(api, "default", {"pod-security.kubernetes.io/enforce": "strict"})


# --- webhooks and policies


def webhook(api: Api, policy: str = "Fail", service: str = "guard") -> None:
    hook = {
        "name": "guard.example.com",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": policy,
        "clientConfig": {"service": {"name": service, "namespace": "default", "path": "/check"}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
        ],
    }
    kind = "ValidatingWebhookConfiguration"
    api.thing(kind, "validatingwebhookconfigurations", f"w-{policy.lower()}", "", REG, webhooks=[hook])


def test_a_webhook_that_nobody_answers_fails_the_request(api: Api) -> None:
    made = api.thing("Service", "services", "guard", spec={"ports": [{"port": 443}]})
    address = made["spec"]["clusterIP"]
    webhook(api)
    with pytest.raises(ApiError) as caught:
        api.thing("Secret", "secrets", "s")
    assert (caught.value.code, caught.value.message) == (
        500,
        'Internal error occurred: failed calling webhook "guard.example.com": failed to call webhook: Post '
        f'"https://guard.default.svc:443/check?timeout=10s": dial tcp {address}:443: connect: '
        "connection refused",
    )
    api.thing("ConfigMap", "configmaps", "c")
    piece = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "g", "labels": {"kubernetes.io/service-name": "guard"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": 443, "protocol": "TCP"}],
    }
    api.make("discovery.k8s.io", "endpointslices", "default", piece)
    api.thing("Secret", "secrets", "s")


def test_a_webhook_that_may_be_ignored_is(api: Api) -> None:
    webhook(api, "Ignore")
    api.thing("Secret", "secrets", "s")


def policy(api: Api, actions: list[str], *, binding: Any = None, **spec: Any) -> None:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"],
    }
    kind = "ValidatingAdmissionPolicy"
    whole = {"matchConstraints": {"resourceRules": [rule]}, **spec}
    api.thing(kind, "validatingadmissionpolicies", "p", "", REG, spec=whole)
    bound = {"policyName": "p", "validationActions": actions, **(binding or {})}
    api.thing(f"{kind}Binding", "validatingadmissionpolicybindings", "b", "", REG, spec=bound)


def config(api: Api, name: str = "c", user: User = ADMIN, **data: str) -> Any:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    return api.send("create", "", "configmaps", "default", body, user)


def test_a_policy_denies_in_the_words_of_the_server(api: Api) -> None:
    policy(
        api,
        ["Deny"],
        variables=[
            {"name": "data", "expression": "object.?data"},
            {"name": "x", "expression": "variables.data.x.orValue('')"},
        ],
        validations=[
            {"expression": "variables.x != 'bad'", "messageExpression": "'no ' + variables.x"},
            {"expression": "variables.x != 'worse'", "message": "not this", "reason": "Forbidden"},
        ],
    )
    config(api, x="good")
    with pytest.raises(ApiError) as caught:
        config(api, "d", x="bad")
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.message == (
        "configmaps \"d\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no bad"
    )
    with pytest.raises(ApiError) as caught:
        config(api, "d", x="worse")
    assert (caught.value.code, caught.value.reason) == (403, "Forbidden")


def test_a_policy_may_only_warn(api: Api) -> None:
    policy(api, ["Warn", "Audit"], validations=[{"expression": "has(object.data)"}])
    assert config(api, "e", a="b").warnings == ()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    assert api.send("create", "", "configmaps", "default", body).warnings == (
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': "
        "failed expression: has(object.data)",
    )


def test_what_cannot_be_decided_is_refused_unless_told_otherwise(api: Api) -> None:
    policy(api, ["Deny"], validations=[{"expression": "object.nothing == 1"}])
    with pytest.raises(ApiError, match="resulted in error: no such key: nothing"):
        config(api, a="b")


def test_what_cannot_be_decided_passes_with_ignore(api: Api) -> None:
    policy(api, ["Deny"], failurePolicy="Ignore", validations=[{"expression": "object.nothing == 1"}])
    config(api, a="b")


def test_match_conditions_selectors_and_the_authoriser(api: Api) -> None:
    policy(
        api,
        ["Deny"],
        binding={
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
            }
        },
        matchConditions=[{"name": "not-jane", "expression": "request.userInfo.username != 'jane'"}],
        validations=[
            {
                "expression": "!authorizer.group('').resource('pods').namespace('default').check('list').allowed()"
            }
        ],
    )
    config(api, "x", User("jane", ("system:masters",)), a="b")
    with pytest.raises(ApiError, match="failed expression: !authorizer"):
        config(api, "y", a="b")


def test_parameters(api: Api) -> None:
    policy(
        api,
        ["Deny"],
        binding={
            "paramRef": {"name": "limits", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}
        },
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        matchConstraints={
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ]
        },
        validations=[
            {"expression": "object.spec.containers.size() <= int(params.data.most)", "message": "too many"}
        ],
    )
    assert "no params found for policy binding" in api.refused().message
    api.thing("ConfigMap", "configmaps", "limits", "kube-system", data={"most": "0"})
    assert "denied request: too many" in api.refused().message


@pytest.mark.parametrize(
    ("expression", "detail"),
    [
        ("object.spec ==", "Syntax error: mismatched input '<EOF>'"),
        ("params.x == 1", "undeclared reference to 'params' (in container '')"),
        ("nothing(1)", "undeclared reference to 'nothing' (in container '')"),
    ],
)
def test_a_policy_that_is_no_cel_is_not_taken(api: Api, expression: str, detail: str) -> None:
    with pytest.raises(ApiError) as caught:
        policy(api, ["Deny"], validations=[{"expression": expression}])
    assert caught.value.code == 422
    assert "spec.validations[0].expression: Invalid value:" in caught.value.message
    assert ": compilation failed: ERROR: <input>:1:" in caught.value.message
    assert detail in caught.value.message
