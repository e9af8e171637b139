"""What the variables of a rule can refer to: the request, images, and what the rule's context names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.policy.kyverno.budget import Budget, Exhausted
from firedrill.world.policy.kyverno.images import images_of, parse_image
from firedrill.world.policy.kyverno.model import Lookup, LookupFailed, Subject
from firedrill.world.policy.kyverno.query import QueryError, names, search
from firedrill.world.policy.kyverno.variables import substitute

_ACCOUNT = "system:serviceaccount:"


class Context:
    """The data of one rule for one object; entries are loaded when a query first names them."""

    __slots__ = ("_loading", "_pending", "budget", "data", "lookup", "mocked", "now_ms")

    def __init__(
        self,
        data: dict[str, Any],
        lookup: Lookup,
        *,
        budget: Budget | None = None,
        now_ms: int = 0,
        mocked: frozenset[str] = frozenset(),
        pending: dict[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.data = data
        self.lookup = lookup
        self.budget = budget or Budget()
        self.now_ms = now_ms
        self.mocked = mocked
        self._pending = pending or {}
        self._loading: set[str] = set()

    def inner(self, **more: Any) -> Context:
        """The context of one element of a loop."""
        return Context(
            {**self.data, **more},
            self.lookup,
            budget=self.budget,
            now_ms=self.now_ms,
            mocked=self.mocked,
            pending=dict(self._pending),
        )

    def add(self, entries: Sequence[Any]) -> None:
        """Make entries of a rule's `context` known."""
        for entry in entries:
            if not isinstance(entry, Mapping) or not entry.get("name"):
                continue
            name = str(entry["name"])
            if name not in self.mocked:
                self.data = {key: value for key, value in self.data.items() if key != name}
                self._pending[name] = entry

    def query(self, text: str) -> Any:
        """The value of a query.

        Raises:
            QueryError: it has none.
            Exhausted: it takes too long.
        """
        wanted = names(text)
        if self._pending:
            for name in sorted(wanted & self._pending.keys()):
                self._load(name)
        if "images" in wanted and "images" not in self.data:
            request = self.data["request"]
            found = images_of(request.get("object") or request.get("oldObject") or {})
            if found:
                self.data = {**self.data, "images": found}
        if self.data.get("request", {}).get("operation") == "DELETE":
            text = text.replace("request.object", "request.oldObject")
        return search(text, self.data, budget=self.budget, now_ms=self.now_ms)

    def substitute(self, document: Any) -> Any:
        """A document with values in the place of its variables.

        Raises:
            QueryError: one has none.
            Exhausted: it takes too long.
        """
        return substitute(document, self)

    def _load(self, name: str) -> None:
        if name in self._loading:
            return
        entry = self._pending[name]
        self._loading.add(name)
        try:
            value = _value(entry, self)
        except LookupFailed as problem:
            raise QueryError(f"failed to load context entry {name}: {problem}") from None
        finally:
            self._loading.discard(name)
        self._pending.pop(name, None)
        self.data = {**self.data, name: value}


def _value(entry: Mapping[str, Any], context: Context) -> Any:
    for kind, load in (
        ("variable", _variable),
        ("configMap", _config_map),
        ("apiCall", _api_call),
        ("globalReference", _global),
        ("imageRegistry", _image),
    ):
        body = entry.get(kind)
        if isinstance(body, Mapping):
            return load(body, context)
    raise QueryError(f"missing ConfigMap|APICall|Variable in context entry {entry.get('name')}")


def _variable(body: Mapping[str, Any], context: Context) -> Any:
    default = context.substitute(body.get("default"))
    value = context.substitute(body.get("value")) if body.get("value") is not None else None
    text = body.get("jmesPath")
    if not text:
        return default if value is None else value
    try:
        path = context.substitute(text)
        if value is not None:
            found = search(str(path), value, budget=context.budget, now_ms=context.now_ms)
        else:
            found = context.query(str(path))
    except QueryError:
        if default is None:
            raise
        return default
    return default if found is None else found


def _config_map(body: Mapping[str, Any], context: Context) -> Any:
    name = str(context.substitute(body.get("name") or ""))
    namespace = str(context.substitute(body.get("namespace") or "")) or "default"
    found = context.lookup.get("v1", "ConfigMap", namespace, name)
    if found is None:
        raise LookupFailed(f'failed to retrieve config map for context entry: configmaps "{name}" not found')
    return {"metadata": found.get("metadata") or {}, "data": found.get("data") or {}}


def _with_path(found: Any, body: Mapping[str, Any], context: Context) -> Any:
    path = body.get("jmesPath")
    if not path:
        return found
    try:
        return search(str(context.substitute(path)), found, budget=context.budget, now_ms=context.now_ms)
    except QueryError as problem:
        if "default" in body and body["default"] is not None:
            return context.substitute(body["default"])
        raise LookupFailed(f"failed to apply JMESPath {path}: {problem}") from None


def _api_call(body: Mapping[str, Any], context: Context) -> Any:
    if body.get("service"):
        raise LookupFailed("failed to execute APICall: services outside the API server cannot be called")
    url = str(context.substitute(body.get("urlPath") or ""))
    data = {str(item["key"]): context.substitute(item.get("value")) for item in body.get("data") or ()}
    try:
        found = context.lookup.raw(url, str(body.get("method") or "GET"), data or None)
    except LookupFailed:
        if body.get("default") is None:
            raise
        return context.substitute(body["default"])
    return _with_path(found, body, context)


def _global(body: Mapping[str, Any], context: Context) -> Any:
    name = str(body.get("name") or "")
    entry = context.lookup.get("kyverno.io/v2alpha1", "GlobalContextEntry", "", name)
    spec = entry.get("spec") if entry else None
    if not isinstance(spec, Mapping):
        raise LookupFailed(f"failed to fetch global context entry {name}: not found")
    return _with_path(global_value(spec, context.lookup), body, context)


def global_value(spec: Mapping[str, Any], lookup: Lookup) -> Any:
    """What a GlobalContextEntry stands for.

    Raises:
        LookupFailed: it cannot be had.
    """
    resource = spec.get("kubernetesResource")
    if isinstance(resource, Mapping):
        group, version = str(resource.get("group") or ""), str(resource.get("version") or "v1")
        base = f"/apis/{group}/{version}" if group else f"/api/{version}"
        namespace = resource.get("namespace")
        scope = f"/namespaces/{namespace}" if namespace else ""
        found = lookup.raw(f"{base}{scope}/{resource.get('resource')}")
        return list(found.get("items") or ()) if isinstance(found, Mapping) else found
    call = spec.get("apiCall")
    if isinstance(call, Mapping) and call.get("urlPath"):
        return lookup.raw(str(call["urlPath"]), str(call.get("method") or "GET"))
    raise LookupFailed("the global context entry has no source")


def _image(body: Mapping[str, Any], context: Context) -> Any:
    reference = str(context.substitute(body.get("reference") or ""))
    try:
        parsed = parse_image(reference)
    except ValueError as problem:
        raise LookupFailed(f"failed to parse image reference: {problem}") from None
    told = dict(context.lookup.image(reference))
    found = {
        "image": reference,
        "resolvedImage": told.pop("resolvedImage", reference),
        "registry": parsed["registry"],
        "repository": parsed["path"],
        "identifier": parsed.get("digest") or parsed.get("tag"),
        "manifest": told.pop("manifest", {}),
        "configData": told.pop("configData", told.pop("config", {})),
        **told,
    }
    return _with_path(found, body, context)


def request_data(subject: Subject) -> dict[str, Any]:
    """The data every rule starts with."""
    deleted = subject.operation == "DELETE"
    request: dict[str, Any] = {
        "kind": {"group": subject.group, "version": subject.version, "kind": subject.kind},
        "name": subject.name,
        "namespace": subject.name if subject.kind == "Namespace" else subject.namespace,
        "dryRun": subject.dry_run,
    }
    if subject.plural:
        request["resource"] = {"group": subject.group, "version": subject.version, "resource": subject.plural}
    if subject.subresource:
        request["subResource"] = subject.subresource
    if subject.operation:
        request["operation"] = subject.operation
    if deleted:
        request["oldObject"] = subject.old if subject.old is not None else subject.resource
    else:
        request["object"] = subject.resource
        if subject.old is not None:
            request["oldObject"] = subject.old
    data: dict[str, Any] = {"request": request}
    user = subject.user
    if user.known:
        request["userInfo"] = {"username": user.name, "groups": list(user.groups), "uid": user.uid}
        request["roles"], request["clusterRoles"] = list(user.roles), list(user.cluster_roles)
        account = user.name.removeprefix(_ACCOUNT) if user.name.startswith(_ACCOUNT) else ""
        namespace, _, name = account.partition(":")
        data["serviceAccountName"], data["serviceAccountNamespace"] = name, namespace
    return data


def with_values(data: dict[str, Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The data with values at dotted paths, and the names at the start of those paths."""
    out: dict[str, Any] = dict(data)
    for path, value in values.items():
        parts = str(path).split(".")
        here = out
        for part in parts[:-1]:
            deeper = here.get(part)
            here[part] = dict(deeper) if isinstance(deeper, Mapping) else {}
            here = here[part]
        here[parts[-1]] = value
    return out, frozenset(str(path).split(".")[0] for path in values)


__all__ = ["Context", "Exhausted", "global_value", "request_data", "with_values"]
