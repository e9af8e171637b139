"""The official ``opa`` program as a back-end: one run per input, without network functions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from firedrill.core.errors import InfrastructureError
from firedrill.world.policy.rego.inside.regorus_engine import NOW
from firedrill.world.policy.rego.model import Limits, Module, Outcome, RegoError, Undefined, Value

Answer = dict[str, Any]
SPACE = 4
"""Address space over memory: the runtime of the program reserves far more than it uses."""

_BOOT = """
import os, resource, sys
seconds, memory, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for kind, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0),
                    (resource.RLIMIT_FSIZE, 0)):
    resource.setrlimit(kind, (value, value))
os.execv(program, [program, *sys.argv[4:]])
"""


def _run(arguments: Sequence[str], limits: Limits, text: str = "") -> tuple[int, str, str]:
    program = shutil.which("opa")
    if program is None:
        raise InfrastructureError("opa is not on the PATH any more")
    seconds = max(1, round(limits.seconds))
    try:
        done = subprocess.run(
            [
                sys.executable, "-I", "-S", "-c", _BOOT,
                str(seconds), str(limits.memory * SPACE), program, *arguments,
            ],
            input=text.encode(), capture_output=True, timeout=10 + 3 * seconds, cwd="/", check=False,
            env={"GOMEMLIMIT": str(limits.memory), "GOMAXPROCS": "2"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -9, "", ""
    except OSError as error:
        raise InfrastructureError(f"opa cannot be started: {error}") from error
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@cache
def _capabilities(refused: tuple[str, ...]) -> str:
    """What the program can do, as its own list says, less what is refused; no host may be reached."""
    code, out, errors = _run(["capabilities", "--current"], Limits())
    try:
        found = json.loads(out)
        found["builtins"] = [item for item in found["builtins"] if item["name"] not in refused]
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"opa does not tell its capabilities ({code}): {errors[:200]}") from error
    return json.dumps(found | {"allow_net": []})


def evaluate(
    modules: Sequence[Module], query: str, text: str, data: Any, limits: Limits, refused: tuple[str, ...]
) -> Outcome:
    """Read as version 1, then as version 0 where that does not parse."""
    with tempfile.TemporaryDirectory(prefix="rego-") as name:
        folder = Path(name)
        (folder / "capabilities.json").write_text(_capabilities(refused))
        files = []
        for index, module in enumerate(modules):
            path = folder / f"m{index}.rego"
            path.write_text(module.text)
            files += ["--data", str(path)]
        if data is not None:
            (folder / "data.json").write_text(json.dumps(data))
            files += ["--data", str(folder / "data.json")]
        asked = (
            f"{query} with time.now_ns as {NOW}" if any("time.now_ns" in m.text for m in modules) else query
        )
        common = ["--format", "json", "--capabilities", str(folder / "capabilities.json"), *files]
        if text:
            common.append("--stdin-input")
        first = _answer(_run(["eval", "--v1-compatible", *common, asked], limits, text), 1, modules, limits)
        if isinstance(first, RegoError) and first.code == "rego_parse_error":
            again = _answer(
                _run(["eval", "--v0-compatible", *common, asked], limits, text), 0, modules, limits
            )
            if not (isinstance(again, RegoError) and again.code == "rego_parse_error"):
                return again
        return first


def _answer(done: tuple[int, str, str], version: int, modules: Sequence[Module], limits: Limits) -> Outcome:
    code, out, errors = done
    if len(out) > limits.output:
        return RegoError("output", "the result is too large", version=version, back_end="opa")
    try:
        answer = json.loads(out)
    except ValueError:
        if code < 0:
            return RegoError("time", f"opa was ended by signal {-code}", version=version, back_end="opa")
        kind = "memory" if "out of memory" in errors else "engine"
        return RegoError(
            kind, errors.strip()[:300] or f"opa ended with {code}", version=version, back_end="opa"
        )
    if answer.get("errors"):
        return _failure(answer["errors"][0], version, modules)
    result = answer.get("result")
    if not result:
        return Undefined(version, "opa")
    rows = tuple(row.get("bindings", {}) for row in result)
    return Value(result[0]["expressions"][-1]["value"], rows, version, "opa")


def _failure(error: Answer, version: int, modules: Sequence[Module]) -> RegoError:
    place = error.get("location") or {}
    stem = Path(str(place.get("file", ""))).stem
    name = modules[int(stem[1:])].name if stem[1:].isdigit() and int(stem[1:]) < len(modules) else ""
    return RegoError(
        str(error.get("code", "engine")), str(error.get("message", "")),
        int(place.get("row", 0)), int(place.get("col", 0)), name, version, "opa",
    )  # fmt: skip
