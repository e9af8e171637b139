"""Assessments by kubectl: scripts run against variants of a cluster that nobody has seen."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import shutil
import ssl
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.core.compliance import ComplianceFacts, Stage
from firedrill.core.living import RequestLine
from firedrill.runner.compliance.collecting import (
    COLLECTED,
    POLICY,
    Collected,
    engine,
    evidence,
    judge_collected,
    read_collected,
)
from firedrill.runner.compliance.scene import bare_world, fill
from firedrill.runner.living.furnishing import KUBECONFIG, PATH, TOOLS, kubectl
from firedrill.sandbox import open_workspace
from firedrill.sandbox.base import HOME, SandboxLimits, SandboxSpec, View
from firedrill.suites.compliance.loading import variants
from firedrill.suites.compliance.model import ComplianceSpec, Variant

if TYPE_CHECKING:
    from firedrill.world.world import World

SCRIPTS = ("fetcher.sh", "script.sh", "fetch.sh")
SECONDS = 60.0
AT_ONCE = 2
_PORT = 6443
_ADDRESS = f"https://127.0.0.1:{_PORT}"
_RUN_MS = 60_000
"""In which a variant's controllers have made what they make."""
_LARGEST = 8_000_000
_USER = "assessor"
_WORDS = 300
_MOST_CONDUCT = 20
_FORKING = threading.Lock()


@dataclass
class Brought:
    """What a script left behind, and what it asked for."""

    data: Any = None
    reason: str = ""
    requests: list[RequestLine] = field(default_factory=list)


@cache
def _fresh() -> World:
    return bare_world()


def variant_world(variant: Variant) -> World:
    """A small running cluster with the objects of a variant. Blocks.

    Raises:
        InputError: an object is refused by the API.
    """
    with _FORKING:
        world = _fresh().fork()
    fill(world, variant.state, f"variant {variant.name}")
    world.run_for(_RUN_MS)
    return world


async def assess_scripts(
    spec: ComplianceSpec, files: Mapping[str, str], seed: int, known: ComplianceFacts, authority: str
) -> ComplianceFacts:
    """Run a script on all variants, and its policy on what it collects.

    Args:
        spec: the scenario.
        files: what was handed in.
        seed: of the hidden variants.
        known: the facts about the visible world.
        authority: the policy that requests pass.

    Raises:
        InfrastructureError: the sandbox or the gateway failed.
    """
    script = next((name for name in SCRIPTS if name in files), None)
    if script is None:
        return known.model_copy(update={"collector": Stage(reason="no script was handed in")})
    stage, language = await asyncio.to_thread(engine, files.get(POLICY))
    drawn = variants(spec, seed)
    asked = [*drawn, drawn[0]]
    brought = await collect(asked, files[script], authority, seed)
    found = [Collected(one, item.data, item.reason) for one, item in zip(asked, brought, strict=True)]
    update: dict[str, Any] = {
        "engine": stage,
        "language": language,
        "collector": _collector(spec, brought[0]),
        "evidence": evidence(found[:-1]),
        "conduct": (*known.conduct, *_conduct(brought))[:_MOST_CONDUCT],
    }
    if stage.ok:
        *judged, again = await asyncio.to_thread(judge_collected, files[POLICY], found)
        original = judged[0].got == "fail" and update["evidence"].ok
        update |= {"judged": tuple(judged), "again": again, "original": original}
    return known.model_copy(update=update)


def _collector(spec: ComplianceSpec, visible: Brought) -> Stage:
    asked = {line.resource for line in visible.requests if line.resource and not line.writes}
    if not asked:
        return Stage(reason=f"it asks the cluster for nothing: {visible.reason}".removesuffix(": "))
    if spec.collects and not asked & set(spec.collects):
        named = ", ".join(sorted(asked)[:5])
        return Stage(reason=f"it asks for {named}, none of which the requirement is about")
    return Stage(ok=True)


def _conduct(brought: Sequence[Brought]) -> list[str]:
    wrote = [
        f"its script tried to {line.verb} {line.resource} {line.name}".rstrip()
        for item in brought
        for line in item.requests
        if line.writes
    ]
    return list(dict.fromkeys(wrote))


async def collect(drawn: Sequence[Variant], script: str, authority: str, seed: int) -> list[Brought]:
    """What a script brings back from each variant, in their order.

    Raises:
        InfrastructureError: the sandbox or the gateway failed.
    """
    from firedrill.gateway.kubernetes import certificates

    ca, key = certificates.make()
    tls = certificates.context(ca, key)
    gate = asyncio.Semaphore(AT_ONCE)
    order = list(range(len(drawn)))
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret

    async def one(place: int) -> Brought:
        async with gate:
            world = await asyncio.to_thread(variant_world, drawn[place])
            return await _run(world, script, authority, ca, tls)

    found = dict(zip(order, await asyncio.gather(*(one(place) for place in order)), strict=True))
    return [found[place] for place in range(len(drawn))]


async def _run(world: World, script: str, authority: str, ca: bytes, tls: ssl.SSLContext) -> Brought:
    from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace, kubeconfig
    from firedrill.gateway.servers import running, unix_listener
    from firedrill.tools.authority import Authority, open_policy
    from firedrill.world.kube.api.request import User

    identity = Identity(_USER, User(_USER, ("system:masters",)), secrets.token_urlsafe(24))
    host = Host(world, (identity,), pace=Pace(speed=0))
    host.guard = Authority(open_policy(authority))
    out = Brought()
    host.witness = out.requests.append
    config = yaml.safe_dump(kubeconfig.document(_ADDRESS, ca, [identity], "default"), sort_keys=False)
    folder = Path(tempfile.mkdtemp(prefix="firedrill-"))
    try:
        async with contextlib.AsyncExitStack() as stack:
            socket = folder / "kubernetes"
            await stack.enter_async_context(running(Gateway(host), unix_listener(socket), tls))
            workspace = open_workspace(View(texts={KUBECONFIG: config}), _box(socket))
            stack.push_async_callback(workspace.close)
            await workspace.write_file(f"{HOME}/work/fetcher.sh", script.encode())
            result = await workspace.run(_command(script), timeout=SECONDS)
            raw = await workspace.read_file(f"{HOME}/work/{COLLECTED}", _LARGEST)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    if result.timed_out:
        out.reason = f"the script did not end within {SECONDS:g} s"
    elif result.exit_code != 0:
        said = " ".join((result.stderr or result.stdout).split())[:_WORDS]
        out.reason = f"the script ended with {result.exit_code}: {said}"
    else:
        out.data, out.reason = read_collected(raw)
    return out


def _box(socket: Path) -> SandboxSpec:
    return SandboxSpec(
        limits=SandboxLimits(command_seconds=SECONDS, memory_mb=1024, processes=64, file_mb=64, home_mb=128),
        mounts={f"{TOOLS}/kubectl": kubectl()},
        forwards={_PORT: socket},
        env={"PATH": PATH, "KUBECONFIG": f"{HOME}/{KUBECONFIG}"},
    )


def _command(script: str) -> str:
    first = script.partition("\n")[0]
    return f"cd work && {'bash' if 'bash' in first else 'sh'} fetcher.sh"


__all__ = ["SCRIPTS", "Brought", "assess_scripts", "collect", "variant_world"]
