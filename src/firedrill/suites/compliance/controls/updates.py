"""What breaks old and new requirements together, after policies were changed."""

from __future__ import annotations

from firedrill.suites.compliance.controls.pods import Obj, Objects, each, pod_of, pods, security
from firedrill.suites.compliance.patching import entity


def _all_containers_and_team(objects: Objects) -> set[str]:
    found = each(lambda item: bool(security(item).get("privileged")))(objects)
    for obj in objects:
        if obj["kind"] == "Deployment" and not (obj["metadata"].get("labels") or {}).get("team"):
            found.add(entity(obj))
    return found


def _images(objects: Objects) -> set[str]:
    """Registries of ku-04 are drawn once, so that its own text tells them."""
    from firedrill.suites.compliance.loading import load, words_of

    words = words_of(load("ku-04"))
    allowed = (f"{words['first']}/", f"{words['second']}/")

    def bad(container: Obj) -> bool:
        image = str(container["image"])
        path = image.partition("/")[2]
        tagged = "@" in path or (":" in path and not path.endswith(":latest"))
        return not image.startswith(allowed) or not tagged

    return pods(lambda spec: any(map(bad, [*spec["containers"], *(spec.get("initContainers") or ())])))(
        objects
    )


def _capabilities(container: Obj) -> bool:
    own = security(container).get("capabilities") or {}
    return "ALL" not in (own.get("drop") or ()) or bool(set(own.get("add") or ()) - {"NET_BIND_SERVICE"})


def _host_network(objects: Objects) -> set[str]:
    exempt = {"kube-system"} | {
        obj["metadata"]["name"]
        for obj in objects
        if obj["kind"] == "Namespace" and (obj["metadata"].get("labels") or {}).get("policy") == "exempt"
    }
    found = set()
    for obj in objects:
        pod = pod_of(obj)
        shares = pod is not None and (pod.get("spec") or {}).get("hostNetwork")
        if shares and obj["metadata"].get("namespace") not in exempt:
            found.add(entity(obj))
    return found


JUDGES = {
    "ku-02": _all_containers_and_team,
    "ku-04": _images,
    "ku-06": _host_network,
    "ku-07": each(_capabilities),
}
