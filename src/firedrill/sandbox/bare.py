"""No sandbox: commands run on this machine, as the user who runs Firedrill. Only when asked for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.sandbox.base import SandboxSpec, View
from firedrill.sandbox.bundle import boot
from firedrill.sandbox.workspace import SupervisedWorkspace, write_texts


class HostWorkspace(SupervisedWorkspace):
    """A temporary folder with links to the evidence. It isolates nothing, and says so."""

    kind = "none"

    def __init__(self, view: View, spec: SandboxSpec) -> None:
        super().__init__(view, spec)
        if spec.mounts:
            raise InputError("extra mounts need a sandbox", source="mounts")
        self._folder = Path(tempfile.mkdtemp(prefix="home-"))
        self.home = str(self._folder)
        self._lay_out()

    def _lay_out(self) -> None:
        write_texts(self._folder, self.view.texts)
        for name, path in self.view.entries.items():
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PAGER": "cat",
            **self.spec.env,
        }

    def _spawn(self, control: socket.socket, channel: socket.socket, errors: int) -> subprocess.Popen[bytes]:
        if not self._folder.is_dir():
            self._folder.mkdir()
            self._lay_out()
        try:
            return subprocess.Popen(
                [sys.executable, *boot("supervisor")],
                stdin=control.fileno(), stdout=channel.fileno(), stderr=errors, env={}, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise InfrastructureError(f"the command runner cannot be started: {error}") from error

    async def _clean(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    async def close(self) -> None:
        """End every process and remove the folder."""
        await super().close()
        await self._clean()

    def describe(self) -> dict[str, Any]:
        """Says that nothing is isolated; only limits per process hold."""
        held = "rlimit per process"
        return {
            "kind": self.kind,
            "limits": asdict(self.spec.limits),
            "enforcement": {
                "memory": held,
                "processes": "none",
                "cpu": held,
                "file_size": "rlimit",
                "disk": "none",
            },
            "host_paths": "shown",
            "ports": sorted(self.spec.forwards),
            "tool_root": {"kind": "host", "digest": ""},
        }
