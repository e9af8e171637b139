"""What an assessor is told, and what its sandbox holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from firedrill.agents.base import Assessment
from firedrill.agents.task import brief
from firedrill.core.compliance import CLUSTER_CLASSES
from firedrill.core.digest import digest_of
from firedrill.core.scenario import Scenario
from firedrill.runner.living.furnishing import (
    CLOCK_PORT,
    KUBECONFIG,
    PATH,
    README,
    TOOLS,
    kubectl,
    wrappers,
)
from firedrill.runner.living.protocol import CLOCK
from firedrill.sandbox.base import HOME, SandboxSpec, View
from firedrill.suites.compliance.loading import artefacts, text_of
from firedrill.suites.compliance.opening import spec_of

if TYPE_CHECKING:
    from firedrill.runner.living.stage import LivingEpisode

_PORT = 6443
WORK = f"{HOME}/work"
"""Where an assessor of a cluster leaves files."""


def briefed(scenario: Scenario) -> tuple[Assessment, Mapping[str, str]]:
    """What is to be assessed, and the right artefacts.

    Raises:
        InputError: the scenario cannot be used.
    """
    spec = spec_of(scenario)
    right = artefacts(spec)
    told = Assessment(
        kind=spec.scenario_class,
        requirement=text_of(spec),
        files=tuple(sorted(right)),
        folder=WORK if spec.scenario_class in CLUSTER_CLASSES else HOME,
        updates=spec.scenario_class == "kyverno-update",
    )
    return told, right


def furnish(
    living: LivingEpisode, assessment: Assessment, view: View, box: SandboxSpec
) -> tuple[View, SandboxSpec]:
    """The view and the sandbox of an assessor, with its cluster in them.

    Args:
        living: the episode.
        assessment: what is to be assessed.
        view: what is there beside.
        box: likewise.

    Raises:
        InfrastructureError: there is no kubectl on this machine.
    """
    page = brief(assessment, living.on_call)
    texts = {**view.texts, README: page, KUBECONFIG: living.kubeconfig().decode()}
    digest = digest_of({"entries": view.digest, "page": page})
    folder = Path(living.spec.folder)
    return replace(view, texts=texts, digest=digest), replace(
        box,
        mounts={**box.mounts, f"{TOOLS}/kubectl": kubectl(), **wrappers(folder)},
        forwards={**box.forwards, _PORT: living.sockets["kubernetes"], CLOCK_PORT: folder / CLOCK},
        env={"PATH": PATH, **box.env, "KUBECONFIG": f"{HOME}/{KUBECONFIG}"},
    )


__all__ = ["briefed", "furnish"]
