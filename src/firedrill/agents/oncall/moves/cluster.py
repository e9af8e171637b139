"""Labels of namespaces that decide how their programs are treated."""

from __future__ import annotations

from collections.abc import Iterator

from firedrill.agents.oncall.fields import writes
from firedrill.agents.oncall.steps import Scene, Step, changed, patch
from firedrill.agents.sleuth.case import mapping

_MESH = "istio.io/dataplane-mode"
_MESHED = ("ambient", "istio-injection", "istio.io/rev")


def labels(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """Labels that somebody has put on a namespace are taken off; one that leads into the mesh is put back."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] != "Namespace":
        return
    obj = found[1]
    now = dict(mapping(obj, "metadata", "labels"))
    written = {
        path[2][2:]
        for one in writes(obj, scene.before.base)
        for path in one.paths()
        if path[:2] == ("f:metadata", "f:labels") and len(path) > 2
    }
    wanted = {key: value for key, value in now.items() if key not in written}
    mesh = any(_MESH in mapping(space, "metadata", "labels") for space in scene.of("Namespace"))
    waypoints = scene.of("PeerAuthentication", "AuthorizationPolicy")
    if _MESH not in wanted and (_MESH in written or ((mesh or waypoints) and "mesh" in why)):
        wanted[_MESH] = "ambient"
    action = patch(scene, obj, changed(obj, "metadata", "labels", value=wanted))
    if action is not None:
        text = ", ".join(sorted(set(now.items()) ^ set(wanted.items()), key=str).__iter__().__next__())
        yield Step(entity, f"{entity}: put its labels back ({text})", why, (action,), guessed=True)
