"""Which images exist, and which program is in each: public ones from data, others as they were learned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from firedrill.world.kube.programs.model import MIB, Listen, Program
from firedrill.world.kube.programs.reference import Reference
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.world import World

_LISTS = (
    "entrypoint",
    "tools",
    "start",
    "work",
    "stop",
    "writes",
    "needs_env",
    "needs_hosts",
    "ends",
    "commands",
    "lines",
)
_VALUES = ("style", "cpu", "runs", "term", "user", "warm", "delegates")
_SUFFIXES = (".pkg.dev", ".gcr.io", ".azurecr.io", ".amazonaws.com")


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of a registry.

    Attributes:
        program: what its images run.
        tags: a regular expression for the tags that exist.
        private: only those who bring credentials for the registry get it.
    """

    program: Program
    tags: str
    private: bool = False


class Catalogue:
    """What this cluster's world knows of images besides the public data.

    Attributes:
        repositories: learned ones, by host and path.
        unreachable: registries that do not answer now, and how: `dns`, `timeout` or `refused`.
        architectures: images that exist for these architectures only, by full name.
        images: that applications here have run with before.
        variants: programs of single tags, as in `ghcr.io/team/shop:1.0-cart`: some repositories hold several.
    """

    __slots__ = ("architectures", "images", "repositories", "unreachable", "variants")

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.unreachable: dict[str, str] = {}
        self.architectures: dict[str, tuple[str, ...]] = {}
        self.images: tuple[str, ...] = ()
        self.variants: dict[str, Program] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.repositories = self.repositories.copy()
        twin.unreachable = self.unreachable.copy()
        twin.architectures = self.architectures.copy()
        twin.images = self.images
        twin.variants = self.variants.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [self.repositories, self.unreachable, self.architectures, self.images, self.variants]


@cache
def _data() -> Mapping[str, Any]:
    return table("firedrill.world.kube.programs", "programs.yaml")  # type: ignore[no-any-return]


@cache
def public() -> Mapping[str, Repository]:
    """The repositories that everybody knows."""
    out = {}
    for item in _data()["programs"]:
        out[str(item["image"])] = Repository(program_from(item), str(item["tags"]))
    return out


def program_from(item: Mapping[str, Any]) -> Program:
    """A program from its entry in a data file (see the head of `programs.yaml`)."""
    plain: dict[str, Any] = {key: tuple(item[key]) for key in _LISTS if key in item}
    plain |= {
        key: item[key] for key in ("style", "cpu", "runs", "term", "user", "warm", "delegates") if key in item
    }
    if "memory" in item:
        plain["memory"] = int(item["memory"] * MIB)
    if "size" in item:
        plain["size"] = int(item["size"] * 1_000_000) or 300_000
    listens = tuple(
        Listen(**{**listen, "paths": tuple(listen.get("paths") or ())})
        for listen in item.get("listens") or ()
    )
    name = str(item["image"]).rpartition("/")[2]
    return Program(name=name, listens=listens, **plain)


@cache
def habits_of(style: str) -> Mapping[str, Any]:
    """How programs of a language mostly start and end, as fields of `Program`."""
    found = _data()["styles"].get(style) or {}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


@cache
def tools_of(sets: tuple[str, ...]) -> frozenset[str]:
    """The commands that sets of tools hold; a name that is no set is a command itself."""
    known = _data()["tools"]
    out: set[str] = set()
    for name in sets:
        out.update(str(item) for item in known[name]) if name in known else out.add(name)
    return frozenset(out)


def find(world: World, reference: Reference) -> Repository | None:
    """The repository of an image, whether or not it has that tag."""
    learned = world.cluster.part(Catalogue).repositories.get(reference.repository)
    return learned or public().get(reference.repository)


def program_of(world: World, reference: Reference) -> Program:
    """The program of an image that was pulled."""
    variant = world.cluster.part(Catalogue).variants.get(f"{reference.repository}:{reference.tag}")
    if variant is not None:
        return variant
    found = find(world, reference)
    return found.program if found is not None else Program(reference.path.rpartition("/")[2])


def knows_host(world: World, host: str) -> bool:
    """Whether a registry of that name exists."""
    if host in _data()["hosts"] or host.endswith(_SUFFIXES):
        return True
    prefix = f"{host}/"
    return any(name.startswith(prefix) for name in world.cluster.part(Catalogue).repositories)


def refusal_of(host: str) -> str:
    """How a registry refuses what it does not show: `denied`, `forbidden`, `unauthorized` or `missing`."""
    return str((_data()["hosts"].get(host) or {}).get("refusal", "missing"))


def has_tag(repository: Repository, reference: Reference) -> bool:
    """Whether the repository has an image of that tag; digests are taken to exist."""
    return not reference.tag or re.fullmatch(repository.tags, reference.tag) is not None


def size_of(world: World, reference: Reference) -> int:
    """Bytes of the image, compressed."""
    base = program_of(world, reference).size
    return base + world.rng.integer(0, max(base // 8, 1), "image.size", reference.full)


def digest_of(world: World, reference: Reference) -> str:
    """As in `sha256:…`; the same for every world of a seed."""
    return reference.digest or "sha256:" + world.rng.hexadecimal(64, "image.digest", reference.full)


def set_program(world: World, repository: str, program: Program, tags: str, *, private: bool = False) -> None:
    """Make a repository exist, or replace what is known of it.

    Args:
        world: where.
        repository: host and path, as in `docker.io/library/nginx`.
        program: what its images run.
        tags: a regular expression for its tags.
        private: it wants credentials.
    """
    part = world.cluster.part(Catalogue)
    part.repositories[repository] = Repository(program, tags, private)
    for name in [name for name in part.variants if name.rpartition(":")[0] == repository]:
        del part.variants[name]


def set_variant(world: World, reference: Reference, program: Program) -> None:
    """Say what the image of one tag runs, where its repository holds several programs."""
    world.cluster.part(Catalogue).variants[f"{reference.repository}:{reference.tag}"] = program


def set_private(world: World, repository: str, *, private: bool = True) -> None:
    """Let a repository that exists want credentials, or no longer.

    Raises:
        LookupError: nobody knows the repository.
    """
    found = world.cluster.part(Catalogue).repositories.get(repository) or public().get(repository)
    if found is None:
        raise LookupError(f"no repository is called {repository!r}")
    world.cluster.part(Catalogue).repositories[repository] = replace(found, private=private)


def set_registry(world: World, host: str, state: str = "") -> None:
    """Let a registry fail from now on: `dns`, `timeout`, `refused`; empty makes it answer again."""
    unreachable = world.cluster.part(Catalogue).unreachable
    if state:
        unreachable[host] = state
    else:
        unreachable.pop(host, None)


def is_root(world: World, reference: Reference) -> bool:
    """Whether the image runs as root unless told otherwise; of learned images that is not known: no."""
    found = public().get(reference.repository)
    learned = reference.repository in world.cluster.part(Catalogue).repositories
    if found is None or (learned and not has_tag(found, reference)):
        return False
    return found.program.user == 0


def learned_images(world: World) -> tuple[str, ...]:
    """The images of the applications that were learned, as their manifests name them."""
    return world.cluster.part(Catalogue).images
