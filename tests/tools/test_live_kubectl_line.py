"""A command line of kubectl is read and looked at before it is run."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firedrill.tools.errors import Mistake
from firedrill.tools.live.discovery import Resource, Resources
from firedrill.tools.live.kubectl_check import check, objects_of
from firedrill.tools.live.kubectl_line import Command, parse, rules

ALL = frozenset({"create", "delete", "get", "list", "patch", "update", "watch"})


def resource(plural: str, kind: str, group: str = "", *, short: str = "", **more: object) -> Resource:
    known: dict[str, object] = {"namespaced": True, "verbs": ALL, **more}
    return Resource(group, "v1", plural, kind.lower(), kind, short=tuple(short.split()), **known)  # type: ignore[arg-type]


KNOWN = Resources(
    [
        resource("pods", "Pod", short="po"),
        resource("services", "Service", short="svc"),
        resource("configmaps", "ConfigMap", short="cm"),
        resource("nodes", "Node", short="no", namespaced=False),
        resource("deployments", "Deployment", "apps", short="deploy", subresources=frozenset({"scale"})),
        resource("daemonsets", "DaemonSet", "apps", short="ds"),
        resource("tokenreviews", "TokenReview", "authentication.k8s.io", verbs=frozenset({"create"})),
    ]
)


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        ("kubectl get pods -A", ("get",), ("pods",)),
        ("get po -n shop -oyaml", ("get",), ("po",)),
        ("/usr/bin/kubectl --namespace=shop get pods", ("get",), ("pods",)),
        ("kubectl -n shop rollout restart deploy/web", ("rollout", "restart"), ("deploy/web",)),
        ("kubectl create cm web --from-literal=a=b", ("create", "configmap"), ("web",)),
        ("kubectl create -f -", ("create",), ()),
        ("kubectl exec web -c app -- sh -c 'ls -la'", ("exec",), ("web",)),
        ("kubectl get pods -o jsonpath='{.items[?(@.x>1)].y}'", ("get",), ("pods",)),
        ('kubectl patch deploy web -p \'{"a":"$(x) | y"}\'', ("patch",), ("deploy", "web")),
        ("kubectl logs web --tail -1", ("logs",), ("web",)),
        ("kubectl rollout status deploy/web --watch=false", ("rollout", "status"), ("deploy/web",)),
    ],
)
def test_lines_that_can_be_meant(line: str, path: tuple[str, ...], words: tuple[str, ...]) -> None:
    found = parse(line)
    assert (found.path, found.words) == (path, words)
    check(found, KNOWN)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "empty"),
        ("kubectl", "empty"),
        ("kubectl list pods", "did you mean `kubectl get`"),
        ("kubectl restart deployment web", "`kubectl rollout restart`"),
        ("kubectl gett pods", "did you mean `kubectl get`"),
        ("kubectl get pods --namspace x", "--namespace"),
        ("kubectl get pods -Z", "has no option -Z"),
        ("kubectl rollout restrat deploy/web", "did you mean restart"),
        ("kubectl rollout", "needs one of"),
        ("kubectl get pods | grep web", "parameter `grep`"),
        ("kubectl get pods > file", "cannot be written to a file"),
        ("kubectl get pods; kubectl get svc", "one command at a time"),
        ("kubectl get pods && kubectl get svc", "one command at a time"),
        ("kubectl get pods\nkubectl get svc", "one command at a time"),
        ("kubectl logs $(kubectl get pods -o name)", "call it first"),
        ("kubectl apply -f - <<EOF\nkind: x\nEOF", "parameter `manifest`"),
        ("kubectl get 'pods", "close it"),
        ("kubectl get pods -w", "the tool `wait`"),
        ("kubectl logs -f web", "--since or --tail"),
        ("kubectl exec -it web -- sh", "no terminal"),
        ("kubectl edit deploy web", "kubectl patch"),
        ("kubectl get pods --kubeconfig x", "set already"),
        ("kubectl apply -f x --dry-run server", "--dry-run=server"),
        ("kubectl get pods --all-namespaces=maybe", "true or false"),
        ("kubectl get pods -n", "needs a value"),
        ("sudo kubectl get pods", "only kubectl"),
        ("kubectl -n shop", "no verb"),
        ("kubectl get --help", "options of `kubectl get`"),
        # what cannot be meant of these resources
        ("kubectl get pod web deploy/web", "do not go together"),
        ("kubectl get gateways", "no resource type"),
        ("kubectl get deploymnets", "did you mean deployments"),
        ("kubectl get", "needs a resource type"),
        ("kubectl get tokenreviews", "knows no get or list"),
        ("kubectl scale ds/web --replicas=2", "cannot be scaled; these can: deployments"),
        ("kubectl scale deploy/web", "--replicas"),
        ("kubectl rollout restart service/web", "cannot be rolled out"),
        ("kubectl delete pods", "needs the name"),
        ("kubectl patch deploy web", "needs -p"),
        ("kubectl exec web ls", "stands behind `--`"),
        ("kubectl logs configmap/web", "no pods of their own"),
        ("kubectl drain", "name of a node"),
        ("kubectl apply", "give them in `manifest`"),
        ("kubectl apply -f https://example.com/x.yaml", "cannot be reached"),
        ("kubectl get pods -n a -A", "not both"),
    ],
)
def test_lines_that_cannot_are_answered_with_what_can(line: str, said: str) -> None:
    with pytest.raises(Mistake) as mistake:
        check(parse(line), KNOWN)
    assert said in str(mistake.value)


@pytest.mark.parametrize(
    ("line", "writes"),
    [
        ("get pods", False),
        ("rollout status deploy/web", False),
        ("rollout history deploy/web", False),
        ("rollout undo deploy/web", True),
        ("delete pod web", True),
        ("delete pod web --dry-run=server", False),
        ("apply -f -", True),
        ("auth can-i delete pods", False),
        ("auth reconcile -f -", True),
        ("exec web -- ls", True),
    ],
)
def test_what_may_change_something(line: str, writes: bool) -> None:
    assert parse(line).writes is writes


def test_every_command_is_either_known_to_look_or_to_write() -> None:
    looks = {"explain", "get", "cluster-info", "top", "describe", "logs", "auth", "events", "diff", "wait"}
    looks |= {"api-resources", "api-versions", "version", "rollout"}
    from firedrill.tools.live.kubectl_line import _options

    left = set(_options()["verbs"]) - looks - set(rules()["refused"])
    assert left == {word for word in rules()["writes"] if " " not in word}


def test_objects_of_a_command() -> None:
    def named(line: str) -> list[tuple[str, str]]:
        return [(item.plural, name) for item, name in objects_of(parse(line), KNOWN)]

    assert named("get pods,svc web cart") == [
        ("pods", "web"), ("pods", "cart"), ("services", "web"), ("services", "cart")
    ]  # fmt: skip
    assert named("set image deploy/web app=image:2") == [("deployments", "web")]
    assert named("label pod web a=b c-") == [("pods", "web")]
    assert named("get pods -l app=web") == [("pods", "")]


WORDS = st.sampled_from(
    [*"-|<>;&$`'\"\\\n \t{}()=,", "kubectl", "get", "pods", "-n", "--", "-o", "json", "$(", "--dry-run", "-it",
     "rollout", "restart", "deploy/web", "set", "image", "-f", "EOF", "\0", "é", "--all=", "create", "secret"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.lists(WORDS, max_size=14).map("".join) | st.text())
@example("kubectl get \\")
@example("-" * 50)
@example("kubectl get pods --" + "x" * 30_000)
def test_nothing_but_a_mistake_comes_of_any_line(line: str) -> None:
    try:
        found = parse(line)
        check(found, KNOWN)
    except Mistake as mistake:
        assert str(mistake)
        return
    assert isinstance(found, Command)
    assert all("\0" not in word for word in found.argv)


@given(st.lists(st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text), max_size=4))
def test_quoted_words_arrive_as_they_are(words: list[str]) -> None:
    found = parse("kubectl exec web -- " + shlex.join(words)) if words else parse("kubectl exec web --")
    assert found.rest == tuple(words)
