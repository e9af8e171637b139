"""The program that evaluates foreign Rego: limits itself, reads one request, writes a line per answer.

Request (JSON on standard input): ``{job: evaluate | read, modules: [[name, text]], query, inputs:
[JSON text], data: JSON text, seconds, memory, output, refused:
[function], known: {function: arguments}, back_end}``.
Answers: a first line about the modules, then one per input; a missing line means that the process was ended
by its own limits while it worked on that input (the signal says which).
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any

from firedrill.world.policy.rego.inside import regopy_engine, regorus_engine

Answer = dict[str, Any]


def limit(memory: int) -> None:
    """Bound this process: memory, files, processes; no core files. Limits cannot be raised again."""
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(kind, (value, value))


def reserved() -> int:
    """Bytes of addresses taken so far: the allocator of regopy must have far more than it uses."""
    sizes = os.open("/proc/self/statm", os.O_RDONLY)
    text = os.read(sizes, 200)
    os.close(sizes)
    return int(text.split()[0]) * resource.getpagesize()


def clock(seconds: float) -> None:
    """End this process when it has used so much CPU time from now on; 0 stops the clock."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """Serve one request."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    request = json.loads(sys.stdin.buffer.read())
    # Limits first: the allocator of regorus reserves a gigabyte of addresses where it is let.
    forced = request["back_end"] == "regopy"
    engine = regopy_engine if forced else regorus_engine
    if forced:
        engine.load()
        limit(request["memory"] + reserved())
    else:
        limit(request["memory"])
        engine.load()
    clock(request["seconds"])

    def tell(answer: Answer) -> None:
        text = json.dumps(answer)
        if len(text) > request["output"]:
            text = json.dumps({"error": {"code": "output", "message": "the result is too large"}})
        out.write(text + "\n")
        out.flush()

    try:
        prepared = engine.prepare(request)
    except MemoryError:
        tell({"error": {"code": "memory", "message": "out of memory while reading the policy"}})
        return
    tell(prepared.about)
    if request["job"] == "read" or prepared.about["errors"]:
        return
    for text in request["inputs"]:
        clock(request["seconds"])
        try:
            tell(prepared.answer(text))
        except MemoryError:
            tell({"error": {"code": "memory", "message": "out of memory"}})
