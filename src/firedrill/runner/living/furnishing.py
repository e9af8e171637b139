"""What the sandbox of an agent on call holds: ways to its world, and a page that says what is going on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from firedrill.core.digest import digest_of
from firedrill.core.errors import InfrastructureError
from firedrill.sandbox.base import HOME, SandboxSpec, View

if TYPE_CHECKING:
    from firedrill.runner.living.protocol import EpisodeSpec
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
TOOLS = "/opt/on-call"
_PATH = f"{TOOLS}:/usr/local/bin:/usr/bin:/bin"


def furnish(
    living: LivingEpisode, spec: EpisodeSpec, view: View, box: SandboxSpec
) -> tuple[View, SandboxSpec]:
    """The view and the sandbox of an agent, with its world in them.

    Args:
        living: the episode.
        spec: what it was made of.
        view: what is there beside.
        box: likewise.

    Raises:
        InfrastructureError: there is no kubectl on this machine.
    """
    page = readme(living.alerts, living.stage.namespace, spec)
    texts = {**view.texts, README: page, KUBECONFIG: living.kubeconfig().decode()}
    # the kubeconfig holds a token of its own in each episode
    digest = digest_of({"entries": view.digest, "page": page})
    forwards = {port: living.sockets[name] for port, name in PORTS.items()}
    return replace(view, texts=texts, digest=digest), replace(
        box,
        mounts={**box.mounts, f"{TOOLS}/kubectl": kubectl()},
        forwards={**box.forwards, **forwards},
        env={"PATH": _PATH, **box.env, "KUBECONFIG": f"{HOME}/{KUBECONFIG}"},
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


def readme(alerts: tuple[Mapping[str, Any], ...], namespace: str, spec: EpisodeSpec) -> str:
    """The page that tells an agent what is going on and what is expected, as Markdown."""
    from firedrill.tools.authority import open_policy

    text = resources.files("firedrill.runner.living").joinpath("data/readme.md").read_text("utf-8")
    return Template(text).substitute(
        alerts="\n\n".join(map(_told, alerts)) or "Users complain; no alert fires.",
        namespace=namespace,
        home=HOME,
        authority=spec.authority,
        title=open_policy(spec.authority).metadata.title,
        read=f"{spec.read_ms / 1000:g}",
        write=f"{spec.write_ms / 1000:g}",
        minutes=f"{spec.cap_ms / 60_000:g}",
    )


def _told(alert: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{key}={item}" for key, item in alert["labels"].items() if key != "alertname")
    return f"**{alert['name']}** fires since {alert['fired']}: {alert['description']}\n({labels})"


__all__ = ["KUBECONFIG", "PORTS", "README", "TOOLS", "addresses", "furnish", "kubectl", "readme"]
