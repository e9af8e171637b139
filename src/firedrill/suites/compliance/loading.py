"""Scenarios of compliance as they are stored, and their variants by seed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from firedrill.core.compliance import CLUSTER_CLASSES, TWIN, VISIBLE
from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.suites.compliance.drawing import draw, filled
from firedrill.suites.compliance.model import ComplianceSpec, Mutant, Variant, VariantSpec
from firedrill.suites.compliance.patching import expanded, patched
from firedrill.suites.compliance.usual import spelled
from firedrill.suites.manifest import validate_record

SIZE_LIMIT = 1024 * 1024


def data_folder() -> Path:
    """Where the packaged scenarios are."""
    return Path(str(resources.files("firedrill.suites.compliance").joinpath("data")))


def known_ids() -> tuple[str, ...]:
    """The ids of the packaged scenarios, sorted."""
    root = data_folder()
    return tuple(sorted(item.stem for item in root.glob("*.yaml"))) if root.is_dir() else ()


@cache
def load(name: str) -> ComplianceSpec:
    """A packaged scenario.

    Raises:
        InputError: there is none of that id, or its file cannot be used.
    """
    path = data_folder() / f"{name}.yaml"
    if name not in known_ids():
        raise InputError(f"no compliance scenario {name!r}", mend=f"there are {', '.join(known_ids())}")
    spec = read(path)
    if spec.id != name:
        raise InputError(f"calls itself {spec.id}", source=str(path), field="id")
    return spec


def read(path: Path) -> ComplianceSpec:
    """A scenario of a file.

    Raises:
        InputError: it cannot be used.
    """
    try:
        raw = path.read_bytes()[: SIZE_LIMIT + 1]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", source=str(path)) from None
    if len(raw) > SIZE_LIMIT:
        raise InputError(f"is larger than {SIZE_LIMIT // 1024} KB", source=str(path))
    documents = read_documents(raw.decode("utf-8", "replace"), path.name)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError("must be one mapping", source=path.name)
    return validate_record(ComplianceSpec, spelled(documents[0], path.name), path.name)


def words_of(spec: ComplianceSpec) -> dict[str, Any]:
    """What the scenario's own text names: the same in each of its variants, for each seed."""
    return draw(spec.fixed, f"{spec.id}/fixed", spec.id)


def text_of(spec: ComplianceSpec) -> str:
    """The requirement, and the change that is asked, with their names."""
    words = words_of(spec)
    parts = [spec.requirement.strip(), spec.change.strip()]
    return "\n\n".join(str(filled(part, words, spec.id)) for part in parts if part)


def artefacts(spec: ComplianceSpec, files: Mapping[str, str] | None = None) -> dict[str, str]:
    """The right artefacts, or other ones of the scenario's file, with the names of its text."""
    words = words_of(spec)
    wanted = spec.reference if files is None else files
    return {name: str(filled(text, words, spec.id, lenient=True)) for name, text in wanted.items()}


def mutated(spec: ComplianceSpec, mutant: Mutant) -> dict[str, str]:
    """The wrong artefacts that a mutant stands for.

    Raises:
        InputError: what it replaces does not stand in the reference.
    """
    files = {**spec.reference, **mutant.files}
    for name, edits in mutant.edits.items():
        for old, new in edits.items():
            if old not in files.get(name, ""):
                raise InputError(
                    f"{old!r} does not stand in {name}", source=spec.id, field=f"mutants ({mutant.title})"
                )
            files[name] = files[name].replace(old, new)
    return artefacts(spec, files)


def policies_of(spec: ComplianceSpec) -> list[dict[str, Any]]:
    """What is deployed when the agent comes."""
    return expanded(spec.policies, words_of(spec), spec.id)


def visible(spec: ComplianceSpec) -> Variant:
    """V0: what the agent sees. It does not depend on a run's seed."""
    return _variant(spec, VISIBLE, None, 0)


def twin(spec: ComplianceSpec) -> Variant:
    """C0: the same without its fault."""
    return _variant(spec, TWIN, None, 0)


def variants(spec: ComplianceSpec, seed: int) -> tuple[Variant, ...]:
    """V0, C0, and the hidden variants, drawn anew for each seed.

    Raises:
        InputError: the scenario's file is wrong somewhere.
    """
    hidden = [_variant(spec, str(number), item, seed) for number, item in enumerate(spec.variants, start=1)]
    return (visible(spec), twin(spec), *hidden)


def _variant(spec: ComplianceSpec, name: str, item: VariantSpec | None, seed: int) -> Variant:
    key = f"{spec.id}/{VISIBLE}" if item is None else f"{spec.id}/{name}/{seed}"
    where = f"{spec.id}: {name if item is None else f'variant {name} ({item.trap})'}"
    words = draw(spec.draws, key, where, words_of(spec))
    faulty = name == VISIBLE if item is None else item.start == "fault"
    patches = [spec.fault] if faulty else []
    if item is not None:
        patches.append(item.patch)
    state: Any
    if spec.scenario_class in CLUSTER_CLASSES:
        state = expanded(spec.base, words, where)
        for patch in patches:
            state = patched(state, patch, words, where)
        state = tuple(state)
    else:
        state = tuple(filled(patch, words, where) for patch in (spec.base, *patches))
    if item is None:
        expect = spec.expect if faulty else {}
        return Variant(name, "", not faulty, state, filled(expect, words, where), words)
    return Variant(name, item.trap, item.compliant, state, filled(item.expect, words, where), words)


__all__ = [
    "artefacts",
    "data_folder",
    "known_ids",
    "load",
    "mutated",
    "policies_of",
    "read",
    "text_of",
    "twin",
    "variants",
    "visible",
    "words_of",
]
