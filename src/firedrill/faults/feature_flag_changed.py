"""a feature flag is switched in the file that hands it out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.core.errors import InputError
from firedrill.faults import fitting
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        text = (obj.get("data") or {}).get(args["file"])
        if text is None:
            raise InputError(f"the ConfigMap has no {args['file']}", field="file", mend="name another file")
        obj["data"] = {**obj["data"], args["file"]: switched(text, args["flag"], args["state"])}

    undo = edit(world, "configmaps", args["namespace"], args["config_map"], change)
    return (f"{args['namespace']}/ConfigMap/{args['config_map']}",), (undo,)


def switched(text: str, flag: str, state: str) -> str:
    """A file of flags, as flagd reads them, with another default of one; all else stays as it is written.

    Raises:
        InputError: it is no such file, or has no such flag or variant.
    """
    wanted = _read(text)
    if flag not in wanted:
        raise InputError(f"there is no flag {flag!r}", field="flag", mend=_options(wanted))
    variants = wanted[flag].get("variants") or {}
    if state not in variants:
        raise InputError(f"{state!r} is no variant of {flag}", field="state", mend=_options(variants))
    wanted[flag]["defaultVariant"] = state
    place = re.compile(rf'("{re.escape(flag)}"\s*:\s*\{{.*?"defaultVariant"\s*:\s*)"[^"]*"', re.DOTALL)
    made = place.sub(lambda match: match[1] + orjson.dumps(state).decode(), text, count=1)
    if _read(made) == wanted:
        return made
    whole = {**orjson.loads(text), "flags": wanted}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode() + "\n"


def _options(names: Mapping[str, Any]) -> str:
    return f"take one of {', '.join(sorted(names))}"


def _read(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    flags = found.get("flags") if isinstance(found, dict) else None
    if not isinstance(flags, dict):
        raise InputError("the file holds no flags", field="file", mend="name a file as flagd reads it")
    return flags


def _fits(world: World) -> Iterator[Target]:
    """Every flag that the graph knows and a mounted file hands out, with each variant that does something."""
    graph = fitting.graph_of(world)
    services = {service.name: service for service in (graph.app.services if graph else ())}
    seen = set()
    for flag in graph.app.flags if graph else ():
        holder = services.get(flag.provider)
        found = _file(world, holder.workload, flag.file) if holder is not None and flag.file else None
        if found is None or flag.name in seen:
            continue
        seen.add(flag.name)
        config, text = found
        item = _read(text).get(flag.name) or {}
        kind, name = services[flag.service].workload if flag.service in services else ("", "")
        owner = world.cluster.store.get(kind, namespace_of(config), name) if kind else None
        if owner is None or item.get("state") != "ENABLED":
            continue
        for variant in _felt(item):
            args = {"namespace": namespace_of(config), "config_map": name_of(config), "file": flag.file}
            yield Target({**args, "flag": flag.name, "state": variant}, fitting.entity(owner))


def _felt(item: Mapping[str, Any]) -> list[str]:
    """The variants that switch something on: of numbers, those of at least half of the largest."""
    variants = item.get("variants") or {}
    now = variants.get(item.get("defaultVariant"))
    most = max((float(value) for value in variants.values() if isinstance(value, int | float)), default=0.0)
    return [
        name
        for name, value in variants.items()
        if value != now and isinstance(value, int | float) and value and float(value) >= most / 2
    ]


def _file(world: World, workload: tuple[str, str], file: str) -> tuple[Obj, str] | None:
    """The ConfigMap that a workload mounts and that has the file, and what the file says."""
    graph = fitting.graph_of(world)
    space = graph.app.namespace if graph is not None else ""
    owner = world.cluster.store.get(workload[0], space, workload[1])
    for volume in dig(owner, "spec", "template", "spec", "volumes", default=()):
        found = world.cluster.store.get("configmaps", space, str(dig(volume, "configMap", "name")))
        text = dig(found, "data", file) if found is not None else None
        if found is not None and text is not None:
            return found, str(text)
    return None


FAULT = register(
    Fault(
        id="feature-flag-changed",
        title="a feature flag is switched, and a program behaves otherwise",
        parameters={
            "namespace": Parameter("namespace of the ConfigMap"),
            "config_map": Parameter("name of the ConfigMap with the file of flags"),
            "file": Parameter("the file, as flagd reads it"),
            "flag": Parameter("name of the flag"),
            "state": Parameter("the variant that becomes the default"),
        },
        inject=_inject,
        shows="troubled",
        within=900_000,
        aliases=("feature_flag_changed",),
        family="application",
        category="Change",
        text="Somebody switched a feature flag. Nothing is deployed or restarted: once the file has reached "
        "the program that hands flags out, others behave as the flag says.",
        fits=_fits,
        lacks="the application has no file of feature flags",
    )
)
