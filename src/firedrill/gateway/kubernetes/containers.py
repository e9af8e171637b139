"""Which container of a pod is meant, and whether it can be worked with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.api import errors
from firedrill.world.kube.objects import Obj, annotations_of, dig, name_of

_DEFAULT = "kubectl.kubernetes.io/default-container"


def names(pod: Obj) -> tuple[list[str], list[str], list[str]]:
    """The names of containers, init containers and ephemeral containers."""
    spec = pod.get("spec") or {}
    kinds = ("containers", "initContainers", "ephemeralContainers")
    found = [[str(item.get("name")) for item in spec.get(kind) or ()] for kind in kinds]
    return found[0], found[1], found[2]


def choose(pod: Obj, asked: str, *, verb: str) -> str:
    """The container that a request means.

    Args:
        pod: the pod.
        asked: as named in the request; may be empty.
        verb: `log` or something else, for the words of the refusal.

    Raises:
        ApiError: 400, none is named and there are several, or there is none of that name.
    """
    usual, init, ephemeral = names(pod)
    if asked:
        if asked not in (*usual, *init, *ephemeral):
            raise errors.bad_request(f"container {asked} is not valid for pod {name_of(pod)}")
        return asked
    if len(usual) == 1 and not init:
        return usual[0]
    preferred = annotations_of(pod).get(_DEFAULT)
    if verb != "log" and preferred in usual:
        return str(preferred)
    if len(usual) == 1 and verb != "log":
        return usual[0]
    if not usual:
        raise errors.bad_request(f"no container found for pod {name_of(pod)}")
    text = f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(usual)}]"
    if init:
        text += f" or one of the init containers: [{' '.join(init)}]"
    if ephemeral:
        text += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise errors.bad_request(text)


def status_of(pod: Obj, container: str) -> Mapping[str, Any]:
    """The container's status, empty where it has none yet."""
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for item in dig(pod, "status", kind, default=()):
            if item.get("name") == container:
                return item  # type: ignore[no-any-return]
    return {}


def running(pod: Obj, container: str) -> bool:
    """Whether the container runs now."""
    return dig(status_of(pod, container), "state", "running") is not None
