"""What breaks old and new requirements together, after policies were changed."""

from __future__ import annotations

import json

from firedrill.core.compliance import Verdict
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
    exempt = {"kube-system"} | _labelled(objects, "policy", "exempt")
    found = set()
    for obj in objects:
        pod = pod_of(obj)
        shares = pod is not None and (pod.get("spec") or {}).get("hostNetwork")
        if shares and obj["metadata"].get("namespace") not in exempt:
            found.add(entity(obj))
    return found


def _labelled(objects: Objects, key: str, value: str) -> set[str]:
    """Namespaces with that label."""
    spaces = (obj["metadata"] for obj in objects if obj["kind"] == "Namespace")
    return {about["name"] for about in spaces if (about.get("labels") or {}).get(key) == value}


def _denied_in_production(objects: Objects) -> dict[str, Verdict]:
    production = _labelled(objects, "env", "prod")
    bad = each(lambda item: bool(security(item).get("privileged")))(objects)
    return {name: "block" if name.split("/")[0] in production else "fail" for name in bad}


def _resources(objects: Objects) -> set[str]:
    def bad(container: Obj) -> bool:
        own = container.get("resources") or {}
        return not (own.get("requests") or {}).get("cpu") or not (own.get("limits") or {}).get("memory")

    judged = [obj for obj in objects if obj["kind"] != "Job"]
    return pods(lambda spec: any(map(bad, [*spec["containers"], *(spec.get("initContainers") or ())])))(
        judged
    )


def _replicas(objects: Objects) -> set[str]:
    production = _labelled(objects, "env", "prod")
    found = set()
    for obj in objects:
        about = obj["metadata"]
        if obj["kind"] != "Deployment" or (about.get("annotations") or {}).get("scaling") == "automatic":
            continue
        if obj["spec"].get("replicas", 1) < (3 if about["namespace"] in production else 2):
            found.add(entity(obj))
    return found


def _account_and_registry(objects: Objects) -> set[str]:
    """The registry of ku-01 is drawn once, so that its own text tells it."""
    from firedrill.suites.compliance.loading import load, words_of

    allowed = f"{words_of(load('ku-01'))['allowed']}/"

    def bad(container: Obj) -> bool:
        own = security(container)
        gains = own.get("allowPrivilegeEscalation") is not False
        return gains or own.get("runAsUser") == 0 or not str(container["image"]).startswith(allowed)

    def breaks(spec: Obj) -> bool:
        listed = [*spec["containers"], *(spec.get("initContainers") or ())]
        return spec.get("serviceAccountName", "default") == "default" or any(map(bad, listed))

    return pods(breaks)(objects)


def _teams(objects: Objects) -> set[str]:
    known: set[str] = set()
    for obj in objects:
        if entity(obj) == "platform/ConfigMap/teams":
            known = set(json.loads(obj["data"]["names"]))
    judged = [obj for obj in objects if obj["kind"] in ("Deployment", "StatefulSet")]
    return {entity(obj) for obj in judged if (obj["metadata"].get("labels") or {}).get("team") not in known}


def _log_readers(objects: Objects) -> set[str]:
    """The namespace of ku-08 is drawn once, so that its own text tells it."""
    from firedrill.suites.compliance.loading import load, words_of

    space = words_of(load("ku-08"))["space"]

    def written(spec: Obj, volume: str) -> bool:
        listed = [*spec["containers"], *(spec.get("initContainers") or ())]
        mounts = [mount for item in listed for mount in item.get("volumeMounts") or ()]
        return any(mount["name"] == volume and mount.get("readOnly") is not True for mount in mounts)

    found = set()
    for obj in objects:
        pod = pod_of(obj)
        spec = {} if pod is None else pod.get("spec") or {}
        for volume in spec.get("volumes") or ():
            path = str((volume.get("hostPath") or {}).get("path", ""))
            logs = f"{path}/".startswith("/var/log/") and ".." not in path
            allowed = obj["metadata"]["namespace"] == space and logs and not written(spec, volume["name"])
            if path and not allowed:
                found.add(entity(obj))
    return found


def _exempt_agent(objects: Objects) -> set[str]:
    """What is exempt in ku-11 is drawn once, so that its own text tells it."""
    from firedrill.suites.compliance.loading import load, words_of

    words = words_of(load("ku-11"))
    itself, its_pods = (
        f"{words['space']}/DaemonSet/{words['agent']}",
        f"{words['space']}/Pod/{words['agent']}-",
    )
    network = pods(lambda spec: bool(spec.get("hostNetwork")))(objects)
    exempt = {name for name in network if name == itself or name.startswith(its_pods)}
    return (network - exempt) | pods(lambda spec: bool(spec.get("hostPID")))(objects)


def _as_before(objects: Objects) -> dict[str, Verdict]:
    """The namespace of ku-12 in which denials become reports is drawn once, so that its own text tells it."""
    from firedrill.suites.compliance.loading import load, words_of

    reporting = words_of(load("ku-12"))["legacy"]
    exempt = {"kube-system"} | _labelled(objects, "policy", "exempt")
    shared = pods(lambda spec: bool(spec.get("hostNetwork") or spec.get("hostPID")))(objects)
    found: dict[str, Verdict] = {}
    for obj in objects:
        if obj["kind"] == "Deployment" and not (obj["metadata"].get("labels") or {}).get("team"):
            found[entity(obj)] = "fail"
    found |= _denied_in_production(objects)
    for name in shared:
        space = name.split("/")[0]
        if space not in exempt and (space != reporting or name not in found):
            found[name] = "fail" if space == reporting else "block"
    return found


JUDGES = {
    "ku-01": _account_and_registry,
    "ku-02": _all_containers_and_team,
    "ku-03": _denied_in_production,
    "ku-04": _images,
    "ku-05": _resources,
    "ku-06": _host_network,
    "ku-07": each(_capabilities),
    "ku-08": _log_readers,
    "ku-09": _teams,
    "ku-10": _replicas,
    "ku-11": _exempt_agent,
    "ku-12": _as_before,
}
