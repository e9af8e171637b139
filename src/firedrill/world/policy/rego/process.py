"""One worker process: an empty environment, limits of its own, a line of JSON per answer."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from firedrill.core.errors import InfrastructureError

Answer = dict[str, Any]
MODULE = "firedrill.world.policy.rego.inside.worker"
_BOOT = """
import sys, types
own, other = sys.argv[1], sys.argv[2:]
parts = "firedrill world policy rego".split()
for size in range(1, 5):
    module = types.ModuleType(".".join(parts[:size]))
    module.__path__ = ["/".join([own, *parts[:size]])]
    sys.modules[module.__name__] = module
sys.path.extend(other)
from firedrill.world.policy.rego.inside.worker import main
main()
"""
"""Imports the worker without running any package's own start: it must be there in milliseconds."""

_ENDS = {
    signal.SIGPROF: ("time", "the policy used more CPU time than allowed"),
    signal.SIGXCPU: ("time", "the policy used more CPU time than allowed"),
    signal.SIGKILL: ("time", "the policy was still running when the time was over"),
    signal.SIGABRT: ("memory", "the policy used more memory than allowed"),
    signal.SIGSEGV: ("stack", "the policy recurses too deeply"),
    signal.SIGBUS: ("stack", "the policy recurses too deeply"),
}


@cache
def _paths() -> tuple[str, ...]:
    """The folder that holds ``firedrill``, then the folders of the engines that are installed."""
    found = [str(Path(__file__).resolve().parents[4])]
    for name in ("regorus", "regopy"):
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            folder = str(Path(spec.origin).resolve().parents[1])
            if folder not in found:
                found.append(folder)
    return tuple(found)


@cache
def known_functions() -> dict[str, int]:
    """Rego's own functions and their number of arguments (-1: any)."""
    text = (resources.files("firedrill.world.policy.rego") / "data" / "functions.json").read_text()
    found: dict[str, int] = json.loads(text)
    return found


def installed(name: str) -> bool:
    """Whether an engine's package is there."""
    return importlib.util.find_spec(name) is not None


def run(request: Answer, wall: float) -> tuple[list[Answer], Answer | None]:
    """The answers that came, and why there are no more (None: all came)."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, *_paths()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={}, cwd="/", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise InfrastructureError(f"the Rego worker cannot be started: {error}") from error
    late = False
    try:
        out, errors = process.communicate(json.dumps(request).encode(), timeout=wall)
    except subprocess.TimeoutExpired:
        late = True
        process.kill()
        out, errors = process.communicate()
    answers = []
    for line in out.split(b"\n"):
        if line:
            try:
                answers.append(json.loads(line))
            except ValueError:
                break
    if process.returncode == 0:
        return answers, None
    return answers, _end(process.returncode, late, errors)


def _end(code: int, late: bool, errors: bytes) -> Answer:
    if late:
        return {"code": "time", "message": _ENDS[signal.SIGKILL][1]}
    if code < 0:
        kind, words = _ENDS.get(signal.Signals(-code), ("engine", f"the engine ended by signal {-code}"))
        return {"code": kind, "message": words}
    if b"MemoryError" in errors:
        return {"code": "memory", "message": _ENDS[signal.SIGABRT][1]}
    last = errors.decode(errors="replace").strip().split("\n")[-1][:300]
    return {"code": "engine", "message": f"the engine ended with {code}: {last}"}
