"""The workspace of whoever assesses a host: commands run on it, and only the working folder lasts."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.sandbox.base import HOME, CommandResult, SandboxLimits
from firedrill.sandbox.host import INVENTORY, HostLimits, inventory, run_command
from firedrill.world.host import Host

_TIMED_OUT = 124
_ROOM = 32_000_000
"""Bytes of all files of the working folder."""


class HostWorkspace:
    """An open host. Each command finds it as it was, with the files of the working folder.

    Args:
        host: that commands see.
        limits: of each command.
    """

    home = HOME

    def __init__(self, host: Host, limits: SandboxLimits) -> None:
        self._host = host
        self._limits = HostLimits(
            seconds=limits.command_seconds,
            memory_mb=limits.memory_mb,
            processes=limits.processes,
            output_chars=limits.output_chars,
        )
        self._files: dict[str, bytes] = {INVENTORY: inventory(host).encode()}
        self._turn = asyncio.Lock()

    async def run(self, command: str, *, timeout: float | None = None, stdin: bytes = b"") -> CommandResult:
        """Run a command with bash in the working folder; one after the other.

        Raises:
            InfrastructureError: the sandbox failed.
        """
        limits = self._limits
        if timeout is not None:
            limits = replace(limits, seconds=min(timeout, limits.seconds))
        if stdin:
            command = f"{command} <<< {shlex.quote(stdin.decode('utf-8', 'replace'))}"
        async with self._turn:
            try:
                played = await asyncio.to_thread(run_command, self._host, command, self._files, limits)
            except InputError as error:
                raise InfrastructureError(str(error)) from error
            if sum(map(len, played.files.values())) <= _ROOM:
                self._files = dict(played.files)
        return CommandResult(
            stdout=played.stdout,
            stderr=played.stderr,
            exit_code=played.code,
            timed_out=played.code == _TIMED_OUT,
            seconds=played.seconds,
        )

    async def run_argv(
        self, argv: list[str], *, timeout: float | None = None, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Run a program without a shell."""
        words = [*(f"{name}={value}" for name, value in (env or {}).items()), *argv]
        return await self.run(shlex.join(["env", *words]), timeout=timeout)

    async def read_file(self, path: str, limit: int = 4_000_000) -> bytes | None:
        """A file of the working folder, or None."""
        found = self._files.get(self._name(path))
        return None if found is None else found[:limit]

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file of the working folder."""
        self._files[self._name(path)] = data

    def _name(self, path: str) -> str:
        place = PurePosixPath(path)
        return str(place.relative_to(HOME)) if place.is_relative_to(HOME) else str(place)

    async def close(self) -> None:
        """Forget every file."""
        self._files = {}

    def describe(self) -> dict[str, Any]:
        """What goes into the record."""
        return {"kind": "host", "hostname": self._host.hostname}


__all__ = ["HostWorkspace"]
