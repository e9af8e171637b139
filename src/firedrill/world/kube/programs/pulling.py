"""What happens when a node asks a registry for an image, in the words of containerd 1.7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import Reference

if TYPE_CHECKING:
    from firedrill.world.world import World


@dataclass(frozen=True, slots=True)
class Pulled:
    """The outcome of a pull.

    Attributes:
        error: what the runtime says; empty where the image came.
        ms: how long it took.
        size: bytes of the image.
    """

    error: str
    ms: int
    size: int = 0


def pull(
    world: World, reference: Reference, architecture: str, credentials: frozenset[str], *key: object
) -> Pulled:
    """Ask for an image.

    Args:
        world: where.
        reference: which image.
        architecture: of the node.
        credentials: hosts for which the pod's secrets hold credentials.
        key: names the attempt, for the draw of its duration.
    """
    error, slow = _refusal(world, reference, architecture, credentials)
    draw = world.rng.uniform("kubelet.pull", *key)
    if error:
        return Pulled(error, slow or 250 + int(draw * 1400))
    size = catalogue.size_of(world, reference)
    return Pulled("", 350 + int((0.6 + draw) * size / 28_000), size)


def _refusal(
    world: World, reference: Reference, architecture: str, credentials: frozenset[str]
) -> tuple[str, int]:
    host, full = reference.host, reference.full
    unpack = f'failed to pull and unpack image "{full}": '
    resolve = f'{unpack}failed to resolve reference "{full}": '
    api = "registry-1.docker.io" if host == "docker.io" else host
    wanted = reference.tag or reference.digest
    head = f'failed to do request: Head "https://{api}/v2/{reference.path}/manifests/{wanted}": '
    state = world.cluster.part(catalogue.Catalogue).unreachable.get(host, "")
    if state == "dns" or (not state and not catalogue.knows_host(world, host)):
        return resolve + head + _no_host(api), 0
    if state:
        address = (
            f"{world.rng.integer(11, 188, 'registry', host)}.{world.rng.integer(0, 255, 'b', host)}.14.82:443"
        )
        why = "i/o timeout" if state == "timeout" else "connect: connection refused"
        return f"{resolve}{head}dial tcp {address}: {why}", 30_000 if state == "timeout" else 0
    repository = catalogue.find(world, reference)
    if repository is None or (repository.private and host not in credentials):
        return resolve + _denied(reference, api, repository is not None, host in credentials), 0
    if not catalogue.has_tag(repository, reference):
        return f"rpc error: code = NotFound desc = {resolve}{full}: not found", 0
    single = (
        full in world.cluster.part(catalogue.Catalogue).architectures
    )  # no list of platforms: it is taken
    if not single and architecture not in repository.program.architectures:
        return (
            f"rpc error: code = NotFound desc = {unpack}no match for platform in manifest: not found",
            0,
        )
    return "", 0


def _no_host(api: str) -> str:
    name = api.partition(":")[0]
    if name.endswith(".local"):
        return f"dial tcp: lookup {name}: Temporary failure in name resolution"
    return f"dial tcp: lookup {name} on 127.0.0.53:53: no such host"


def _denied(reference: Reference, api: str, exists: bool, authenticated: bool) -> str:
    how = catalogue.refusal_of(reference.host)
    if how == "denied":
        return (
            "pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed"
        )
    if how == "missing" and not exists:
        return f"{reference.full}: not found"
    token = "oauth" if authenticated else "anonymous"
    code = "401 Unauthorized" if how == "unauthorized" else "403 Forbidden"
    scope = quote(f"repository:{reference.path}:pull", safe="")
    return (
        f"failed to authorize: failed to fetch {token} token: unexpected status from GET request to "
        f"https://{api}/token?scope={scope}&service={api}: {code}"
    )
