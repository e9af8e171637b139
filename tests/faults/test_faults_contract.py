"""What every mechanism has to keep to, whoever wrote it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, get_args

import pytest

from firedrill import faults
from firedrill.core.errors import InputError
from firedrill.faults._diff import differences, plain
from firedrill.faults.base import NO_OBJECTS, Family, Felt, Spreads, arguments
from firedrill.world import World
from firedrill.world.kube.objects import dig, is_deleting

Fresh = Callable[[str], World]
FAULTS = faults.library()
USUAL = "online-boutique"
HOMES = {
    "book-info": {
        "invalid-arguments",
        *(name for name, fault in FAULTS.items() if fault.family == "mesh"),
    },
    "astronomy-shop": {
        *("chaos-http-patch", "consumer-broker-address-mismatch", "feature-flag-changed"),
        *("missing-config-map", "missing-secret-key", "secret-deleted"),
    },
    "hotel-reservation": {"corrupted-kubernetes-secret-credentials"},
    "market": {"autoscaler-target-missing", "permissions-revoked", "wrong-database-credentials"},
    "travel": {"database-address-mismatch"},
}
"""Where those are tried that the usual application has nothing for."""
NOWHERE = {"unassigned-kubernetes-workload-container-resource-limits"}
"""By itself it shows nothing."""
TELLTALE = re.compile(r"(?<!de)fault|inject|chaos|firedrill|experiment|sabotage|itbench", re.IGNORECASE)
_OWN = re.compile(r"[A-Za-z]*[Cc]haos(-mesh\.org|/|\b)|chaos-mesh")
"""What Chaos Mesh itself is called, where it is the means."""


def home(fault: str) -> str:
    """The application in which a mechanism is tried."""
    return next((app for app, names in HOMES.items() if fault in names), USUAL)


def drawn(world: World, fault: str) -> faults.Target:
    """A target of its own choice."""
    return Random(fault).choice(faults.targets(FAULTS[fault], world))


def tried() -> Iterator[Any]:
    """Every mechanism."""
    for fault in FAULTS:
        if fault not in NOWHERE:
            yield pytest.param(fault, marks=pytest.mark.slow)


def test_all_say_what_they_are() -> None:
    for name, mechanism in FAULTS.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mechanism.id)
        assert mechanism.title and not mechanism.title.endswith("."), name
        assert mechanism.family in get_args(Family), name
        assert mechanism.spreads in get_args(Spreads), name
        assert mechanism.felt in get_args(Felt), name
        assert mechanism.category[0].isupper(), name
        assert mechanism.text.endswith(".") and len(mechanism.text) > 40, name
        assert bool(mechanism.diagnosis) == (mechanism.repair is None), name


def test_ids_and_other_names_are_one_to_one() -> None:
    names = [name for fault in FAULTS.values() for name in (fault.id, *fault.aliases)]
    assert len(names) == len(set(names))
    for fault in FAULTS.values():
        assert all(faults.find(alias) is fault for alias in fault.aliases)
    with pytest.raises(InputError) as unknown:
        faults.find("no-such-thing")
    assert unknown.value.mend


@pytest.mark.parametrize(
    "app",
    [
        USUAL,
        *(pytest.param(app, marks=pytest.mark.slow) for app in HOMES),
    ],
)
def test_targets_are_valid_and_always_the_same(fresh: Fresh, app: str) -> None:
    world = fresh(app)
    version, twin = world.cluster.store.rv, world.fork()
    for name, mechanism in FAULTS.items():
        found = faults.targets(mechanism, world)
        assert found == faults.targets(mechanism, twin), name
        assert bool(found) != bool(faults.misfit(mechanism, world)), name
        for target in found:
            arguments(mechanism, target.args)
            assert there(world, target.about), target
        unique = {repr(sorted(target.args.items())) for target in found}
        assert len(unique) == len(found), name
        assert bool(found) or home(name) != app or name in NOWHERE, name
    assert world.cluster.store.rv == version


def test_wrong_targets_are_refused_with_a_mend(fresh: Fresh) -> None:
    world = fresh(USUAL)
    version = world.cluster.store.rv
    for name, mechanism in FAULTS.items():
        if name in NOWHERE or home(name) != USUAL:
            continue
        args = drawn(world, name).args
        with pytest.raises(InputError) as unknown:
            faults.inject(world, mechanism, {**args, "nmae": "x"})
        assert unknown.value.field == "nmae" and unknown.value.mend, name
        needed = [key for key, parameter in mechanism.parameters.items() if parameter.default is None]
        for key in needed:
            with pytest.raises(InputError) as missing:
                faults.inject(world, mechanism, {part: item for part, item in args.items() if part != key})
            assert missing.value.field == key and missing.value.mend, name
        aim = next((key for key in ("node", "name") if key in needed), None)
        if aim == "node" or (aim and "kind" in mechanism.parameters):
            with pytest.raises(InputError) as gone:
                faults.inject(world, mechanism, {**args, aim: "nowhere"})
            assert gone.value.mend and "nowhere" in str(gone.value), name
        assert world.cluster.store.rv == version, name


def test_what_they_leave_is_neutral_and_the_same_every_time(fresh: Fresh) -> None:
    healthy = fresh(USUAL)
    before = texts(healthy)
    for name, mechanism in FAULTS.items():
        if name in NOWHERE or home(name) != USUAL:
            continue
        world, twin = healthy.fork(), healthy.fork()
        args = drawn(world, name).args
        injection = faults.inject(world, mechanism, args)
        assert injection == faults.inject(twin, mechanism, args), name
        neutral(world, before)
        causes_are_there(world, healthy, injection)


def neutral(world: World, before: set[str]) -> None:
    assert not [text for text in texts(world) - before if TELLTALE.search(_OWN.sub("", text))]


def causes_are_there(world: World, healthy: World, injection: faults.Injection) -> None:
    assert injection.causes
    for cause in injection.causes:
        assert there(world, cause) or there(healthy, cause), cause
    assert faults.active(world, injection), injection.fault
    assert not faults.active(healthy, injection), injection.fault


@pytest.mark.parametrize("fault", list(tried()))
def test_it_spreads_is_repaired_and_can_be_taken_back(fresh: Fresh, fault: str) -> None:
    mechanism = FAULTS[fault]
    world = fresh(home(fault))
    healthy, undone, target = world.fork(), world.fork(), drawn(world, fault)
    injection = faults.inject(world, mechanism, target.args)
    if home(fault) != USUAL:
        neutral(world, texts(healthy))
        causes_are_there(world, healthy, injection)
    spreads(world, healthy, injection)
    repaired(world, injection)
    taken_back(undone, faults.inject(undone, mechanism, target.args))


def spreads(world: World, healthy: World, injection: faults.Injection) -> None:
    """Along what is there: each step begins where another one ended."""
    hops = faults.propagation(world, injection)
    assert len({(hop.source, hop.target) for hop in hops}) == len(hops)
    assert FAULTS[injection.fault].spreads != "none" or not hops
    known = set(injection.causes)
    for hop in hops:
        assert hop.source != hop.target and hop.condition and hop.effect
        assert there(world, hop.target) or there(healthy, hop.target)
        assert hop.source in known, "a hop begins where none has led"
        known.add(hop.target)


def repaired(world: World, injection: faults.Injection) -> None:
    """By an operator, through the API."""
    how = FAULTS[injection.fault].repair
    if how is None:
        assert faults.repair(world, injection) is None
        return
    world.run_for(10_000)
    steps = faults.repair(world, injection)
    assert steps
    for step in steps:
        assert shlex.split(step.command())[0] == "kubectl" and step.text
        faults.apply(world, step)
    for _ in range(12):
        world.run_for(5_000)
        if not faults.active(world, injection):
            break
    assert not faults.active(world, injection), [step.command() for step in steps]
    if how.__name__ == "_inverse":
        as_before(world, injection)


def taken_back(world: World, injection: faults.Injection) -> None:
    """As if it had never been."""
    faults.revert(world, injection)
    world.run_for(5_000)
    assert not faults.active(world, injection)
    as_before(world, injection)


def as_before(world: World, injection: faults.Injection) -> None:
    """Every object that was changed says again what it said."""
    for change in injection.changes:
        if change.resource in NO_OBJECTS:
            continue
        now = world.cluster.store.get(change.resource, change.namespace, change.name)
        if change.before is None:
            assert now is None or is_deleting(now), change.name
        else:
            assert now is not None, change.name
            assert not list(differences(plain(change.before), plain(now))), change.name


def there(world: World, entity: str) -> bool:
    """Whether there is an object of that name."""
    space, kind, name = entity.split("/", 2)
    where = "" if space == "cluster" else space
    found = [kinds for kinds in world.cluster.kinds.all() if kinds.kind == kind]
    return any(world.cluster.store.get(kinds.resource, where, name) for kinds in found)


def texts(world: World) -> set[str]:
    """All that a cluster tells of who did what: names, labels, annotations, managers, agents, messages."""
    out: set[str] = set()
    for resource in world.cluster.store.resources():
        for obj in world.cluster.store.list(resource):
            meta: Mapping[str, Any] = obj["metadata"]
            for part in ("labels", "annotations"):
                out.update(f"{key}={text}" for key, text in (meta.get(part) or {}).items())
            out.add(f"name {meta['name']}")
            out.update(f"manager {item.get('manager')}" for item in meta.get("managedFields") or ())
            out.add(f"message {obj.get('message')}")
            out.add(f"component {dig(obj, 'source', 'component')}")
    for entry in world.cluster.audit:
        told = dig(entry, "userAgent") if isinstance(entry, dict) else getattr(entry, "agent", "")
        out.add(f"agent {told}")
    return out
