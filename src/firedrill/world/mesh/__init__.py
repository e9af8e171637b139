"""An ambient service mesh and the gateways of a cluster, as applications feel them.

`view(world)` is the mesh as its proxies know it, `in_mesh(world, pod)` whether one of them carries what a pod
sends and gets; the traffic calls `sync` before each look at the cluster.
"""

from firedrill.world.mesh.controller import CONTROLLER
from firedrill.world.mesh.policy import Asked
from firedrill.world.mesh.state import in_mesh, sync, view
from firedrill.world.mesh.view import OK, Verdict, View

__all__ = ["CONTROLLER", "OK", "Asked", "Verdict", "View", "in_mesh", "sync", "view"]
