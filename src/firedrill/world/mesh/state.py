"""What the proxies of a mesh were told: while its control plane is away, they go by what they heard last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of, uid_of
from firedrill.world.kube.store import TooOldError
from firedrill.world.mesh.view import GATEWAY_LABEL, View
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.kube.store import Store
    from firedrill.world.world import World

AUTHORIZATIONS: Final = "authorizationpolicies.security.istio.io"
AUTHENTICATIONS: Final = "peerauthentications.security.istio.io"
GATEWAYS: Final = "gateways.gateway.networking.k8s.io"
ROUTES: Final = "httproutes.gateway.networking.k8s.io"
_WATCHED = frozenset(
    {AUTHORIZATIONS, AUTHENTICATIONS, GATEWAYS, ROUTES, "namespaces", "services", "daemonsets.apps"}
)
_NODE_PROXY, _CONTROL = "ztunnel", "pilot"
_NOTHING: Final = View()


class MeshState:
    """The mesh as its proxies know it.

    Attributes:
        view: what they go by.
        version: moves when it changes.
        away: since when the control plane has been away, in ms; -1 while it is there.
        rv: version of the store that was looked at last; -1 before the first look.
    """

    __slots__ = ("away", "rv", "version", "view")

    def __init__(self) -> None:
        self.view = _NOTHING
        self.version = 0
        self.away = -1
        self.rv = -1

    def fork(self) -> Self:
        """An independent copy: all that it holds is replaced, never changed."""
        twin = type(self)()
        twin.view, twin.version, twin.away, twin.rv = self.view, self.version, self.away, self.rv
        return twin

    def state(self) -> object:
        """What cannot be read from the objects, as plain data."""
        told = [self.view.authorizations, self.view.authentications, self.view.routes]
        named = [[uid_of(item), item["metadata"]["resourceVersion"]] for part in told for item in part]
        return [self.away, sorted(self.view.strangers), named]


def view(world: World) -> View:
    """The mesh as its proxies know it now; one without a root where there is none."""
    part = world.cluster.part(MeshState)
    if part.rv == world.cluster.store.rv:
        return part.view
    return _look(world, part)[0] if part.rv < 0 or _moved(world, part.rv) else part.view


def in_mesh(world: World, pod: Obj) -> bool:
    """Whether the connections of a pod go through a proxy of the mesh that works, which counts them."""
    now = view(world)
    if now.gateway_of(pod) is not None:
        return True
    return now.captured(pod) and dig(pod, "spec", "nodeName") in now.nodes


def controlled(world: World) -> tuple[str, bool]:
    """(the namespace of the mesh, whether its control plane works); an empty one where there is no mesh."""
    store = world.cluster.store
    root = _root(store)
    return root, bool(root) and any(_ready(pod) and _runs(pod, _CONTROL) for pod in store.list("pods", root))


def sync(world: World) -> int:
    """Let the proxies hear what is new; returns a number that moves whenever anything is."""
    part = world.cluster.part(MeshState)
    rv = world.cluster.store.rv
    if part.rv == rv:
        return part.version
    if part.rv < 0 or _moved(world, part.rv):
        found, away = _look(world, part)
        if found is not part.view:
            part.view, part.version = found, part.version + 1
        part.away = away
    part.rv = rv
    return part.version


def _moved(world: World, since: int) -> bool:
    """Whether anything that a mesh depends on has changed."""
    part = world.cluster.part(MeshState)
    root = part.view.root
    try:
        for change in world.cluster.store.since(since):
            if change.resource in _WATCHED:
                return True
            if change.resource == "pods" and root and _concerns(change.obj, root, part.away):
                return True
    except TooOldError:
        return True
    return False


def _concerns(pod: Obj, root: str, away: int) -> bool:
    return away >= 0 or namespace_of(pod) == root or _is_proxy(pod)


def _is_proxy(pod: Obj) -> bool:
    return GATEWAY_LABEL in labels_of(pod)


def _look(world: World, part: MeshState) -> tuple[View, int]:
    """(the view, since when the control plane is away) as they are now."""
    store, before = world.cluster.store, part.view
    root = _root(store)
    if not root:
        return (_NOTHING if before.root else before), -1
    ready = [pod for pod in store.list("pods", root) if _ready(pod)]
    nodes = frozenset(str(dig(pod, "spec", "nodeName")) for pod in ready if _runs(pod, _NODE_PROXY))
    if not before.root or any(_runs(pod, _CONTROL) for pod in ready):
        told = _told(store, root, world.cluster.settings.cluster_domain)
        return replace(told, nodes=nodes), -1
    away = part.away if part.away >= 0 else world.now
    strangers = frozenset(uid_of(pod) for pod in store.list("pods") if _born(pod) > away // 1000 * 1000)
    return replace(before, nodes=nodes, strangers=strangers), away


def _root(store: Store) -> str:
    """The namespace of the node proxies, or empty."""
    for daemon in store.list("daemonsets.apps"):
        if _has(daemon["spec"]["template"]["spec"], _NODE_PROXY):
            return namespace_of(daemon)
    return ""


def _runs(pod: Obj, program: str) -> bool:
    return _has(pod["spec"], program)


def _has(spec: Obj, program: str) -> bool:
    """Whether a container runs an image of that name."""
    for item in spec.get("containers") or ():
        if str(item.get("image")).partition("@")[0].rpartition("/")[2].partition(":")[0] == program:
            return True
    return False


def _ready(pod: Obj) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found.get("status") == "True"


def _born(pod: Obj) -> int:
    return epoch_ms(str(pod["metadata"]["creationTimestamp"]))


def _told(store: Store, root: str, trust: str) -> View:
    """All that the control plane tells proxies now."""
    gateways = {(namespace_of(item), name_of(item)): item for item in store.list(GATEWAYS)}
    proxies = [pod for pod in store.list("pods") if _is_proxy(pod) and _ready(pod)] if gateways else []
    ready = frozenset((namespace_of(pod), labels_of(pod)[GATEWAY_LABEL]) for pod in proxies)
    return View(
        root=root,
        namespaces={name_of(item): labels_of(item) for item in store.list("namespaces")},
        services={(namespace_of(item), name_of(item)): labels_of(item) for item in store.list("services")},
        authorizations=tuple(store.list(AUTHORIZATIONS)),
        authentications=tuple(store.list(AUTHENTICATIONS)),
        routes=tuple(store.list(ROUTES)),
        gateways=gateways,
        waypoints=ready & gateways.keys(),
        trust=trust,
    )
