"""a store fills its memory with what a script keeps writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import programs
from firedrill.faults._changes import CONTAINER, Outcome, add, edit_pods, entity, pick
from firedrill.faults._making import config_map, joined, mount
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_FOLDER = "/data/scripts"
_SCRIPT = """#!/bin/sh
{server} &
while true; do
  {bench} -q -t set -n {count} -d {size} -r 1000000
  sleep 1
done
"""
_PROGRAMS = {"valkey": ("valkey-server", "valkey-benchmark"), "redis": ("redis-server", "redis-benchmark")}


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    server, bench = _PROGRAMS[args["program"]]
    size = int(float(args["mb_per_second"]) * 1_000_000)
    script = _SCRIPT.format(
        server=server, bench=bench, count=max(size // 250_000, 1), size=min(size, 250_000)
    )
    made = config_map(args["namespace"], args["config_map"], {"warm-cache.sh": script})

    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")
        container["command"] = ["/bin/sh", "-c", script]
        files = {"name": "scripts", "configMap": {"name": args["config_map"], "defaultMode": 0o755}}
        mount(spec, container, files, _FOLDER)

    undo = add(world, made)
    return joined(edit_pods(world, args, change), ((entity(made),), (undo,)))


def _fits(world: World) -> Iterator[Target]:
    """Stores of Redis' kind that have a limit of memory."""
    for owner, service in programs(world):
        container = fitting.main_container(world, owner)
        image = str(container.get("image"))
        program = next((name for name in _PROGRAMS if name in image), "")
        if service.database == "redis" and program and (container.get("resources") or {}).get("limits"):
            yield fitting.on_container(world, owner, program=program)


FAULT = register(
    Fault(
        id="valkey-workload-out-of-memory",
        title="a store fills its memory with what a script keeps writing, and is killed",
        parameters={
            **CONTAINER,
            "program": Parameter("what the store is", "valkey", tuple(sorted(_PROGRAMS))),
            "mb_per_second": Parameter("what the script writes", 1),
            "config_map": Parameter("name of the ConfigMap with the script", "valkey-storage-script"),
        },
        inject=_inject,
        shows="ended:OOMKilled",
        aliases=("valkey_workload_out_of_memory",),
        family="runtime",
        category="Change",
        text="A script that was to warm the cache runs beside the store and never stops writing. The store "
        "grows beyond its limit, is killed, and starts empty, again and again.",
        fits=_fits,
        lacks="the application has no store of Redis' kind with a limit of memory",
    )
)
