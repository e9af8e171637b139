"""New releases of programs, as a team pushes them: images under the next tag, with something changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.core.errors import InputError
from firedrill.world.kube.programs import Program, catalogue
from firedrill.world.kube.programs.reference import parse_reference

if TYPE_CHECKING:
    from firedrill.world import World


def publish(world: World, image: str, change: Callable[[Program], Program]) -> str:
    """The image of the next release, whose program is the same but for the change.

    Raises:
        InputError: nobody knows the image.
    """
    reference = parse_reference(image)
    repository = catalogue.find(world, reference) if reference is not None else None
    if reference is None or repository is None:
        raise InputError(
            f"nobody knows the image {image!r}", field="container", mend="name another container"
        )
    tag = next_tag(reference.tag or "latest")
    known = replace(repository, tags=f"{repository.tags}|{re.escape(tag)}")
    world.cluster.part(catalogue.Catalogue).repositories[reference.repository] = known
    text = f"{image.partition('@')[0].removesuffix(':' + reference.tag)}:{tag}"
    made = parse_reference(text)
    if made is not None:
        catalogue.set_variant(world, made, change(catalogue.program_of(world, reference)))
    return text


def next_tag(tag: str) -> str:
    """The tag of the release after this one: its last number but one more."""
    found = list(re.finditer(r"\d+", tag))
    dotted = [match for match in found if tag[: match.start()].endswith(".")]
    if not found:
        return f"{tag}-2"
    last = (dotted or found)[-1]
    return f"{tag[: last.start()]}{int(last[0]) + 1}{tag[last.end() :]}"


def known(world: World, image: str) -> bool:
    """Whether anybody knows the image."""
    reference = parse_reference(image)
    return reference is not None and catalogue.find(world, reference) is not None
