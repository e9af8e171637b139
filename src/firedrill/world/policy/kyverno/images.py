"""References to images, taken apart as Kyverno shows them to policies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9+._-]+:[0-9a-fA-F]{32,}")
_PATH = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
KEYS = ("initContainers", "containers", "ephemeralContainers")
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where the pod lies in what makes pods."""


def parse_image(text: str, registry: str = "docker.io") -> dict[str, Any]:
    """Registry, path, name, tag or digest of a reference.

    Raises:
        ValueError: it is none.
    """
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, rest = head, tail
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, ""
    wrong = len(text) > 4096 or _PATH.fullmatch(path) is None
    if wrong or (tag and not _TAG.fullmatch(tag)) or (digest and not _DIGEST.fullmatch(digest)):
        raise ValueError(f"bad image: {text}, defaultRegistry: docker.io/, invalid reference format")
    if not digest and not tag:
        tag = "latest"
    end = f"@{digest}" if digest else f":{tag}"
    out = {
        "name": path.rpartition("/")[2],
        "path": path,
        "registry": registry,
        "reference": f"{registry}/{path}{end}",
    }
    if digest:
        out["digest"] = digest
    if tag:
        out["tag"] = tag
    return out


def pod_of(resource: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The pod in an object, and where it lies; an empty one where there is none."""
    path = TEMPLATES.get(str(resource.get("kind")))
    if path is None:
        return {}, ()
    here: Any = resource
    for step in path:
        here = here.get(step) if isinstance(here, Mapping) else None
    return (here if isinstance(here, Mapping) else {}), path


def images_of(resource: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The images of an object by list and container; what cannot be read is left out."""
    pod, path = pod_of(resource)
    spec = pod.get("spec")
    out: dict[str, dict[str, Any]] = {}
    if not isinstance(spec, Mapping):
        return out
    for key in KEYS:
        items = spec.get(key)
        for at, item in enumerate(items if isinstance(items, list) else ()):
            text = item.get("image") if isinstance(item, Mapping) else None
            if not isinstance(text, str):
                continue
            pointer = "/" + "/".join((*path, "spec", key, str(at), "image"))
            try:
                found = parse_image(text)
            except ValueError:
                continue
            out.setdefault(key, {})[str(item.get("name") or at)] = {**found, "jsonPointer": pointer}
    return out
