"""ServiceAccount: every pod runs as one, and gets its token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.objects import Obj, annotations_of, dig

_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_PREFIX = "kube-api-access-"
_MIRROR = "kubernetes.io/config.mirror"
_TOKEN_SECONDS = 3607


class ServiceAccount(Base):
    """Fills in the account, its pull secrets and the volume with its token."""

    name = "ServiceAccount"

    def admit(self, a: Attributes) -> Obj | None:
        """Complete a new pod."""
        if not a.creates("pods") or a.obj is None:
            return None
        spec = a.obj.get("spec") or {}
        if _MIRROR in annotations_of(a.obj):
            if spec.get("serviceAccountName"):
                raise a.forbidden("a mirror pod may not reference service accounts", generated=True)
            return None
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        account = a.store.get("serviceaccounts", a.namespace, name)
        if account is None:
            raise a.forbidden(
                f'error looking up service account {a.namespace}/{name}: serviceaccount "{name}" not found',
                generated=True,
            )
        spec = {**spec, "serviceAccountName": name, "serviceAccount": name}
        if _automounts(spec, account):
            spec = _with_token(a, spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(item) for item in account["imagePullSecrets"]]
        return {**a.obj, "spec": spec}


def _automounts(spec: Mapping[str, Any], account: Mapping[str, Any]) -> bool:
    for source in (spec, account):
        if source.get("automountServiceAccountToken") is not None:
            return bool(source["automountServiceAccountToken"])
    return True


def _with_token(a: Attributes, spec: Obj) -> Obj:
    volumes = list(spec.get("volumes") or ())
    existing = (item["name"] for item in volumes if str(item.get("name", "")).startswith(_PREFIX))
    here = (a.obj or {}).get("metadata") or {}
    label = here.get("name") or here.get("generateName")
    drawn = _PREFIX + a.world.rng.suffix(5, "token-volume", a.namespace, label, a.store.rv)
    name = next(existing, drawn)
    mount = {"name": name, "readOnly": True, "mountPath": _PATH}
    out = dict(spec)
    added = False
    for key in ("initContainers", "containers"):
        if not spec.get(key):
            continue
        containers = []
        for container in spec[key]:
            mounts = list(container.get("volumeMounts") or ())
            if not any(item.get("mountPath") == _PATH for item in mounts):
                containers.append({**container, "volumeMounts": [*mounts, mount]})
                added = True
            else:
                containers.append(container)
        out[key] = containers
    if added and not any(item.get("name") == name for item in volumes):
        out["volumes"] = [*volumes, _volume(name)]
    return out


def _volume(name: str) -> Obj:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def token_volume_of(pod: Mapping[str, Any]) -> str | None:
    """The name of the volume with the pod's token, or None where it has none."""
    for volume in dig(pod, "spec", "volumes", default=()):
        if str(volume.get("name", "")).startswith(_PREFIX):
            return str(volume["name"])
    return None
