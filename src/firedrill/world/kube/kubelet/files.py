"""Files that containers see: what volumes show them, and what they have written themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.objects import dig

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.state import PodState

_OWN = "container:"
_FILLED = "\0filled "


def _mounts(item: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(path, volume, path in the volume) of the mounts, the deepest first."""
    found = [
        (
            str(mount.get("mountPath") or "").rstrip("/"),
            str(mount.get("name")),
            str(mount.get("subPath") or ""),
        )
        for mount in dig(item, "volumeMounts", default=()) or ()
    ]
    return sorted(found, key=lambda mount: (-len(mount[0]), mount))


def key_of(item: Mapping[str, Any], path: str) -> str:
    """Under which key a written file is kept: that of its volume, so that other containers see it."""
    for base, volume, part in _mounts(item):
        if path == base or path.startswith(base + "/"):
            inside = "/".join(piece for piece in (part, path[len(base) :].strip("/")) if piece)
            return f"{volume}:{inside}"
    return f"{_OWN}{item.get('name')}:{path}"


def written(state: PodState, item: Mapping[str, Any]) -> dict[str, str]:
    """The files that the pod's containers have written, as this container sees them, by path."""
    own = f"{_OWN}{item.get('name')}:"
    out = {key[len(own) :]: text for key, text in state.written.items() if key.startswith(own)}
    for base, volume, part in reversed(_mounts(item)):
        head = f"{volume}:{part + '/' if part else ''}"
        out |= {
            f"{base}/{key[len(head) :]}": text for key, text in state.written.items() if key.startswith(head)
        }
    return out


def forget_own(state: PodState, name: str) -> dict[str, str]:
    """What is left of the written files when a container begins anew."""
    own = f"{_OWN}{name}:"
    return {key: text for key, text in state.written.items() if not key.startswith(own)}


def shown(state: PodState, item: Mapping[str, Any]) -> dict[str, str]:
    """The files of ConfigMaps, Secrets and the like, as this container sees them, by path.

    A single file that is mounted (`subPath`) stays as it was when the container started.
    """
    out: dict[str, str] = {}
    for base, volume, part in reversed(_mounts(item)):
        if not part:
            out |= {f"{base}/{path}": text for path, text in (state.shown.get(volume) or {}).items()}
            continue
        content = state.shown.get(f"{item.get('name')}@{volume}") or state.shown.get(volume) or {}
        if part in content:
            out[base] = content[part]
        out |= {
            f"{base}/{path[len(part) + 1 :]}": text
            for path, text in content.items()
            if path.startswith(part + "/")
        }
    return out


def own_name(name: str) -> str:
    """Under which name `sizes` tells what a container has written outside of its volumes."""
    return f"{_OWN}{name}"


def filled(size: int) -> str:
    """The content of a file of which only the size matters."""
    return f"{_FILLED}{size}"


def sizes(state: PodState) -> dict[str, int]:
    """Bytes that the pod's containers have written, by volume or container."""
    out: dict[str, int] = {}
    for key, text in state.written.items():
        place = key.rpartition(":")[0]
        size = int(text[len(_FILLED) :]) if text.startswith(_FILLED) else len(text.encode())
        out[place] = out.get(place, 0) + size
    return out
