"""The clerk's reading of requirements about pods, in words that no scenario has, judged by the engine."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.agents.clerk import kyverno as templates
from firedrill.agents.clerk import pods
from firedrill.agents.clerk.words import read
from firedrill.world.policy import kyverno

Pod = dict[str, Any]


def pod(security: dict[str, Any] | None = None, namespace: str = "shop", **spec: Any) -> Pod:
    """A pod of two containers, the second with a security context."""
    second: dict[str, Any] = {"name": "b", "image": "b:1"}
    if security is not None:
        second["securityContext"] = security
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": {"containers": [{"name": "a", "image": "a:1", **spec.pop("first", {})}, second], **spec},
    }


def fails(text: str, obj: Pod) -> bool:
    """Whether the policy that the clerk writes for a text fails a pod."""
    words = read(text)
    document = templates.policy(words, pods.demands(words))
    assert kyverno.problems(document) == []
    rows = kyverno.evaluate([kyverno.load(document)], kyverno.Subject(resource=obj), kyverno.Nothing())
    assert all(row.result in ("pass", "fail", "skip") for row in rows), rows
    return any(row.result == "fail" for row in rows)


LEFT_OUT = "Every pod has its own name for users: `hostUsers` must be either absent or `true`."
ROOT = "Containers write nothing: each one says `readOnlyRootFilesystem: true` in its security context."
DROP = "Each container drops the capability `ALL`. It may add none but `NET_BIND_SERVICE`."
NUMBER = (
    "Containers run as strangers. `runAsUser` is at least 10000 for each, said by the container or the pod."
)
ELSEWHERE = "Outside of the namespaces `kube-system` and `lab` no container may run privileged."


@pytest.mark.parametrize(
    ("text", "obj", "failed"),
    [
        (LEFT_OUT, pod(), False),
        (LEFT_OUT, pod(hostUsers=False), True),
        (ROOT, pod({"readOnlyRootFilesystem": True}), True),
        (ROOT, pod({"readOnlyRootFilesystem": True}, first={"securityContext": {"readOnlyRootFilesystem": True}}), False),
        (NUMBER, pod(securityContext={"runAsUser": 10000}), False),
        (NUMBER, pod({"runAsUser": 9999}, securityContext={"runAsUser": 10000}), True),
        (DROP, pod({"capabilities": {"drop": ["ALL"]}}), True),
        (ELSEWHERE, pod({"privileged": True}), True),
        (ELSEWHERE, pod({"privileged": True}, namespace="lab"), False),
        (ELSEWHERE, pod({"privileged": False}), False),
    ],
)  # fmt: skip
def test_what_the_words_say_is_what_fails(text: str, obj: Pod, failed: bool) -> None:
    """Allowed and forbidden values, defaults, inheritance and exempt namespaces."""
    assert fails(text, obj) is failed


@pytest.mark.parametrize(
    ("add", "drop", "failed"),
    [([], ["ALL"], False), (["NET_BIND_SERVICE"], ["ALL"], False), (["SYS_TIME"], ["ALL"], True), ([], [], True)],
)  # fmt: skip
def test_capabilities(add: list[str], drop: list[str], failed: bool) -> None:
    """What has to be dropped and what alone may be added."""
    context = {"capabilities": {"add": add, "drop": drop}}
    obj = pod(context, first={"securityContext": {"capabilities": {"drop": ["ALL"]}}})
    assert fails(DROP, obj) is failed


def test_words_about_nothing_known_demand_nothing() -> None:
    """It guesses nothing."""
    assert pods.demands(read("Every team has a colour, and it is blue.")) == ()
