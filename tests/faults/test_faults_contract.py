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
FAULTS = tuple(faults.library())
APPS = ("online-boutique", "astronomy-shop", "book-info", "market", "travel")
TELLTALE = re.compile(r"(?<!de)fault|inject|chaos|firedrill|experiment|sabotage|itbench", re.IGNORECASE)
_OWN = re.compile(r"[A-Za-z]*[Cc]haos(-mesh\.org|/|\b)|chaos-mesh")
"""What Chaos Mesh itself is called, where it is the means."""


def aimed(fresh: Fresh, fault: str) -> Iterator[tuple[World, faults.Target]]:
    """Worlds with a drawn target, of every application that offers one, in an order of the mechanism's own."""
    for app in Random(fault).sample(APPS, len(APPS)):
        world = fresh(app)
        found = faults.targets(faults.find(fault), world)
        if found:
            yield world, Random(f"{fault}/{app}").choice(found)


def first(fresh: Fresh, fault: str) -> tuple[World, faults.Target]:
    found = next(aimed(fresh, fault), None)
    if found is None:
        pytest.skip("no application here offers a target")
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_it_says_what_it_is(fault: str) -> None:
    mechanism = faults.find(fault)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mechanism.id)
    assert mechanism.title and not mechanism.title.endswith(".")
    assert mechanism.family in get_args(Family)
    assert mechanism.spreads in get_args(Spreads)
    assert mechanism.felt in get_args(Felt)
    assert mechanism.category[0].isupper()
    assert mechanism.text.endswith(".") and len(mechanism.text) > 40
    assert bool(mechanism.diagnosis) == (mechanism.repair is None)


@pytest.mark.parametrize("fault", FAULTS)
def test_its_targets_are_all_valid_and_always_the_same(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    for app in Random(f"where {fault}").sample(APPS, 2):
        world = fresh(app)
        version = world.cluster.store.rv
        found = faults.targets(mechanism, world)
        assert found == faults.targets(mechanism, world.fork())
        assert bool(found) != bool(faults.misfit(mechanism, world))
        for target in found:
            arguments(mechanism, target.args)
            assert there(world, target.about), target
        unique = {repr(sorted(target.args.items())) for target in found}
        assert len(unique) == len(found)
        assert world.cluster.store.rv == version


@pytest.mark.parametrize("fault", FAULTS)
def test_what_it_leaves_is_neutral_and_the_same_every_time(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    world, target = first(fresh, fault)
    before, twin, healthy = texts(world), world.fork(), world.fork()
    injection = faults.inject(world, mechanism, target.args)
    assert injection == faults.inject(twin, mechanism, target.args)
    telling = [text for text in texts(world) - before if TELLTALE.search(_OWN.sub("", text))]
    assert not telling
    assert injection.causes
    for cause in injection.causes:
        assert there(world, cause) or there(healthy, cause), cause
    assert faults.active(world, injection)
    assert not faults.active(healthy, injection)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_operator_repairs_it_through_the_api(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    if mechanism.repair is None:
        pytest.skip(mechanism.diagnosis)
    world, target = first(fresh, fault)
    injection = faults.inject(world, mechanism, target.args)
    world.run_for(15_000)
    steps = faults.repair(world, injection)
    assert steps
    for step in steps:
        words = shlex.split(step.command())
        assert words[0] == "kubectl" and step.text
        faults.apply(world, step)
    world.run_for(15_000)
    assert not faults.active(world, injection), (target, [step.command() for step in steps])
    if mechanism.repair.__name__ == "_inverse":
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


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_taken_back_as_if_it_had_never_been(fresh: Fresh, fault: str) -> None:
    world, target = first(fresh, fault)
    injection = faults.inject(world, faults.find(fault), target.args)
    faults.revert(world, injection)
    world.run_for(5_000)
    assert not faults.active(world, injection)
    as_before(world, injection)


@pytest.mark.parametrize("fault", FAULTS)
def test_it_spreads_along_what_is_there(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    world, target = first(fresh, fault)
    healthy = world.fork()
    injection = faults.inject(world, mechanism, target.args)
    hops = faults.propagation(world, injection)
    assert len({(hop.source, hop.target) for hop in hops}) == len(hops)
    assert mechanism.spreads != "none" or not hops
    for hop in hops:
        assert hop.source != hop.target and hop.condition and hop.effect
        assert there(world, hop.target) or there(healthy, hop.target)
    known = set(injection.causes)
    for hop in hops:
        assert hop.source in known, "a hop begins where none has led"
        known.add(hop.target)


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_targets_are_refused_with_a_mend(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    world, target = first(fresh, fault)
    args, version = target.args, world.cluster.store.rv
    with pytest.raises(InputError) as unknown:
        faults.inject(world, mechanism, {**args, "nmae": "x"})
    assert unknown.value.field == "nmae" and unknown.value.mend
    for name, parameter in mechanism.parameters.items():
        if parameter.default is None:
            with pytest.raises(InputError) as missing:
                faults.inject(world, mechanism, {key: item for key, item in args.items() if key != name})
            assert missing.value.field == name and missing.value.mend
    aim = next((name for name in ("node", "name") if _needed(mechanism, name)), None)
    if aim == "node" or (aim and "kind" in mechanism.parameters):
        with pytest.raises(InputError) as gone:
            faults.inject(world, mechanism, {**args, aim: "nowhere"})
        assert gone.value.mend
        assert "nowhere" in str(gone.value)
    assert world.cluster.store.rv == version


def _needed(mechanism: faults.Fault, name: str) -> bool:
    return name in mechanism.parameters and mechanism.parameters[name].default is None


def test_ids_and_other_names_are_one_to_one() -> None:
    names = [name for fault in faults.library().values() for name in (fault.id, *fault.aliases)]
    assert len(names) == len(set(names))
    for fault in faults.library().values():
        assert all(faults.find(alias) is fault for alias in fault.aliases)
    with pytest.raises(InputError) as unknown:
        faults.find("no-such-thing")
    assert unknown.value.mend


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
