"""What runs in containers, and where images come from.

A program is data: what it needs to start, where it listens, what it uses, what it logs, how it ends.
Public images are described in `data/programs.yaml`; the programs of an application are learned from
the manifests with which it is healthy (`learn`).
"""

from firedrill.world.kube.programs.catalogue import (
    Catalogue,
    set_private,
    set_program,
    set_registry,
)
from firedrill.world.kube.programs.learning import learn
from firedrill.world.kube.programs.model import Health, Listen, Load, Plan, Program

__all__ = [
    "Catalogue",
    "Health",
    "Listen",
    "Load",
    "Plan",
    "Program",
    "learn",
    "set_private",
    "set_program",
    "set_registry",
]
