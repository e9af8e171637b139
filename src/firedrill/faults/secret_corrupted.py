"""all that a Secret holds is replaced by something else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import calls
from firedrill.faults._changes import Outcome, edit, restart
from firedrill.faults._making import joined
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import dig, namespace_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(secret: Obj) -> None:
        secret["data"] = {
            key: b64encode(world.rng.suffix(16, "secret", args["name"], key).encode()).decode()
            for key in sorted(secret.get("data") or {})
        }

    undo = edit(world, "secrets", args["namespace"], args["name"], change)
    cause: Outcome = ((f"{args['namespace']}/Secret/{args['name']}",), (undo,))
    readers = [item for item in str(args["readers"]).split(",") if item]
    again = [restart(world, _reader(args["namespace"], item)) for item in readers]
    return joined(cause, *again)


def _reader(namespace: str, text: str) -> dict[str, str]:
    kind, slash, name = text.rpartition("/")
    return {"namespace": namespace, "kind": kind if slash else "Deployment", "name": name}


def _fits(world: World) -> Iterator[Target]:
    """Secrets with which a workload proves to another one who it is."""
    for owner, _service, call in calls(world):
        for item in fitting.main_container(world, owner).get("env") or ():
            name = dig(item, "valueFrom", "secretKeyRef", "name")
            if name and call.credential is not None and item["name"] == call.credential.client:
                args = {"namespace": namespace_of(owner), "name": name}
                readers = f"{owner['kind']}/{owner['metadata']['name']}"
                yield Target({**args, "readers": readers}, fitting.entity(owner))


FAULT = register(
    Fault(
        id="corrupted-kubernetes-secret-credentials",
        title="all that a Secret holds is replaced by something else, and who reads it fails",
        parameters={
            "namespace": Parameter("namespace of the Secret"),
            "name": Parameter("name of the Secret"),
            "readers": Parameter("Kind/name of the workloads that start anew, separated by commas", ""),
        },
        inject=_inject,
        shows="failing",
        aliases=("corrupted_kubernetes_secret_credentials",),
        family="credentials",
        category="Change",
        text="The values of the Secret were overwritten, as by a job that rotates passwords and got it "
        "wrong. Whoever starts after that presents credentials that nobody accepts.",
        fits=_fits,
        lacks="no workload of the application takes its credentials from a Secret",
    )
)
