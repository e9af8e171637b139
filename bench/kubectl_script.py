"""Runs scripts of kubectl commands, kept as data, against a served world, and says what went wrong.

A script is a YAML file: `files` (name to text, laid out in the folder where the commands run), `namespace`
(made first, and the default of every command), and `steps`. A step:

    do: the command line without `kubectl`; `<<name>>` stands for what an earlier step saved
    code: expected exit code (0)
    out, err: patterns that standard output or error must hold, in any order
    equals: exact standard output, but for white space at its ends
    lacks: patterns that neither may hold
    stdin: text for standard input
    editor: the value of KUBE_EDITOR
    retry: seconds of wall time within which it must come out right
    stop: seconds after which it is interrupted (watches and followed logs); any exit code is right then
    save: the name under which standard output is kept for later steps
    from, to: the versions of kubectl that the step is for, as in "1.32"
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from types import TracebackType

    from firedrill.gateway.kubernetes import Host, Identity
    from firedrill.gateway.kubernetes.kubectl import KubectlBinary
    from firedrill.world.world import World

SCRIPTS = Path(__file__).resolve().parents[1] / "tests" / "conformance" / "data" / "kubectl"
LIMIT_SECONDS = 30.0
KEYS = {
    "do",
    "code",
    "out",
    "err",
    "equals",
    "lacks",
    "stdin",
    "editor",
    "retry",
    "stop",
    "save",
    "from",
    "to",
}
HOUR_MS = 3_600_000  # the world starts in the past, so that its fast clock does not overtake kubectl's
SPEED = 20.0
"""Virtual seconds for each second of a run: pods start while a person would still be reading."""


class ServedWorld:
    """A world on a port, served by a thread of its own: `with ServedWorld(world) as served`."""

    def __init__(self, world: World, identities: list[Identity], speed: float = SPEED) -> None:
        self.world = world
        self.identities = identities
        self.host: Host
        self.address = ""
        self.ca = b""
        self._speed = speed
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        from firedrill.gateway import serving
        from firedrill.gateway.kubernetes import Pace

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serving.served(self.world, self.identities, Pace(speed=self._speed)) as served:
            self.address, self.ca, self.host = served.server, served.ca, served.host
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> ServedWorld:
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the world was not served within 30 s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def kubeconfig(self, path: Path, who: Identity | None = None, namespace: str = "default") -> Path:
        """Write a kubeconfig for one of the identities, the first unless told otherwise."""
        from firedrill.gateway.kubernetes import kubeconfig

        kubeconfig.write(
            path, kubeconfig.document(self.address, self.ca, [who or self.identities[0]], namespace)
        )
        return path


@dataclass(slots=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass(slots=True)
class Outcome:
    """A script that was run: how many commands, how long, and every difference as a text."""

    name: str
    commands: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def scripts() -> list[Path]:
    """Every script there is."""
    return sorted(SCRIPTS.glob("*.yaml"))


def steps(path: Path) -> list[dict[str, Any]]:
    """The steps of a script, and an error where one says something that nobody reads."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))["steps"]
    for step in found:
        unknown = set(step) - KEYS
        if unknown or "do" not in step:
            raise ValueError(f"{path.name}: {step} has unknown or missing keys {sorted(unknown)}")
    return found


def applies(step: Mapping[str, Any], version: tuple[int, int, int]) -> bool:
    """Whether the step is for this version of kubectl."""
    return _minor(step.get("from", "1.0")) <= version[:2] <= _minor(step.get("to", "1.999"))


def _minor(text: object) -> tuple[int, int]:
    major, minor = str(text).split(".")
    return int(major), int(minor)


class Shell:
    """A folder, a home and a kubectl, in which the steps of one script run."""

    def __init__(self, binary: KubectlBinary, served: ServedWorld, folder: Path) -> None:
        self.binary = binary
        self.work = folder / "work"
        self.home = folder / "home"
        self.saved: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        for path in (self.work, self.home):
            path.mkdir(parents=True, exist_ok=True)
        self._served = served
        self._config = folder / "kubeconfig"

    def run_script(self, path: Path) -> Outcome:
        """Run every step; a wrong one does not keep the others from running."""
        script = yaml.safe_load(path.read_text("utf-8"))
        outcome = Outcome(path.stem)
        space = script.get("namespace", "default")
        self._served.kubeconfig(self._config, namespace=space)
        for name, text in (script.get("files") or {}).items():
            target = self.work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        if space != "default":
            self.run(["create", "namespace", space])
            self.run(["wait", "--for=jsonpath={.metadata.name}=default", "sa/default", "--timeout=20s"])
        started = time.perf_counter()
        for step in steps(path):
            if applies(step, self.binary.version):
                outcome.commands += 1
                outcome.failures += self.step(step)
        outcome.seconds = time.perf_counter() - started
        return outcome

    def step(self, step: Mapping[str, Any]) -> list[str]:
        """Run a step; what was wrong about it, empty where nothing was."""
        line = self._filled(str(step["do"]))
        end = time.monotonic() + float(step.get("retry", 0))
        while True:
            ran = self.run(
                shlex.split(line),
                stdin=self._filled(str(step.get("stdin", ""))),
                editor=step.get("editor"),
                stop=step.get("stop"),
            )
            wrong = self._wrong(step, ran)
            if not wrong or time.monotonic() >= end:
                break
            time.sleep(0.1)
        if "save" in step:
            self.saved[step["save"]] = ran.out.strip()
        if not wrong:
            return []
        told = f"$ kubectl {line}\n" + "".join(f"  {item}\n" for item in wrong)
        return [f"{told}  exit {ran.code}\n{_indent(ran.out, 'out')}{_indent(ran.err, 'err')}"]

    def _wrong(self, step: Mapping[str, Any], ran: Ran) -> list[str]:
        wrong = []
        if "stop" not in step and ran.code != step.get("code", 0):
            wrong.append(f"exit code {ran.code}, not {step.get('code', 0)}")
        for stream, text in (("out", ran.out), ("err", ran.err)):
            for pattern in _listed(step.get(stream)):
                if not re.search(self._filled(pattern), text, re.MULTILINE):
                    wrong.append(f"{stream} lacks {pattern!r}")
        for pattern in _listed(step.get("lacks")):
            if re.search(self._filled(pattern), ran.out + "\n" + ran.err, re.MULTILINE):
                wrong.append(f"holds {pattern!r}")
        if "equals" in step and ran.out.strip() != self._filled(str(step["equals"])).strip():
            wrong.append(f"out is not {step['equals']!r}")
        return wrong

    def _filled(self, text: str) -> str:
        return re.sub(r"<<(\w+)>>", lambda match: self.saved.get(match[1], match[0]), text)

    def run(
        self, args: list[str], *, stdin: str = "", editor: str | None = None, stop: float | None = None
    ) -> Ran:
        """Run one command; it is killed where it takes too long (exit code 124)."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "KUBECONFIG": str(self._config),
            "TZ": "UTC",
            **self.environment,
        }
        if editor:
            environment["KUBE_EDITOR"] = editor
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(self.binary.path), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.work,
            env=environment,
            text=True,
            errors="replace",
        )
        try:
            out, err = process.communicate(stdin, timeout=stop or LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT if stop else signal.SIGKILL)
            try:
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            if not stop:
                return Ran(124, out, err, time.perf_counter() - started)
        return Ran(process.returncode, out, err, time.perf_counter() - started)


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _indent(text: str, label: str) -> str:
    lines = text.splitlines()
    shown = lines[:25] + ([f"... {len(lines) - 25} more lines"] if len(lines) > 25 else [])
    return "".join(f"  {label}| {line[:300]}\n" for line in shown)


def make_served() -> ServedWorld:
    """The world that the scripts are written for, with an administrator and a plain user named jane."""
    from firedrill.gateway.kubernetes import Identity
    from firedrill.world.build import make_world
    from firedrill.world.kube.api import User
    from firedrill.world.kube.cluster import Settings

    people = [
        Identity("kubernetes-admin", User("kubernetes-admin", ("system:masters",)), "admin-token"),
        Identity("jane", User("jane", ("developers",)), "jane-token"),
    ]
    return ServedWorld(
        make_world(7, nodes=4, settings=Settings(freeze=True), start=int(time.time() * 1000) - HOUR_MS),
        people,
    )
