"""A variant of a cluster as a set of objects: as an API server would have stored them, and found again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from firedrill.core.errors import InputError
from firedrill.gateway.kubernetes.paths import parse
from firedrill.suites.compliance.patching import entity
from firedrill.world.kube.kinds import Kinds, default_kinds
from firedrill.world.kube.schema import default

Obj = dict[str, Any]
_NAME_LABEL = "kubernetes.io/metadata.name"
_DEFAULT = "default"


class Cluster:
    """Objects, with what an API server fills in: namespaces, defaults, uids.

    Attributes:
        objects: by entity.
        kinds: that are known.
    """

    def __init__(self, objects: Iterable[Mapping[str, Any]], kinds: Kinds | None = None) -> None:
        self.kinds = kinds or default_kinds()
        self.objects: dict[str, Obj] = {}
        for number, item in enumerate(objects, start=1):
            obj = self._stored(item, number)
            self.objects[entity(obj)] = obj
        for namespace in sorted({self.namespace_of(obj) for obj in self.objects.values()} - {""}):
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            if entity(made) not in self.objects:
                self.objects[entity(made)] = self._stored(made, len(self.objects) + 1)

    def _stored(self, item: Mapping[str, Any], number: int) -> Obj:
        obj = copy.deepcopy(dict(item))
        kind = self.kinds.of(obj)
        if kind is None:
            problem = f"no kind {obj.get('apiVersion')} {obj.get('kind')}"
            raise InputError(problem, field=entity(obj))
        about = dict(obj.get("metadata") or {})
        if kind.namespaced:
            about.setdefault("namespace", _DEFAULT)
        else:
            about.pop("namespace", None)
        if kind.resource == "namespaces":
            about["labels"] = {**(about.get("labels") or {}), _NAME_LABEL: about.get("name", "")}
        about.setdefault("uid", f"00000000-0000-4000-8000-{number:012d}")
        return default(kind, {**obj, "metadata": about})

    @staticmethod
    def namespace_of(obj: Mapping[str, Any]) -> str:
        """The namespace of an object, empty for cluster-scoped ones."""
        return str((obj.get("metadata") or {}).get("namespace") or "")

    @cached_property
    def _labels(self) -> dict[str, Mapping[str, str]]:
        found = self.list("v1", "Namespace")
        return {str(item["metadata"]["name"]): item["metadata"].get("labels") or {} for item in found}

    def labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace."""
        return self._labels.get(namespace, {})

    # -- what policies may ask -----------------------------------------------------------------------

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """One object, or None."""
        found = self.objects.get(f"{namespace or 'cluster'}/{kind}/{name}")
        return found if found is not None and _group(found) == api_version.rpartition("/")[0] else None

    def list(self, api_version: str, kind: str, namespace: str = "") -> Sequence[Mapping[str, Any]]:
        """The objects of a kind; an empty namespace means all of them."""
        group = api_version.rpartition("/")[0]
        return [
            obj
            for obj in self.objects.values()
            if obj.get("kind") == kind and _group(obj) == group and namespace in ("", self.namespace_of(obj))
        ]

    def raw(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """The answer of the API server to a path.

        Raises:
            LookupFailed: nothing is there.
        """
        from firedrill.world.policy.kyverno import LookupFailed

        target = parse(path.partition("?")[0])
        kind = target and self.kinds.by_gvr(target.group, target.version, target.plural)
        if target is None or not kind or method != "GET":
            raise LookupFailed(f"the server could not find the requested resource: {path}")
        if not target.name:
            items = self.list(kind.api_version, kind.kind, target.namespace if kind.namespaced else "")
            return {"apiVersion": kind.api_version, "kind": kind.list_kind, "items": list(items)}
        found = self.get(
            kind.api_version, kind.kind, target.namespace if kind.namespaced else "", target.name
        )
        if found is None:
            raise LookupFailed(f'{kind.plural} "{target.name}" not found')
        return found

    def image(self, reference: str) -> Mapping[str, Any]:
        """What a registry says about an image: none can be reached.

        Raises:
            LookupFailed: always.
        """
        from firedrill.world.policy.kyverno import LookupFailed

        raise LookupFailed(f"failed to fetch image descriptor: {reference}: no registry can be reached")

    def variables(self, policy: str, rule: str, resource: str) -> Mapping[str, Any]:
        """Nothing is given."""
        return {}


def _group(obj: Mapping[str, Any]) -> str:
    return str(obj.get("apiVersion") or "").rpartition("/")[0]


__all__ = ["Cluster"]
