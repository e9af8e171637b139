"""Claims cannot be changed once they are made: a wrong one is deleted and made anew, as people do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._changes import Outcome, client
from firedrill.faults.base import Undo
from firedrill.world.kube.objects import Obj, dig

if TYPE_CHECKING:
    from firedrill.world import World

_CLAIMS = "persistentvolumeclaims"
_VOLUMES = "persistentvolumes"


def claim_again(world: World, args: Mapping[str, Any], changes: Mapping[str, Any]) -> Outcome:
    """Make the claim anew with these fields of its spec; the pods that use it are deleted before.

    Raises:
        ApiError: the claim is not there.
    """
    before = client(world).get(_CLAIMS, args["namespace"], args["name"])
    volume = dig(before, "spec", "volumeName")
    _remove(world, before)
    spec = {key: item for key, item in before["spec"].items() if key != "volumeName"}
    client(world).create(_claim(before, args["name"], {**spec, **changes}))
    return _outcome(args, before, volume)


def occupy(world: World, args: Mapping[str, Any]) -> Outcome:
    """Let another claim have the volume of a claim, which is then left without.

    Raises:
        InputError: the claim has no volume that another could take.
        ApiError: the claim is not there.
    """
    user = client(world)
    before = user.get(_CLAIMS, args["namespace"], args["name"])
    volume = dig(before, "spec", "volumeName") or _fitting(world, before)
    if not volume:
        raise InputError("the claim has no volume", field="name", mend="name a claim that is bound")
    _remove(world, before)
    spec = {key: item for key, item in before["spec"].items() if key != "volumeName"}
    user.create(_claim(before, args["occupant"], {**spec, "volumeName": volume}))
    reserved = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": args["namespace"],
        "name": args["occupant"],
    }
    user.patch(_VOLUMES, "", volume, {"spec": {"claimRef": reserved}})
    user.create(_claim(before, args["name"], spec))
    causes, undo = _outcome(args, before, volume)
    return causes, (Undo(_CLAIMS, args["namespace"], args["occupant"]), *undo)


def _fitting(world: World, claim: Obj) -> str:
    wanted = str(dig(claim, "spec", "storageClassName", default=""))
    for volume in client(world).list(_VOLUMES):
        if (
            dig(volume, "status", "phase") != "Bound"
            and dig(volume, "spec", "storageClassName", default="") == wanted
        ):
            return str(volume["metadata"]["name"])
    return ""


def _claim(before: Obj, name: str, spec: Mapping[str, Any]) -> Obj:
    place = {"name": name, "namespace": before["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": place, "spec": dict(spec)}


def _remove(world: World, claim: Obj) -> None:
    """Delete the claim, the pods that hold it, and the mark of its volume, as an operator frees a volume."""
    user = client(world)
    namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
    for pod in user.list("pods", namespace):
        used = [dig(item, "persistentVolumeClaim", "claimName") for item in pod["spec"].get("volumes") or ()]
        if name in used:
            user.delete("pods", namespace, pod["metadata"]["name"], grace=0)
    user.patch(_CLAIMS, namespace, name, {"metadata": {"finalizers": None}})
    user.delete(_CLAIMS, namespace, name)
    volume = user.find(_VOLUMES, "", str(dig(claim, "spec", "volumeName", default="")))
    if volume is not None:
        user.patch(_VOLUMES, "", volume["metadata"]["name"], {"spec": {"claimRef": None}})


def _outcome(args: Mapping[str, Any], before: Obj, volume: str | None) -> Outcome:
    causes = [f"{args['namespace']}/PersistentVolumeClaim/{args['name']}"]
    if volume:
        causes.append(f"cluster/PersistentVolume/{volume}")
    return tuple(causes), (Undo(_CLAIMS, args["namespace"], args["name"], before),)
