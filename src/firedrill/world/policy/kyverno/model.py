"""What goes into the engine and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Result = Literal["pass", "fail", "warn", "error", "skip"]
Action = Literal["Audit", "Enforce"]

OWN_GROUPS = ("kyverno.io", "policies.kyverno.io")


class LookupFailed(Exception):
    """What a policy asks for cannot be had; the text says why."""


class Lookup(Protocol):
    """What policies may ask of the cluster around them."""

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """One object, or None."""
        ...

    def list(self, api_version: str, kind: str, namespace: str = "") -> Sequence[Mapping[str, Any]]:
        """The objects of a kind; an empty namespace means all of them."""
        ...

    def raw(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """The answer of the API server to a path, as in `/api/v1/pods`.

        Raises:
            LookupFailed: there is none.
        """
        ...

    def image(self, reference: str) -> Mapping[str, Any]:
        """What a registry says about an image.

        Raises:
            LookupFailed: no registry can be asked.
        """
        ...

    def variables(self, policy: str, rule: str, resource: str) -> Mapping[str, Any]:
        """Values by dotted path that stand for what cannot be looked up."""
        ...


class Nothing:
    """A lookup that knows nothing."""

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Nothing is there."""
        return None

    def list(self, api_version: str, kind: str, namespace: str = "") -> Sequence[Mapping[str, Any]]:
        """Nothing is there."""
        return ()

    def raw(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """No server answers."""
        raise LookupFailed(f"failed to {method} resource with raw url: {path}: no API server")

    def image(self, reference: str) -> Mapping[str, Any]:
        """No registry answers."""
        raise LookupFailed(f"failed to fetch image descriptor: {reference}: no registry can be reached")

    def variables(self, policy: str, rule: str, resource: str) -> Mapping[str, Any]:
        """Nothing is given."""
        return {}


@dataclass(frozen=True, slots=True)
class User:
    """Who asks; roles as `namespace:name`."""

    name: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""
    roles: tuple[str, ...] = ()
    cluster_roles: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether there is anybody: background scans have no user."""
        return bool(self.name or self.groups or self.roles or self.cluster_roles)


@dataclass(frozen=True, slots=True)
class Subject:
    """One object to judge, with the request that brings it.

    Attributes:
        resource: the object; what is deleted, for a deletion.
        old: as it was before; None for a creation.
        operation: CREATE, UPDATE, DELETE, CONNECT, or empty in a background scan.
        subresource: as in `ephemeralcontainers`; empty for the object itself.
        user: who asks.
        namespace_labels: of the object's namespace.
        plural: name of the resource in the API; guessed from the kind where it is empty.
        dry_run: nothing will be stored.
        namespace_object: the namespace, for CEL; made up from the labels where it is missing.
    """

    resource: Mapping[str, Any]
    old: Mapping[str, Any] | None = None
    operation: str = "CREATE"
    subresource: str = ""
    user: User = field(default_factory=User)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    plural: str = ""
    dry_run: bool = False
    namespace_object: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.resource.get("kind") or "")

    @property
    def group(self) -> str:
        """The group of the API, empty for the core."""
        return str(self.resource.get("apiVersion") or "").rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version of the API."""
        return str(self.resource.get("apiVersion") or "").rpartition("/")[2]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata, empty where there is none."""
        found = self.resource.get("metadata")
        return found if isinstance(found, Mapping) else {}

    @property
    def name(self) -> str:
        """The name, or what it will be made from."""
        return str(self.metadata.get("name") or self.metadata.get("generateName") or "")

    @property
    def namespace(self) -> str:
        """The namespace, empty for what has none."""
        return str(self.metadata.get("namespace") or "")


@dataclass(frozen=True, slots=True)
class Row:
    """What one rule says about one object.

    Attributes:
        policy: name; `namespace/name` for one of a namespace.
        rule: name; empty where the policy has no rules.
        result: pass, fail, warn, error or skip.
        message: what a person reads.
        path: of the field that is wrong, where there is one.
        action: what a failure leads to.
        source: `kyverno`, `KyvernoValidatingPolicy` or `ValidatingAdmissionPolicy`.
        category: from the policy's annotations, as severity.
        severity: low, medium, high, critical or info.
        scored: from the annotation; a failure that is not scored is a warning in reports.
        warns: a failure is told to who asks, though it is let in.
        fail_open: an error lets the request in (`failurePolicy: Ignore`).
        properties: further facts, as `exceptions`.
    """

    policy: str
    rule: str
    result: Result
    message: str = ""
    path: str = ""
    action: Action = "Audit"
    source: str = "kyverno"
    category: str = ""
    severity: str = ""
    scored: bool = True
    warns: bool = False
    fail_open: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule of a policy, as written or as derived.

    Attributes:
        name: as reports show it.
        body: the rule.
        template: where the pod lies in the objects of a derived rule, as `("spec", "template")`.
    """

    name: str
    body: Mapping[str, Any]
    template: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy, read: rules with those derived for what makes pods.

    Attributes:
        kind: ClusterPolicy, Policy, ValidatingPolicy, NamespacedValidatingPolicy or PolicyException.
        name: as in its metadata.
        namespace: where it holds; empty for the whole cluster.
        document: what it was read from.
        rules: its own rules and the derived ones.
    """

    kind: str
    name: str
    namespace: str
    document: Mapping[str, Any]
    rules: tuple[Rule, ...] = ()

    @property
    def key(self) -> str:
        """As reports name it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec."""
        found = self.document.get("spec")
        return found if isinstance(found, Mapping) else {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        metadata = self.document.get("metadata")
        found = metadata.get("annotations") if isinstance(metadata, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    @property
    def background(self) -> bool:
        """Whether scans of what is there apply it."""
        if self.kind.endswith("ValidatingPolicy"):
            evaluation = self.spec.get("evaluation") or {}
            return bool((evaluation.get("background") or {}).get("enabled", True))
        return self.spec.get("background") is not False

    @property
    def admission(self) -> bool:
        """Whether requests are held against it."""
        if self.kind.endswith("ValidatingPolicy"):
            evaluation = self.spec.get("evaluation") or {}
            return bool((evaluation.get("admission") or {}).get("enabled", True))
        return self.spec.get("admission") is not False
