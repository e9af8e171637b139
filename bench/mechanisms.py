"""Every mechanism of the library in every application that ships: injected, seen, repaired, clear again.

    python bench/mechanisms.py [--only FAULT ...] [--apps APP ...] [--targets N] [--jobs N] [--again] [--page]
                               [--changed]

Results go to bench/out/mechanisms.jsonl, one line for each mechanism and application; what is there already
is not done again unless `--again` says so, or `--changed` and the mechanism's own file is another one since.
`--page` writes docs/mechanisms.md from them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

APPS = ("online-boutique", "astronomy-shop", "hotel-reservation", "book-info")
HERE = Path(__file__).parent
OUT = HERE / "out" / "mechanisms.jsonl"
PAGE = HERE.parent / "docs" / "mechanisms.md"
MINUTE = 60_000
SEED, USUAL, SETTLED = 11, 12, 2
"""Of the worlds; minutes that they run before; minutes of these that are not yet usual."""
LEAST, MOST, CLEAR = 6, 25, 30
_WORLDS: dict[str, Any] = {}


def base(app: str) -> Any:
    """A world of the application that has been well for a while; made once in each process."""
    from firedrill.world.app import load_package, service
    from firedrill.world.living import make_living

    if app not in _WORLDS:
        world = make_living(load_package(app), SEED)
        service.begin(world)
        world.run_for(USUAL * MINUTE)
        _WORLDS[app] = world
    return _WORLDS[app].fork()


def firing(world: Any) -> dict[str, str]:
    """The alerts that fire, by their labels."""
    from firedrill.world.telemetry.monitoring import Monitoring

    found = world.cluster.part(Monitoring).rules.all_alerts("firing")
    return {
        json.dumps(dict(alert.labels), sort_keys=True): dict(alert.labels)["alertname"] for alert in found
    }


def chosen(targets: Sequence[Any], count: int, name: str) -> list[Any]:
    """So many of the targets, drawn by the name."""
    from random import Random

    draw = Random(name)
    return [targets[n] for n in sorted(draw.sample(range(len(targets)), min(count, len(targets))))]


def attempt(app: str, fault: Any, target: Any) -> dict[str, Any]:
    """One target: what was seen, who noticed, and whether the repair cleared it."""
    from firedrill import faults
    from firedrill.faults.showing import shows
    from firedrill.world.app import service

    world = base(app)
    begun = world.now
    usual = service.baseline(world, begun - (USUAL - SETTLED) * MINUTE, begun)
    before, known = world.fork(), set(firing(world).values())
    injection = faults.inject(world, fault, target.args)
    out: dict[str, Any] = {"args": dict(injection.args), "about": target.about, "shown": None, "alerts": {}}
    out["active"] = faults.active(world, injection)
    for quarter in range(MOST * 4):
        if out["shown"] is None and quarter * 15_000 <= max(fault.within, 10 * MINUTE):
            out["shown"] = quarter * 15 if shows(world, before, fault, injection.args) else None
        world.run_for(15_000)
        for name in firing(world).values():
            if name not in known:
                out["alerts"].setdefault(name, round((world.now - begun) / MINUTE, 1))
        if quarter >= LEAST * 4 and out["alerts"] and out["shown"] is not None:
            break
    out["lost"] = round(service.slo_minutes_lost(world, usual, begun, world.now), 2)
    out["still"] = faults.active(world, injection)
    out["lasting"] = sorted({name for name in firing(world).values() if name not in known})
    out.update(_repaired(world, injection, known, usual))
    return out


def _repaired(world: Any, injection: Any, known: set[str], usual: Any) -> dict[str, Any]:
    from firedrill import faults
    from firedrill.world.app import service
    from firedrill.world.kube.api import ApiError

    steps, refused = faults.repair(world, injection), []
    if steps is None:
        faults.revert(world, injection)
        world.run_for(MINUTE)
    for step in faults.leftovers(world) if steps is None else steps:
        try:
            faults.apply(world, step)
        except ApiError as refusal:
            refused.append(f"{step.command()[:160]}: {refusal.message}")
    out: dict[str, Any] = {"steps": None if steps is None else [step.command() for step in steps]}
    out["refused"] = refused
    for minute in range(1, CLEAR + 1):
        world.run_for(MINUTE)
        left = sorted({name for name in firing(world).values() if name not in known})
        acts, well = faults.active(world, injection), service.healthy(world, usual, world.now)
        if not left and not acts and well and minute >= 2:
            return {**out, "cleared": minute}
    return {
        **out,
        "cleared": None,
        "left": left,
        "acts": acts,
        "outside": service.outside(world, usual, world.now),
    }


def cell(job: tuple[str, str, int]) -> dict[str, Any]:
    """One mechanism in one application."""
    from firedrill import faults

    name, app, count = job
    began = time.perf_counter()
    out: dict[str, Any] = {"fault": name, "app": app, "source": source_of(name)}
    try:
        world, fault = base(app), faults.find(name)
        targets = faults.targets(fault, world)
        out["targets"] = len(targets)
        if not targets:
            out["misfit"] = faults.misfit(fault, world)
        out["tries"] = [attempt(app, fault, target) for target in chosen(targets, count, f"{name}/{app}")]
    except Exception as problem:  # noqa: BLE001 - a sweep goes on: what broke is a result
        out["broken"] = f"{type(problem).__name__}: {problem}"
        out["trace"] = traceback.format_exc()[-1500:]
    out["seconds"] = round(time.perf_counter() - began, 1)
    return out


def source_of(name: str) -> str:
    """A digest of the file of a mechanism."""
    from firedrill import faults

    path = sys.modules[faults.find(name).inject.__module__].__file__
    return hashlib.sha256(Path(str(path)).read_bytes()).hexdigest()[:16]


def results(path: Path = OUT) -> dict[tuple[str, str], dict[str, Any]]:
    """What is known by mechanism and application; later lines win."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    return {(line["fault"], line["app"]): line for line in lines}


def sweep(jobs: Iterable[tuple[str, str, int]], processes: int, path: Path) -> None:
    """Do what is asked for, a line for each as soon as it is done."""
    todo = mixed(list(jobs))
    path.parent.mkdir(exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(processes) as pool, path.open("a") as out:
        for number, done in enumerate(pool.imap_unordered(cell, todo), start=1):
            out.write(json.dumps(done) + "\n")
            out.flush()
            sys.stderr.write(f"{number}/{len(todo)} {brief(done)}\n")


def mixed(jobs: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Every mechanism once before any comes twice, each time in another application."""
    names = sorted({name for name, _, _ in jobs})
    return sorted(jobs, key=lambda job: ((names.index(job[0]) + APPS.index(job[1])) % len(APPS), job[0]))


def brief(done: dict[str, Any]) -> str:
    """A cell in one line."""
    head = f"{done['fault']} x {done['app']} ({done['seconds']} s): "
    if "broken" in done:
        return f"{head}{done['broken']}"
    if done.get("misfit"):
        return f"{head}no: {done['misfit']}"
    return head + " | ".join(
        f"{one['about'].rpartition('/')[2]}: shown {one['shown']} alerts {one['alerts']} lost {one['lost']} "
        f"cleared {one['cleared']}"
        + (
            f" LEFT {one.get('left')} acts {one.get('acts')} {one.get('outside')}"
            if not one["cleared"]
            else ""
        )
        + (f" REFUSED {one['refused']}" if one["refused"] else "")
        for one in done["tries"]
    )


def main() -> None:
    """See the text at the top."""
    from firedrill import faults

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--apps", nargs="*", default=list(APPS))
    parser.add_argument("--targets", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--changed", action="store_true")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if given.page:
        from mechanisms_page import page

        PAGE.write_text(page(results(given.out)))
        return
    known = {} if given.again else results(given.out)
    names = given.only or list(faults.library())
    if given.changed:
        known = {pair: line for pair, line in known.items() if line.get("source") == source_of(pair[0])}
    os.nice(5)
    sweep(
        [(name, app, given.targets) for name in names for app in given.apps if (name, app) not in known],
        given.jobs,
        given.out,
    )


if __name__ == "__main__":
    main()
