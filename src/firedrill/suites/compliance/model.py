"""The form of a compliance scenario: one YAML file each, `data/<id>.yaml`; see `README.md` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from firedrill.core.compliance import Control, ScenarioClass, Verdict
from firedrill.core.episode import Record

Complexity = Literal["easy", "medium", "hard"]
Identifier = Annotated[str, Field(pattern=r"^[a-z]{2}-[0-9]{2}$")]
Drawn = str | tuple[Any, ...] | Mapping[str, int]
"""A pool of words (`namespace`, `app`, …), a list to choose from, or `{from: 1, to: 9}`."""


class ClusterPatch(Record):
    """What differs from the base. Objects are named `namespace/Kind/name`, or `cluster/Kind/name`."""

    remove: tuple[str, ...] = ()
    merge: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """By object a merge patch: null takes a member away, lists are replaced."""
    set: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """By object values by path, as `spec/template/spec/containers/1/image`; null takes it away, `-` as a
    list's index appends."""
    add: tuple[Mapping[str, Any], ...] = ()
    """Whole objects, or `{repeat: 50, as: n, object: {…}}`."""


class VariantSpec(Record):
    """One hidden variant: the base (which is compliant), and what of it is otherwise."""

    trap: Annotated[str, Field(min_length=1)]
    """A word of the vocabulary of traps, or several."""
    compliant: bool
    title: str = ""
    """What it is, for a person."""
    start: Literal["base", "fault"] = "base"
    """What the patch is laid on."""
    patch: Mapping[str, Any] = Field(default_factory=dict)
    """Of a cluster: :class:`ClusterPatch`; of a host: what `Host.patched` takes."""
    expect: Mapping[str, Verdict] = Field(default_factory=dict)
    """The objects that do not simply pass."""


class Mutant(Record):
    """A wrong artefact that some trap has to catch."""

    trap: Annotated[str, Field(min_length=1)]
    """The trap of the variants that it judges wrongly; it may judge others wrongly, too."""
    title: str = ""
    files: Mapping[str, str] = Field(default_factory=dict)
    """Whole files, instead of those of the reference."""
    edits: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """By file name, texts of the reference and what stands there instead."""


class ComplianceSpec(Record):
    """The file of a scenario."""

    id: Identifier
    scenario_class: ScenarioClass = Field(alias="class")
    control: Control
    title: str
    complexity: Complexity
    requirement: Annotated[str, Field(min_length=20)]
    """What is compliant, in words; for updates what has held so far."""
    change: str = ""
    """Of updates: what is asked."""
    enforce: bool = False
    """The text asks for denial, so that creations are tried as well."""
    exceptions: bool = False
    """Of updates: one PolicyException may be added."""
    form: Literal["", "rule-actions"] = ""
    """Of updates: how all policies have to be written afterwards. `rule-actions`: each rule that validates
    says what a failure leads to, and nothing about it is under `spec` but the default of the server."""
    collects: tuple[str, ...] = ()
    """Kinds of object that the control is about (`kubectl-opa`), as `pods` or `roles.rbac…`."""
    fixed: Mapping[str, Drawn] = Field(default_factory=dict)
    """Drawn once for a scenario: what its text names."""
    draws: Mapping[str, Drawn] = Field(default_factory=dict)
    """Drawn anew for each variant."""
    base: Any = Field(default_factory=tuple)
    """Of a cluster a list of objects; of a host the name of a base, or a patch of the fresh host."""
    policies: tuple[Mapping[str, Any], ...] = ()
    """Of updates: what is deployed when the agent comes."""
    fault: Mapping[str, Any]
    """The patch that makes V0 out of C0."""
    expect: Mapping[str, Verdict] = Field(default_factory=dict)
    """Of V0."""
    variants: Annotated[tuple[VariantSpec, ...], Field(min_length=1)]
    reference: Mapping[str, str]
    """Right artefacts by file name."""
    mutants: tuple[Mutant, ...] = ()

    model_config = {**Record.model_config, "populate_by_name": True}


@dataclass(frozen=True)
class Variant:
    """One variant, drawn.

    Attributes:
        name: `V0`, `C0`, or a number from 1 on.
        trap: what it is for.
        compliant: the truth.
        state: of a cluster a tuple of objects, policies not among them; of a host the patch of its base.
        expect: the objects that do not simply pass.
        words: what was drawn.
    """

    name: str
    trap: str
    compliant: bool
    state: Any
    expect: Mapping[str, Verdict]
    words: Mapping[str, Any]

    @property
    def violating(self) -> tuple[str, ...]:
        """What breaks the requirement, sorted."""
        return tuple(sorted(name for name, verdict in self.expect.items() if verdict in ("fail", "block")))


__all__ = ["ClusterPatch", "ComplianceSpec", "Drawn", "Mutant", "Variant", "VariantSpec"]
