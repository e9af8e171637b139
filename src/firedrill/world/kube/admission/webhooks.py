"""Webhooks: the simulated cluster has no code behind them, but it knows when nobody could answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.admission.matching import rule_matches, selectors_match
from firedrill.world.kube.api.errors import internal
from firedrill.world.kube.objects import Obj, dig, labels_of

_GROUP = "admissionregistration.k8s.io"
_OWN = frozenset({f"mutatingwebhookconfigurations.{_GROUP}", f"validatingwebhookconfigurations.{_GROUP}"})


class _Webhooks(Base):
    resource = ""

    def ask(self, a: Attributes) -> None:
        """Fail the request where a webhook that must answer cannot be reached."""
        if a.resource in _OWN or a.resource.startswith("validatingadmissionpolic"):
            return
        for configuration in a.store.list(self.resource):
            for hook in configuration.get("webhooks") or ():
                if self._concerns(a, hook):
                    _reach(a, hook)

    def _concerns(self, a: Attributes, hook: Mapping[str, Any]) -> bool:
        if hook.get("failurePolicy", "Fail") == "Ignore":
            return False
        equivalent = hook.get("matchPolicy", "Equivalent") == "Equivalent"
        if not any(rule_matches(a, rule, equivalent=equivalent) for rule in hook.get("rules") or ()):
            return False
        return selectors_match(a, hook)


class MutatingWebhook(_Webhooks):
    """Webhooks that would change what comes in."""

    name = "MutatingAdmissionWebhook"
    resource = f"mutatingwebhookconfigurations.{_GROUP}"

    def admit(self, a: Attributes) -> Obj | None:
        """Ask them."""
        self.ask(a)
        return None


class ValidatingWebhook(_Webhooks):
    """Webhooks that would judge what comes in."""

    name = "ValidatingAdmissionWebhook"
    resource = f"validatingwebhookconfigurations.{_GROUP}"

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Ask them."""
        self.ask(a)
        return ()


def _reach(a: Attributes, hook: Mapping[str, Any]) -> None:
    service = dig(hook, "clientConfig", "service")
    if not service:
        return
    name, namespace = service.get("name"), service.get("namespace")
    port, path = service.get("port") or 443, str(service.get("path") or "").lstrip("/")
    seconds = hook.get("timeoutSeconds") or 10
    address = f"https://{name}.{namespace}.svc:{port}/{path}?timeout={seconds}s"
    if a.store.get("services", namespace, name) is None:
        trouble = f'service "{name}" not found'
    elif not _answers(a, namespace, name):
        trouble = f'no endpoints available for service "{name}"'
    else:
        return
    raise internal(
        f'failed calling webhook "{hook.get("name")}": failed to call webhook: Post "{address}": {trouble}'
    )


def _answers(a: Attributes, namespace: str, name: str) -> bool:
    for piece in a.store.list("endpointslices.discovery.k8s.io", namespace):
        if labels_of(piece).get("kubernetes.io/service-name") == name:
            for endpoint in piece.get("endpoints") or ():
                if dig(endpoint, "conditions", "ready", default=True):
                    return True
    return False
