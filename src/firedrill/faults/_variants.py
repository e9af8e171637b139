"""Plausible mistakes, drawn by the names of what they are made in: the same in every fork of a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from firedrill.faults.fitting import entity
from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, dig, labels_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import parse_reference

if TYPE_CHECKING:
    from firedrill.world import World

T = TypeVar("T")
_PORTS = (8081, 8090, 9090, 3001, 5001, 8443, 50052, 9100, 7001, 8888, 4000, 9999)
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def one_of(world: World, fault: str, about: Obj | str, options: Sequence[T]) -> T:
    """One of the options, drawn for this mechanism and target."""
    name = about if isinstance(about, str) else entity(about)
    return world.rng.choice(options, "faults", fault, name)


def wrong_image(world: World, fault: str, owner: Obj, image: str) -> str:
    """An image that its registry does not have: a slip in its tag or in its name."""
    head, _, tail = image.partition("@")[0].rpartition("/")
    name, _, tag = tail.partition(":")
    prefix = f"{head}/" if head else ""
    slips = [f"{prefix}{name}:{text}" for text in _slips(tag or "latest")]
    if len(name) > 4:
        place = world.rng.integer(1, len(name) - 3, "faults", fault, entity(owner), "place")
        swapped = f"{name[:place]}{name[place + 1]}{name[place]}{name[place + 2 :]}"
        if swapped != name and not swapped.startswith("-"):
            slips.append(f"{prefix}{swapped}:{tag or 'latest'}")
    missing = [text for text in slips if not _exists(world, text)]
    return one_of(world, fault, owner, missing or [f"{prefix}{name}:{tag or 'latest'}-rc.1"])


def _slips(tag: str) -> list[str]:
    """Tags like this one that nobody may have pushed."""
    out = [f"{tag}-hotfix", f"{tag}-rc.1", f"release-{tag}", f"{tag}.1"]
    head, dot, last = tag.rpartition(".")
    digits = "".join(char for char in last if char.isdigit())
    if dot and digits:
        out += [f"{head}.{last.replace(digits, digits + digits[-1], 1)}", f"{head}{last}"]
        out.append(f"{head}.{last.replace(digits, str(int(digits) + 9), 1)}")
    if tag.startswith("v"):
        out.append(tag[1:])
    return out


def _exists(world: World, image: str) -> bool:
    reference = parse_reference(image)
    if reference is None:
        return True  # no image at all: not what this is about
    found = catalogue.find(world, reference)
    return found is not None and catalogue.has_tag(found, reference)


def wrong_port(world: World, fault: str, owner: Obj, container: Obj) -> int:
    """A port that people mistake for the right one, and that the container does not name."""
    named = {int(item["containerPort"]) for item in container.get("ports") or ()}
    numbers = {int(item["value"]) for item in container.get("env") or () if _is_port(item.get("value"))}
    near = [port + 1 for port in sorted(named)]
    return one_of(world, fault, owner, [port for port in (*near, *_PORTS) if port not in named | numbers])


def _is_port(value: object) -> bool:
    return isinstance(value, str) and value.isdecimal() and len(value) < 6


def too_much(world: World, fault: str, owner: Obj, resource: str) -> str:
    """More of a resource than any node has."""
    read: Callable[[str], int] = quantity.milli if resource == "cpu" else quantity.value
    most = max(
        (
            read(str(dig(node, "status", "allocatable", resource)))
            for node in world.cluster.store.list("nodes")
            if dig(node, "status", "allocatable", resource) is not None
        ),
        default=0,
    )
    whole = most // 1000 if resource == "cpu" else most >> 30
    unit = "" if resource == "cpu" else "Gi"
    return f"{one_of(world, fault, owner, [2, 3, 4, 8]) * max(whole, 1)}{unit}"


def workers(world: World) -> list[str]:
    """The names of the nodes that take pods of applications."""
    nodes = world.cluster.store.list("nodes")
    return [node["metadata"]["name"] for node in nodes if _CONTROL_PLANE not in labels_of(node)]
