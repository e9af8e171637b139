"""a program may not write where its data lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_pods, pick
from firedrill.faults._reading import written_by
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")
        mounts = container.setdefault("volumeMounts", [])
        if not mounts:
            mounts.append({"name": "data", "mountPath": args["mount"] or "/data"})
        mount = next((item for item in mounts if item["mountPath"] == args["mount"]), mounts[0])
        volume = {"name": mount["name"], "hostPath": {"path": args["path"], "type": "Directory"}}
        rest = [item for item in spec.get("volumes") or () if item["name"] != mount["name"]]
        spec["volumes"] = [*rest, volume]
        container["securityContext"] = {**(container.get("securityContext") or {}), "runAsUser": 65534}

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        for path in written_by(world, owner):
            yield from both_ways(on_container(world, owner, mount=path))


FAULT = register(
    Fault(
        id="volume-mount-permission-denied",
        title="a program may not write where its data lies",
        parameters={
            **CONTAINER,
            **ANEW,
            "path": Parameter("the directory on the node", "/mnt/data"),
            "mount": Parameter("where the container mounts it; its first mount where empty", ""),
        },
        inject=_inject,
        shows="restarts",
        aliases=("volume_mount_permission_denied",),
        family="storage",
        category="Configuration Setting",
        text=(
            "The data of a program were moved to a directory of the node that belongs to somebody "
            "else, and the program runs under another user. It may not write and ends."
        ),
        fits=_fits,
        lacks="no workload keeps data in a volume that it may write to",
    )
)
