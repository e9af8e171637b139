"""What the sandbox of an agent on call holds: ways to its world, and a page that says what is going on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from firedrill.agents.task import situation
from firedrill.core.digest import digest_of
from firedrill.core.errors import InfrastructureError
from firedrill.runner.living.protocol import CLOCK
from firedrill.sandbox.base import HOME, SandboxSpec, View

if TYPE_CHECKING:
    from firedrill.runner.living.stage import LivingEpisode

PORTS: Mapping[int, str] = {
    6443: "kubernetes",
    9090: "prometheus",
    9093: "alertmanager",
    3100: "loki",
    16686: "jaeger",
}
"""Where each API is inside of a sandbox, on 127.0.0.1: their usual ports."""
KUBECONFIG = "kubeconfig"
README = "README.md"
CLOCK_PORT = 8641
"""Where `date` and `sleep` of a sandbox find the incident's clock."""
_WRAPPERS = ("date", "sleep")
TOOLS = "/opt/on-call"
PATH = f"{TOOLS}:/usr/local/bin:/usr/bin:/bin"


def furnish(living: LivingEpisode, view: View, box: SandboxSpec) -> tuple[View, SandboxSpec]:
    """The view and the sandbox of an agent, with its world in them.

    Args:
        living: the episode.
        view: what is there beside.
        box: likewise.

    Raises:
        InfrastructureError: there is no kubectl on this machine.
    """
    page = situation(living.on_call)
    texts = {**view.texts, README: page, KUBECONFIG: living.kubeconfig().decode()}
    # the kubeconfig holds a token of its own in each episode
    digest = digest_of({"entries": view.digest, "page": page})
    forwards = {port: living.sockets[name] for port, name in PORTS.items()}
    forwards[CLOCK_PORT] = Path(living.spec.folder) / CLOCK
    return replace(view, texts=texts, digest=digest), replace(
        box,
        mounts={**box.mounts, f"{TOOLS}/kubectl": kubectl(), **wrappers(Path(living.spec.folder))},
        forwards={**box.forwards, **forwards},
        env={"PATH": PATH, **box.env, "KUBECONFIG": f"{HOME}/{KUBECONFIG}"},
    )


def addresses() -> dict[str, str]:
    """Where each API is inside of a sandbox, as URLs by name."""
    return {
        name: f"{'https' if name == 'kubernetes' else 'http'}://127.0.0.1:{port}"
        for port, name in PORTS.items()
    }


@functools.cache
def kubectl() -> Path:
    """The newest kubectl of this machine that fits.

    Raises:
        InfrastructureError: there is none.
    """
    from firedrill.gateway.kubernetes.kubectl import find_kubectl

    found = find_kubectl()
    if not found:
        raise InfrastructureError("agents on call need kubectl 1.30 or newer; run `make tools`")
    return found[0].path


def wrappers(folder: Path) -> dict[str, Path]:
    """The programs of a shell that have to go by the incident's clock, written to a folder; by path inside.

    Raises:
        OSError: they cannot be written.
    """
    mounts = {}
    for name in _WRAPPERS:
        text = resources.files("firedrill.runner.living").joinpath(f"data/{name}.sh").read_text("utf-8")
        path = folder / f"{name}.sh"
        path.write_text(text.replace("@CLOCK@", f"http://127.0.0.1:{CLOCK_PORT}"), "utf-8")
        path.chmod(0o755)
        mounts[f"{TOOLS}/{name}"] = path
    return mounts


__all__ = [
    "CLOCK_PORT",
    "KUBECONFIG",
    "PATH",
    "PORTS",
    "README",
    "TOOLS",
    "addresses",
    "furnish",
    "kubectl",
    "wrappers",
]
