"""The scenario file: metadata, environment, triggers and desired outcome of one problem."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from firedrill.core.episode import Record

Backend = Literal["snapshot", "world", "kubernetes", "host"]
Modality = Literal["alerts", "events", "objects", "logs", "traces", "metrics", "topology"]


class Metadata(Record):
    """Who the scenario is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
    title: str = ""
    domain: Literal["sre", "ciso", "finops"] = "sre"
    fault_class: str = Field(default="", alias="class")
    complexity: str = ""
    technologies: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    version: str = "1"

    model_config = {**Record.model_config, "populate_by_name": True}


class WaiterSpec(Record):
    """Something done before or after an injection without being a fault: a restart, a pause."""

    id: Annotated[str, Field(max_length=128)]
    args: dict[str, Any] = Field(default_factory=dict)


class Environment(Record):
    """Where the problem happens. ``path`` is the incident's folder, relative to the scenario file."""

    backend: Backend = "snapshot"
    path: str | None = None
    application: str | None = None
    load: dict[str, Any] | None = None
    seed: int = 0
    modalities: tuple[Modality, ...] = ()
    nodes: Annotated[int, Field(ge=1, le=100)] = 4
    """Of a world."""
    start: str | None = None
    """When a world begins, as in ``2026-01-05T09:00:00Z``."""
    life: Annotated[int, Field(ge=0, le=3)] = 0
    """Level of a world's background life."""
    red_herrings: Annotated[int, Field(ge=0, le=20)] = 0
    """Innocent changes shortly before the first fault."""
    prepare: tuple[WaiterSpec, ...] = ()
    """What is done while a world warms up."""


class FaultSpec(Record):
    """One fault to inject ``at`` so many seconds of virtual time; ``after`` it, waiters in order."""

    id: str
    args: dict[str, Any] = Field(default_factory=dict)
    at: Annotated[float, Field(ge=0)] = 0.0
    after: tuple[WaiterSpec, ...] = ()


class CallCosts(Record):
    """What a call and a token of thinking cost, in virtual seconds."""

    read: Annotated[float, Field(ge=0)] = 3.0
    write: Annotated[float, Field(ge=0)] = 5.0
    token_out: Annotated[float, Field(ge=0)] = 0.02


class ScenarioLimits(Record):
    """Caps: ``minutes`` are virtual for worlds, wall time for snapshots."""

    turns: Annotated[int, Field(ge=1)] = 100
    minutes: Annotated[float, Field(gt=0)] | None = 60.0
    cost: Annotated[float, Field(ge=0)] | None = None
    costs: CallCosts = CallCosts()


class Reference(Record):
    """What the oracle agent does."""

    steps: tuple[Any, ...] = ()


class Scenario(Record):
    """``apiVersion: firedrill/v1``, ``kind: Scenario``."""

    apiVersion: Literal["firedrill/v1"] = "firedrill/v1"
    kind: Literal["Scenario"] = "Scenario"
    metadata: Metadata
    environment: Environment = Environment()
    triggers: tuple[Any, ...] = ()
    faults: tuple[FaultSpec, ...] = ()
    truth: dict[str, Any] = Field(default_factory=dict)
    certificate: dict[str, Any] = Field(default_factory=dict)
    """What was checked when the scenario was made, and how it came out."""
    reference: Reference = Reference()
    authority: str = "observer"
    limits: ScenarioLimits = ScenarioLimits()
