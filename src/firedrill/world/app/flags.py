"""Switches of applications: what variables and mounted flag files say, and what that changes.

Source of the file's form: flagd's flag definitions: `flags.NAME.{state, variants, defaultVariant}`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from firedrill.world.app import rows
from firedrill.world.app.graph import Graph
from firedrill.world.app.model import Flag
from firedrill.world.app.routes import Running

Values = tuple[float, ...]
"""How much of each flag of an application is on: 0 is off, 1 is what the graph says."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|us|µs|h)")
_UNITS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_OFF = frozenset({"", "0", "false", "off", "no", "disabled"})
_ON = frozenset({"true", "on", "yes", "enabled"})
_MOST = 1e6
_LARGEST_FILE = 1_000_000


def read_flags(graph: Graph, pods: tuple[Running, ...]) -> Values:
    """How much of each flag is on, as the pods' variables and mounted files say."""
    wanted = _providers(graph)
    if not wanted:
        return ()
    of: dict[int, list[Running]] = {}
    for pod in pods:
        of.setdefault(pod.service, []).append(pod)
    files: dict[tuple[int, str], Mapping[str, float]] = {}
    out = []
    for service, flag in wanted:
        here = of.get(service, [])
        if flag.variable:
            out.append(_number(here[0].env.get(flag.variable, "")) if here else 0.0)
            continue
        place = service, flag.file
        if place not in files:
            files[place] = _from_pods(here, flag.file)
        out.append(files[place].get(flag.name, 0.0))
    return tuple(out)


@lru_cache(maxsize=64)
def _providers(graph: Graph) -> tuple[tuple[int, Flag], ...]:
    """Each flag with the number of the service whose pods are told of it; -1 where there is none."""
    names = {service.name: number for number, service in enumerate(graph.app.services)}
    return tuple((names.get(flag.provider or flag.service, -1), flag) for flag in graph.app.flags)


def _from_pods(pods: list[Running], name: str) -> Mapping[str, float]:
    """The flags of the first file of that name that a pod is shown."""
    for pod in pods:
        for volume in sorted(pod.state.shown):
            for path, text in sorted(pod.state.shown[volume].items()):
                if path.rpartition("/")[2] == name:
                    return _from_file(text)
    return {}


def _number(text: str) -> float:
    """A number, a duration in ms, or a word for on or off."""
    text = text.strip().lower()[:64]
    if text in _OFF:
        return 0.0
    if text in _ON:
        return 1.0
    found = _DURATION.findall(text)
    if found and "".join(number + unit for number, unit in found) == text:
        return min(sum(float(number) * _UNITS[unit] for number, unit in found), _MOST)
    try:
        value = float(text.rstrip("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), _MOST) if math.isfinite(value) else 0.0


@lru_cache(maxsize=64)
def _from_file(text: str) -> Mapping[str, float]:
    """The flags of a flagd file; none where the file cannot be read, as flagd then knows none."""
    if len(text) > _LARGEST_FILE:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    flags = value.get("flags") if isinstance(value, dict) else None
    if not isinstance(flags, dict):
        return {}
    return {str(name): _variant(item) for name, item in flags.items() if isinstance(item, dict)}


def _variant(item: Mapping[str, Any]) -> float:
    variants = item.get("variants")
    if item.get("state") != "ENABLED" or not isinstance(variants, dict):
        return 0.0
    value = variants.get(str(item.get("defaultVariant")))
    if isinstance(value, bool):
        return 1.0 if value else 0.0
    if isinstance(value, int | float):
        return min(max(float(value), 0.0), _MOST)
    return _number(value) if isinstance(value, str) else 0.0


def apply_flags(graph: Graph, values: Values, into: Mapping[str, Any]) -> float:
    """Write what the flags change into arrays of effects.

    Args:
        graph: of the application.
        values: of its flags.
        into: by name: `op_io`, `op_error`, `op_work`, `cold`, `edge_code`, `messages`, `leak` (bytes per
            second by service), `flood` (by entry), and `delay` (ms by edge).

    Returns:
        The factor of the load.
    """
    names = [service.name for service in graph.app.services]
    load = 1.0
    for flag, value in zip(graph.app.flags, values, strict=True):
        if value <= 0 or flag.service not in names:
            continue
        much, service = value * flag.value, names.index(flag.service)
        ops = [
            number
            for number, (owner, name) in enumerate(graph.op_names)
            if owner == flag.service and flag.operation in ("", name)
        ]
        edges = [n for n, source in enumerate(graph.edge_source) if source in ops]
        if flag.parameter == "io_ms":
            into["op_io"][ops] += much
        elif flag.parameter == "delay_ms":
            into["delay"][np.isin(graph.edge_target, ops)] += much
        elif flag.parameter == "error_rate":
            into["op_error"][ops] = 1.0 - (1.0 - into["op_error"][ops]) * (1.0 - min(much, 1.0))
        elif flag.parameter == "work_factor":
            into["op_work"][ops] *= max(much, 1.0)
        elif flag.parameter == "cache_off":
            into["cold"][service] = min(much, 1.0)
        elif flag.parameter == "leak_mb_s":
            into["leak"][service] += much * 1024 * 1024
        elif flag.parameter == "load_factor":
            load *= max(much, 0.0)
        elif flag.parameter == "flood":
            into["flood"][[n for n in range(graph.entries) if graph.edge_target[n] in ops]] += much
        elif flag.parameter == "message_factor":
            into["messages"][[n for n in edges if graph.edge_publishes[n] >= 0]] *= max(much, 1.0)
        else:
            hit = [n for n in edges if graph.edge_call[n].service == flag.target]
            into["edge_code"][hit] = rows.NO_DNS
    return load
