"""Opening a workspace of any kind, and telling which kinds this machine offers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from firedrill.core.errors import FiredrillError, InputError
from firedrill.sandbox.base import SandboxSpec, View
from firedrill.sandbox.workspace import SupervisedWorkspace

KINDS = ("bubblewrap", "none")


@dataclass(frozen=True)
class Status:
    """Whether one kind of sandbox works here; ``reason`` says why not and how to mend it."""

    kind: str
    available: bool
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def open_workspace(view: View, spec: SandboxSpec) -> SupervisedWorkspace:
    """A workspace for one episode; nothing starts before its first command. It is an async context manager.

    Raises:
        InputError: an unknown kind, a mount or an entry that cannot be.
        InfrastructureError: this machine lacks what the kind needs. There is never a silent fallback.
    """
    if spec.kind == "bubblewrap":
        from firedrill.sandbox.bubblewrap import BubblewrapWorkspace

        return BubblewrapWorkspace(view, spec)
    if spec.kind == "none":
        from firedrill.sandbox.bare import HostWorkspace

        return HostWorkspace(view, spec)
    raise InputError(f"no kind of sandbox {spec.kind!r}", source="sandbox", mend=f"use {' or '.join(KINDS)}")


def probe() -> list[Status]:
    """Tries each kind with one command. Not to be called inside a running event loop."""
    return [asyncio.run(_probe(kind)) for kind in KINDS]


async def _probe(kind: str) -> Status:
    try:
        async with open_workspace(View(), SandboxSpec(kind=kind)) as workspace:
            result = await workspace.run("echo fine", timeout=20)
            details = workspace.describe()
    except FiredrillError as error:
        return Status(kind, False, str(error))
    if result.stdout != "fine\n":
        return Status(kind, False, f"a trial command failed: {result.stderr.strip()}")
    return Status(kind, True, "" if kind != "none" else "isolates nothing; only when asked for", details)
