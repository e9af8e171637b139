"""What teams do to the application itself: new versions, numbers of copies, and edits that change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import parse_reference
from firedrill.world.life import choosing, people
from firedrill.world.life.state import note
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

Act = Callable[["World", int], bool]
"""Called with the number of the act among those of its kind; whether anything was done."""

DEPLOYMENTS: Final = "deployments.apps"
_BACK_MS = (480_000, 1_500_000)
_TUNED = ("LOG_SAMPLING", "HTTP_IDLE_TIMEOUT", "METRICS_PREFIX", "BUILD_INFO", "TRACE_RATIO_HINT")
_TOPICS = ("release-notes", "runbook", "dashboards", "oncall-rota", "feature-notes")


def entity(obj: Obj) -> str:
    """`namespace/Kind/name`."""
    return f"{namespace_of(obj)}/{obj['kind']}/{name_of(obj)}"


def next_tag(tag: str) -> str:
    """The tag of the next version: its last number one higher, or another build of it."""
    version = re.search(r"\d+(\.\d+)+", tag)
    if version is None:
        return f"{tag}-r2"
    head, _, last = version[0].rpartition(".")
    return f"{tag[: version.start()]}{head}.{int(last) + 1}{tag[version.end() :]}"


def publish(world: World, image: str) -> str:
    """Let the next version of an image be in its registry, with the same program; returns how it is called.

    Args:
        world: where.
        image: as a manifest names it; one by digest stays as it is.
    """
    reference = parse_reference(image)
    repository = catalogue.find(world, reference) if reference is not None else None
    if reference is None or repository is None or "@" in image:
        return image
    tag = next_tag(reference.tag or "latest")
    newer = f"{image.removesuffix(':' + reference.tag)}:{tag}"
    made = parse_reference(newer)
    if made is None:
        return image
    program = catalogue.program_of(world, reference)
    part = world.cluster.part(catalogue.Catalogue)
    known = part.repositories.get(reference.repository, repository)
    if not catalogue.has_tag(known, made):
        known = replace(known, tags=f"{known.tags}|{re.escape(tag)}")
        part.repositories[reference.repository] = known
    if catalogue.program_of(world, made) != program:
        catalogue.set_variant(world, made, program)
    return newer


def roll_out(world: World, client: Client, obj: Obj, image: str, n: int) -> None:
    """Give the first container of a Deployment another image, as a pipeline does.

    Raises:
        ApiError: it is refused.
    """
    container = obj["spec"]["template"]["spec"]["containers"][0]["name"]
    build = world.rng.integer(4100, 9900, "life", "build", entity(obj), n)
    commit = world.rng.hexadecimal(8, "life", "commit", entity(obj), n)
    cause = f"pipeline {build}: deploy {commit}"
    patch = {
        "metadata": {"annotations": {"kubernetes.io/change-cause": cause}},
        "spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}},
    }
    client.patch(DEPLOYMENTS, namespace_of(obj), name_of(obj), patch, patch_type="strategic")
    note(world, entity(obj), f"new version {image.rpartition(':')[2]}")


def _pick(world: World, found: list[Obj], kind: str, n: int) -> Obj | None:
    return world.rng.choice(found, "life", kind, n) if found else None


def rollout(world: World, n: int) -> bool:
    """A new version that works as well as the old one."""
    found = _pick(world, choosing.rollable(world), "rollout", n)
    if found is None or not choosing.calm(world):
        return False
    image = str(found["spec"]["template"]["spec"]["containers"][0]["image"])
    newer = publish(world, image)
    if newer == image:
        return False
    roll_out(world, people.pipeline(world), found, newer, n)
    return True


def scale(world: World, n: int) -> bool:
    """One copy more by a timetable, and back after a while."""
    able = [item for item in choosing.rollable(world) if not choosing.autoscaled(world, item)]
    found = _pick(world, able, "scale", n)
    if found is None or not choosing.calm(world):
        return False
    before = int(dig(found, "spec", "replicas", default=1))
    _set_replicas(world, found, before + 1)
    world.schedule(
        world.rng.integer(*_BACK_MS, "life", "scale.back", n),
        "life.scale_back",
        namespace_of(found),
        name_of(found),
        before,
    )
    return True


def _set_replicas(world: World, obj: Obj, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    client = people.operator(world)
    client.patch(DEPLOYMENTS, namespace_of(obj), name_of(obj), patch, subresource="scale")
    note(world, entity(obj), f"{replicas} copies")


@handler("life.scale_back")
def _scale_back(world: World, namespace: str, name: str, before: int) -> None:
    found = world.cluster.store.get(DEPLOYMENTS, namespace, name)
    # Whoever has set another number meanwhile has the last word.
    if found is not None and dig(found, "spec", "replicas") == before + 1 and choosing.settled(found):
        _set_replicas(world, found, before)


def edit(world: World, n: int) -> bool:
    """An edit that no program reads."""
    every = choosing.deployments(world)
    found = _pick(world, every, "edit", n)
    if found is None:
        return False
    kinds: tuple[Callable[[World, Obj, int], bool], ...] = (_annotate, _label, _write_notes, _describe)
    return world.rng.choice(kinds, "life", "edit.kind", n)(world, found, n)


def _annotate(world: World, obj: Obj, n: int) -> bool:
    text = f"reviewed {world.time[:10]} #{world.rng.integer(100, 999, 'life', 'review', n)}"
    return _set_meta(world, obj, {"annotations": {"corp.example/last-review": text}}, "an annotation", n)


def _label(world: World, obj: Obj, n: int) -> bool:
    tier = world.rng.choice(("gold", "silver", "bronze"), "life", "tier", n)
    return _set_meta(world, obj, {"labels": {"cost-centre": tier}}, "a label", n)


def _set_meta(world: World, obj: Obj, meta: Obj, what: str, n: int) -> bool:
    client = people.developer(world, "meta", n, manager="kubectl-annotate")
    client.patch(DEPLOYMENTS, namespace_of(obj), name_of(obj), {"metadata": meta})
    note(world, entity(obj), what)
    return True


def _describe(world: World, obj: Obj, n: int) -> bool:
    """A Service of the application gets an annotation."""
    services = world.cluster.store.list("services", namespace_of(obj))
    found = _pick(world, services, "describe", n)
    if found is None:
        return False
    client = people.developer(world, "describe", n, manager="kubectl-annotate")
    meta = {"annotations": {"corp.example/dashboard": f"https://grafana.corp.example/d/{name_of(found)}"}}
    client.patch("services", namespace_of(found), name_of(found), {"metadata": meta})
    note(world, f"{namespace_of(found)}/Service/{name_of(found)}", "an annotation")
    return True


def _write_notes(world: World, obj: Obj, n: int) -> bool:
    """A ConfigMap that nobody mounts is written or changed."""
    name = world.rng.choice(_TOPICS, "life", "notes", n)
    client = people.developer(world, "notes", n, manager="kubectl-client-side-apply")
    key = f"note-{n % 5}.md"
    data = {key: f"{name_of(obj)}: see change {world.rng.integer(1000, 9999, 'life', 'ticket', n)}"}
    space = namespace_of(obj)
    if client.find("configmaps", space, name) is None:
        meta = {"name": name, "namespace": space, "labels": {"docs": "true"}}
        client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    else:
        client.patch("configmaps", space, name, {"data": data})
    note(world, f"{space}/ConfigMap/{name}", "notes that no program reads")
    return True


def tune(world: World, n: int) -> bool:
    """A variable that the program does not read: its pods are replaced."""
    found = _pick(world, choosing.rollable(world), "tune", n)
    if found is None or not choosing.calm(world):
        return False
    name = world.rng.choice(_TUNED, "life", "tune.name", n)
    value = str(world.rng.integer(2, 90, "life", "tune.value", n))
    return _change_container(world, found, {"env": [{"name": name, "value": value}]}, f"variable {name}", n)


def widen(world: World, n: int) -> bool:
    """More memory than before is allowed: the pods are replaced."""
    found = _pick(world, choosing.rollable(world), "widen", n)
    if found is None or not choosing.calm(world):
        return False
    container = found["spec"]["template"]["spec"]["containers"][0]
    memory = _more(str(dig(container, "resources", "limits", "memory", default="")))
    if not memory:
        return False
    return _change_container(world, found, {"resources": {"limits": {"memory": memory}}}, "a wider limit", n)


def _more(text: str) -> str:
    number = text.rstrip("MGi")
    return f"{int(number) * 5 // 4}{text[len(number) :]}" if number.isdecimal() and text != number else ""


def _change_container(world: World, obj: Obj, change: dict[str, Any], what: str, n: int) -> bool:
    container = obj["spec"]["template"]["spec"]["containers"][0]["name"]
    spec = {"containers": [{"name": container, **change}]}
    client = people.developer(world, what, n, manager="kubectl-set")
    body = {"spec": {"template": {"spec": spec}}}
    client.patch(DEPLOYMENTS, namespace_of(obj), name_of(obj), body, patch_type="strategic")
    note(world, entity(obj), what)
    return True


def open_network(world: World, n: int) -> bool:
    """A NetworkPolicy that lets everybody reach a workload, as before."""
    found = _pick(world, choosing.deployments(world), "open", n)
    if found is None:
        return False
    name = f"{name_of(found)}-ingress-open"
    client = people.developer(world, "open", n, manager="kubectl-client-side-apply")
    if client.find("networkpolicies.networking.k8s.io", namespace_of(found), name) is not None:
        return False
    client.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace_of(found)},
            "spec": {
                "podSelector": dict(found["spec"]["selector"]),
                "policyTypes": ["Ingress"],
                "ingress": [{}],
            },
        }
    )
    note(world, f"{namespace_of(found)}/NetworkPolicy/{name}", "allows what was allowed")
    return True


def budget(world: World, n: int) -> bool:
    """A disruption budget for a workload."""
    found = _pick(world, choosing.deployments(world), "budget", n)
    if found is None:
        return False
    space, name = namespace_of(found), name_of(found)
    client = people.pipeline(world)
    if client.find("poddisruptionbudgets.policy", space, name) is not None:
        return False
    spec = {"maxUnavailable": 1, "selector": dict(found["spec"]["selector"])}
    meta = {"name": name, "namespace": space}
    client.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec})
    note(world, f"{space}/PodDisruptionBudget/{name}", "one pod at a time may go")
    return True
