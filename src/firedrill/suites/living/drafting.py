"""Drawing cases: which mechanism, in which application, on what, under how much load and noise, and when.

A draw is a row of slots. What is in slot 17 depends on the seed and on 17 only, so that suites can be made in
any order and by any number of processes. Mechanisms take turns, the rarest first, and so do applications.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from firedrill.core.errors import InputError
from firedrill.core.scenario import Modality
from firedrill.suites.living.case import HEALTHY_MS, MODALITIES, Case, CaseFault
from firedrill.suites.living.deviating import fronts, workload_of
from firedrill.world.app.traffic import Traffic
from firedrill.world.sim.clock import EPOCH_MS
from firedrill.world.sim.rng import Rng

if TYPE_CHECKING:
    from firedrill.faults import Target
    from firedrill.suites.living.worlds import Worlds
    from firedrill.world.world import World

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")
_MIX: tuple[Difficulty, ...] = ("medium", "easy", "medium", "hard")
_LIFE: Mapping[Difficulty, int] = {"easy": 1, "medium": 1, "hard": 2}
_HERRINGS: Mapping[Difficulty, int] = {"easy": 0, "medium": 1, "hard": 2}
_LOADS = (0.7, 0.85, 1.0, 1.0, 1.15, 1.3)
_SHARED = 4
"""Slots of one application and difficulty that share a world."""
_MOMENT_MS = 6 * 60_000
_SECOND_MS = 3 * 60_000
_DAY_MS = 24 * 60 * 60_000
_PROBE_MS = 2 * 60_000
_WITHOUT: tuple[frozenset[Modality], ...] = (
    frozenset(),
    frozenset(),
    frozenset(),
    frozenset({"traces"}),
    frozenset({"metrics"}),
    frozenset({"logs"}),
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a draw.

    Attributes:
        number: from 0.
        mechanism: that breaks.
        application: in which.
        difficulty: that the scenario shall have; empty for any.
        drawn: the difficulty that it is aimed at in any case.
        bare: the world, before anything is chosen to break.
        others: mechanisms that fit the application, for further faults.
    """

    number: int
    mechanism: str
    application: str
    difficulty: str
    drawn: str
    bare: Case
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What a draw is made from.

    Attributes:
        seed: of the draw.
        difficulty: of all scenarios; empty for a mix.
        applications, mechanisms: among which; empty for all.
        life, red_herrings: in all worlds; None for what is usual for the difficulty.
    """

    seed: int
    difficulty: str = ""
    applications: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    life: int | None = None
    red_herrings: int | None = None


@lru_cache(maxsize=1)
def fitting() -> Mapping[str, Mapping[str, str]]:
    """For each mechanism and application why it does not fit, or an empty text where it does."""
    from firedrill import faults
    from firedrill.world.app import application_names, load_package
    from firedrill.world.living import make_living

    out: dict[str, dict[str, str]] = {name: {} for name in faults.library()}
    for application in application_names():
        world = make_living(load_package(application))
        world.run_for(_PROBE_MS)
        for name, fault in faults.library().items():
            out[name][application] = faults.misfit(fault, world)
    return out


def slots(choice: Choice) -> Iterator[Slot]:
    """The slots of a draw, without end.

    Raises:
        InputError: nothing is left to choose from.
    """
    cells = _cells(choice)
    others = _others(choice)
    rng = Rng(choice.seed)
    uses = dict.fromkeys(sorted({name for _, names in cells for name in names}), 0)
    groups: dict[tuple[str, str], int] = {}
    number = turn = 0
    while True:
        for mechanism, names in cells:
            usual = [names[(turn + place) % len(names)] for place in range(len(names))]
            application = usual[0] if turn else min(usual, key=lambda name: uses[name])
            uses[application] += 1
            difficulty = choice.difficulty or _MIX[(number + number // len(_MIX)) % len(_MIX)]
            key = (application, difficulty)
            group = groups[key] = groups.get(key, -1) + 1
            bare = _bare(choice, rng, application, difficulty, group // _SHARED)
            yield Slot(
                number,
                mechanism,
                application,
                choice.difficulty,
                difficulty,
                replace(bare, modalities=_seen(rng, number)),
                others[application],
            )
            number += 1
        turn += 1


def _others(choice: Choice) -> Mapping[str, tuple[str, ...]]:
    """By application, the mechanisms of further faults: the chosen ones, or all where none of those fits."""
    from firedrill import faults

    known = fitting()
    chosen = {faults.find(name).id for name in choice.mechanisms}
    out = {}
    for application in sorted({name for where in known.values() for name in where}):
        fits = [name for name in known if not known[name][application]]
        out[application] = tuple([name for name in fits if name in chosen] or fits)
    return out


def _checked(choice: Choice) -> list[str]:
    """The mechanisms that were named, after a look at everything that costs no world to see.

    Raises:
        InputError: something that was named is not there.
    """
    from firedrill import faults
    from firedrill.world.app import application_names

    if choice.difficulty:
        _known(choice.difficulty)
    for name in choice.applications:
        if name not in application_names():
            raise InputError(
                f"there is no application {name!r}",
                field="application",
                mend=f"take one of {', '.join(application_names())}",
            )
    return [faults.find(name).id for name in choice.mechanisms]


def _cells(choice: Choice) -> list[tuple[str, list[str]]]:
    """Mechanisms with the applications that they fit, the rarest first."""
    named = _checked(choice)
    known = fitting()
    wanted = named or list(known)
    cells = []
    for mechanism in wanted:
        fits = [
            name
            for name, why in sorted(known[mechanism].items())
            if not why and (not choice.applications or name in choice.applications)
        ]
        if fits:
            cells.append((mechanism, fits))
    if not cells:
        reasons = sorted({why for name in wanted for why in known[name].values() if why})
        raise InputError(
            f"no mechanism fits: {'; '.join(reasons[:3])}",
            field="mechanism",
            mend="name other mechanisms or applications",
        )
    return sorted(cells, key=lambda cell: (len(cell[1]), cell[0]))


def _bare(choice: Choice, rng: Rng, application: str, difficulty: str, group: int) -> Case:
    """The world of a group of slots: its seed, its load, its hour and its noise."""
    name = ("world", application, difficulty, group)
    life = _LIFE[_known(difficulty)] if choice.life is None else choice.life
    herrings = _HERRINGS[_known(difficulty)] if choice.red_herrings is None else choice.red_herrings
    day = rng.integer(0, 27, *name, "day") * _DAY_MS
    hour = rng.integer(6, 20, *name, "hour") * 3_600_000
    minute = rng.integer(0, 59, *name, "minute") * 60_000
    return Case(
        package=application,
        faults=(),
        seed=rng.integer(1, (1 << 31) - 1, *name, "seed"),
        load=rng.choice(_LOADS, *name, "load"),
        life=life,
        red_herrings=herrings,
        nodes=rng.choice((3, 4, 4, 5), *name, "nodes"),
        start=EPOCH_MS - EPOCH_MS % _DAY_MS + day + hour + minute,
    )


def _known(difficulty: str) -> Difficulty:
    for item in DIFFICULTIES:
        if item == difficulty:
            return item
    raise InputError(
        f"there is no difficulty {difficulty!r}",
        field="difficulty",
        mend=f"take one of {', '.join(DIFFICULTIES)}",
    )


def _seen(rng: Rng, number: int) -> tuple[Modality, ...]:
    without = rng.choice(_WITHOUT, "modalities", number)
    return tuple(name for name in MODALITIES if name not in without)


def settle(choice: Choice, slot: Slot, attempt: int, worlds: Worlds) -> Case | None:
    """The case of a slot: on what its mechanism acts, when, and what else breaks.

    Args:
        choice: what the draw is made from.
        slot: of the draw.
        attempt: from 0; further ones aim at other targets.
        worlds: where healthy worlds are kept.

    Returns:
        None where the mechanism does not fit the world after all.
    """
    from firedrill import faults

    rng = Rng(choice.seed)
    name = ("slot", slot.number, attempt)
    world = worlds.healthy(slot.bare).at(slot.bare.start + HEALTHY_MS)
    found = faults.targets(faults.find(slot.mechanism), world)
    if not found:
        return None
    first = _pick(found, rng, *name)
    at = HEALTHY_MS + rng.integer(10, _MOMENT_MS // 1000, *name, "moment") * 1000
    broken = [CaseFault(slot.mechanism, first.args, at)]
    if slot.drawn == "hard":
        count = rng.choice((1, 1, 2), *name, "more")
        broken += _more(slot, world, first, rng, (*name, at), count)
    ordered = sorted(broken, key=lambda item: item.at_ms)
    return replace(slot.bare, faults=tuple(ordered))


def _pick(found: Sequence[Target], rng: Rng, *name: object) -> Target:
    """One of them: first what it is about, so that what has many arguments is not the likelier for it."""
    abouts = sorted({item.about for item in found})
    about = rng.choice(abouts, *name, "about")
    return rng.choice([item for item in found if item.about == about], *name, "args")


def _more(
    slot: Slot,
    world: World,
    first: Target,
    rng: Rng,
    name: tuple[Any, ...],
    count: int,
) -> list[CaseFault]:
    """Further faults: independent ones elsewhere, or such that hide the first from users."""
    from firedrill import faults

    wanted = [item for item in slot.others if item != slot.mechanism]
    if not wanted:
        return []
    above = _callers(world, first.about)
    taken = {first.about}
    out: list[CaseFault] = []
    for place in range(8 * count):
        if len(out) == count:
            break
        mechanism = rng.choice(wanted, *name, place, "mechanism")
        fault = faults.find(mechanism)
        masking = bool(above) and rng.uniform(*name, place, "masking") < 0.4
        found = [
            item
            for item in faults.targets(fault, world)
            if item.about not in taken and (item.about in above) == masking
        ]
        if found and fault.spreads != "none":
            target = _pick(found, rng, *name, place)
            taken.add(target.about)
            later = rng.integer(0, _SECOND_MS // 1000, *name, place, "later") * 1000
            out.append(CaseFault(mechanism, target.args, int(name[-1]) + later))
    return out


def _callers(world: World, about: str) -> frozenset[str]:
    """The workloads whose requests need that workload, however far up."""
    graph = world.cluster.part(Traffic).graph
    if graph is None:
        return frozenset()
    named = {item.name: workload_of(graph.app.namespace, item) for item in graph.app.services}
    front = {front: named[name] for name, front in fronts(world).items()}
    here = {front.get(about, about)}
    found: set[str] = set()
    while here:
        here = {
            named[service.name]
            for service in graph.app.services
            for operation in service.operations
            for call in operation.calls
            if named[call.service] in here
        } - found
        found |= here
    return frozenset(found - {about})


def draft(
    seed: int,
    n: int,
    difficulty: str = "",
    applications: Sequence[str] = (),
    mechanisms: Sequence[str] = (),
    worlds: Worlds | None = None,
) -> list[Case]:
    """The cases of the first slots of a draw that fit, before anything is simulated but their healthy worlds.

    Raises:
        InputError: nothing fits, or a name is not known.
    """
    from firedrill.suites.living.worlds import Worlds

    choice = Choice(seed, difficulty, tuple(applications), tuple(mechanisms))
    kept = worlds or Worlds()
    out: list[Case] = []
    for slot in slots(choice):
        if len(out) == n or slot.number >= 4 * n + 100:
            break
        case = settle(choice, slot, 0, kept)
        if case is not None:
            out.append(case)
    return out


__all__ = ["DIFFICULTIES", "Choice", "Slot", "draft", "fitting", "settle", "slots"]
