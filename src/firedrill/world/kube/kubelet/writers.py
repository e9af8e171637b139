"""Tools that read or fill what a container holds: a check of JSON, and the load test of stores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet.checks import listening
from firedrill.world.kube.kubelet.health import set_health
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.programs.model import Executed

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.tools import Session

_LONGEST = 1_000_000
_MOST = 1 << 34
_PORT = 6379


def python(session: Session, args: list[str], stdin: str) -> Executed:
    """`python3`: its module `json.tool` on a file; else a program of the image."""
    if args[:2] != ["-m", "json.tool"]:
        return session.own(["python3", *args])
    paths = [word for word in args[2:] if not word.startswith("-")]
    text = session.files().get(paths[0]) if paths else stdin
    if text is None:
        why = f"can't open '{paths[0]}': [Errno 2] No such file or directory: '{paths[0]}'"
        return Executed(stderr=f"python -m json.tool: error: argument infile: {why}\n", code=2)
    try:
        value = json.loads(text[:_LONGEST])
    except (ValueError, RecursionError) as problem:
        return Executed(stderr=f"{problem}\n", code=1)
    return Executed(json.dumps(value, indent=4) + "\n")


def benchmark(session: Session, args: list[str], _: str) -> Executed:
    """`redis-benchmark` and `valkey-benchmark`: what they set stays in the memory of the store."""
    from firedrill.world.kube.kubelet.nettools import route_from

    host, port = _value(args, "-h") or "127.0.0.1", _number(args, "-p", _PORT)
    where = (session.state.namespace, session.state.name)
    if host not in {"localhost", "127.0.0.1"}:
        found = route_from(session.world, session.pod, host, port)
        where, port = (found.pod, found.port) if found.result == "ok" else (("", ""), port)
    state = find_pod(session.world, *where)
    there = listening(session.world, state, port) if state is not None else None
    if state is None or there is None:
        return Executed(stderr=f"Could not connect to Redis at {host}:{port}: Connection refused\n", code=1)
    count = _number(args, "-n", 100_000)
    if "set" in (_value(args, "-t") or "set"):
        container = there[3]
        kept = min(count, _number(args, "-r", 1)) * _number(args, "-d", 3)
        total = min(container.health.memory + kept, _MOST)
        set_health(session.world, state.namespace, state.name, container.name, memory=total)
    return Executed(f"SET: {count}.00 requests per second, p50=0.231 msec\n")


def _value(args: list[str], name: str) -> str:
    return next((args[n + 1] for n, word in enumerate(args[:-1]) if word == name), "")


def _number(args: list[str], name: str, default: int) -> int:
    text = _value(args, name)
    return int(text) if text.isdecimal() and len(text) < 10 else default
