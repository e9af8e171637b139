"""Webhooks: the simulated cluster has no code behind most of them, but it knows when nobody could answer.

One that is reached agrees with every request and changes nothing, unless a room answers for its Service.
The API server reaches a Service at its cluster address, as kubeadm and kind set it up. Source:
`k8s.io/apiserver/pkg/admission/plugin/webhook`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.admission.matching import rule_matches, selectors_match
from firedrill.world.kube.api.errors import internal
from firedrill.world.kube.network.dns import is_address
from firedrill.world.kube.network.route import declared
from firedrill.world.kube.network.services import backends_of
from firedrill.world.kube.objects import Obj, dig

_GROUP = "admissionregistration.k8s.io"
_OWN = frozenset({f"mutatingwebhookconfigurations.{_GROUP}", f"validatingwebhookconfigurations.{_GROUP}"})


Responder = Callable[[Attributes, Mapping[str, Any]], Sequence[str]]
"""Called with the request and the webhook's entry: warnings; raises ApiError to refuse."""
_RESPONDERS: dict[tuple[str, str], Responder] = {}


def answer(namespace: str, service: str, responder: Responder) -> None:
    """Let a room answer for the validating webhooks that lie behind a Service."""
    _RESPONDERS[namespace, service] = responder


def _answered(a: Attributes, hook: Mapping[str, Any]) -> Sequence[str]:
    service = (hook.get("clientConfig") or {}).get("service") or {}
    responder = _RESPONDERS.get((str(service.get("namespace")), str(service.get("name"))))
    return responder(a, hook) if responder is not None else ()


class _Webhooks(Base):
    resource = ""
    ignored = ""
    judges = False

    def ask(self, a: Attributes) -> list[str]:
        """Warnings; fails the request where a webhook that must answer cannot be reached."""
        warnings: list[str] = []
        if a.resource in _OWN or a.resource.startswith("validatingadmissionpolic"):
            return warnings
        asked = 0
        for configuration in a.store.list(self.resource):
            for hook in configuration.get("webhooks") or ():
                if not _concerns(a, hook):
                    continue
                trouble = _trouble(a, hook)
                if trouble and hook.get("failurePolicy", "Fail") != "Ignore":
                    raise internal(f'failed calling webhook "{hook.get("name")}": {trouble}')
                if trouble:
                    a.notes.setdefault(f"{self.ignored}index_{asked}", str(hook.get("name")))
                elif self.judges and _RESPONDERS:
                    warnings += _answered(a, hook)
                asked += 1
        return warnings


def _concerns(a: Attributes, hook: Mapping[str, Any]) -> bool:
    equivalent = hook.get("matchPolicy", "Equivalent") == "Equivalent"
    if not any(rule_matches(a, rule, equivalent=equivalent) for rule in hook.get("rules") or ()):
        return False
    return selectors_match(a, hook) and _conditions_hold(a, hook.get("matchConditions") or ())


def _conditions_hold(a: Attributes, conditions: Sequence[Mapping[str, Any]]) -> bool:
    if not conditions:
        return True
    from firedrill.world.kube import cel
    from firedrill.world.kube.admission.policy import variables_of

    known = variables_of(a, None)
    for item in conditions:
        try:
            if cel.compile(str(item.get("expression") or "")).evaluate(known) is not True:
                return False
        except (cel.CelError, cel.CelSyntaxError):
            continue  # what cannot be decided does not keep the webhook from being asked
    return True


class MutatingWebhook(_Webhooks):
    """Webhooks that would change what comes in."""

    name = "MutatingAdmissionWebhook"
    ignored = "failed-open.mutation.webhook.admission.k8s.io/round_0_"
    resource = f"mutatingwebhookconfigurations.{_GROUP}"

    def admit(self, a: Attributes) -> Obj | None:
        """Ask them."""
        self.ask(a)
        return None


class ValidatingWebhook(_Webhooks):
    """Webhooks that would judge what comes in."""

    name = "ValidatingAdmissionWebhook"
    ignored = "failed-open.validating.webhook.admission.k8s.io/round_0_"
    resource = f"validatingwebhookconfigurations.{_GROUP}"
    judges = True

    def validate(self, a: Attributes) -> list[str]:
        """Ask them."""
        return self.ask(a)


def _trouble(a: Attributes, hook: Mapping[str, Any]) -> str:
    """Why the API server cannot reach who should answer; empty where it can."""
    seconds = hook.get("timeoutSeconds") or 10
    config = hook.get("clientConfig") or {}
    service = config.get("service")
    if service:
        name, namespace = str(service.get("name")), str(service.get("namespace"))
        port, path = int(service.get("port") or 443), str(service.get("path") or "").lstrip("/")
        base, why = f"https://{name}.{namespace}.svc:{port}/{path}", _at_service(a, namespace, name, port)
    else:
        base = str(config.get("url") or "")
        why = _outside(a, base)
    return f'failed to call webhook: Post "{base}?timeout={seconds}s": {why}' if why else ""


def _at_service(a: Attributes, namespace: str, name: str, port: int) -> str:
    service = a.store.get("services", namespace, name)
    if service is None:
        return f'service "{name}" not found'
    if dig(service, "spec", "type") == "ExternalName":
        return _outside(a, f"https://{dig(service, 'spec', 'externalName')}:{port}")
    entry = next((item for item in dig(service, "spec", "ports", default=()) if item["port"] == port), None)
    if entry is None:
        return f'no service port {port} found for service "{name}"'
    found = backends_of(a.store, service, str(entry.get("name") or ""), "TCP")
    for backend in found:
        pod = a.store.get("pods", *backend.pod) if backend.pod[1] else None
        if backend.ready and (pod is None or declared(pod, backend.port, "TCP")):
            return ""
    return f"dial tcp {dig(service, 'spec', 'clusterIP')}:{port}: connect: connection refused"


def _outside(a: Attributes, url: str) -> str:
    """Nothing outside the cluster answers: names do not resolve there, packets to addresses get lost."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if is_address(host):
        return "context deadline exceeded"
    node = next(iter(a.store.list("nodes")), {})
    addresses = dig(node, "status", "addresses", default=())
    own = next((str(item["address"]) for item in addresses if item.get("type") == "InternalIP"), "10.0.0.2")
    return f"dial tcp: lookup {host} on {own.rpartition('.')[0]}.1:53: no such host"
