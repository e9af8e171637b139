"""Drawing cases and making suites of them, with a stand-in for the simulation where that is not the point."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.core.scenario import Environment, FaultSpec, Metadata, Scenario
from firedrill.suites import lint_any, open_suite
from firedrill.suites.living import drafting, generating
from firedrill.suites.living.drafting import Choice, Slot, slots
from firedrill.suites.living.generating import ACCEPTANCE, Wanted, generate
from firedrill.suites.living.making import Made
from firedrill.suites.living.packaging import choose_lite, renamed, with_and_without_traces
from firedrill.suites.living.writing import dump

COMMON, RARE = "workload-scaled-to-zero", "pvc-capacity-mismatch"
KNOWN: Mapping[str, Mapping[str, str]] = {
    COMMON: {"astronomy-shop": "", "book-info": "", "online-boutique": ""},
    "oom-killed": {"astronomy-shop": "", "book-info": "", "online-boutique": ""},
    RARE: {"astronomy-shop": "it has no claims", "book-info": "it has no claims", "online-boutique": ""},
    "node-disk-pressure": {
        "astronomy-shop": "there are no nodes",
        "book-info": "there are no nodes",
        "online-boutique": "there are no nodes",
    },
}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "fitting", lambda: KNOWN)


def first(count: int, choice: Choice) -> list[Slot]:
    return list(islice(slots(choice), count))


def test_a_draw_is_a_function_of_its_seed() -> None:
    assert first(40, Choice(5)) == first(40, Choice(5))
    assert first(40, Choice(5)) != first(40, Choice(6))
    assert first(40, Choice(5))[:12] == first(12, Choice(5))


def test_mechanisms_and_applications_take_turns() -> None:
    found = first(90, Choice(1))
    assert Counter(slot.mechanism for slot in found) == {COMMON: 30, "oom-killed": 30, RARE: 30}
    assert found[0].mechanism == RARE, "the rarest first"
    where = Counter(slot.application for slot in found if slot.mechanism == COMMON)
    assert set(where.values()) <= {9, 10, 11}
    assert {slot.application for slot in found if slot.mechanism == RARE} == {"online-boutique"}


def test_difficulties_noise_and_load_are_mixed() -> None:
    found = first(96, Choice(1))
    assert len({slot.bare.load for slot in found}) > 3
    assert {slot.bare.red_herrings for slot in found} == {0, 1, 2}
    assert any("traces" not in slot.bare.modalities for slot in found)
    worlds = Counter(slot.bare.world_key for slot in found)
    assert max(worlds.values()) <= 4
    quiet = first(8, Choice(1, difficulty="easy", life=0, red_herrings=0))
    assert {(slot.difficulty, slot.bare.life) for slot in quiet} == {("easy", 0)}


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(1, applications=("shop",)), "no application 'shop'"),
        (Choice(1, mechanisms=("node-disk-pressure",)), "there are no nodes"),
        (Choice(1, mechanisms=("melted",)), "no fault 'melted'"),
        (Choice(1, difficulty="brutal"), "no difficulty 'brutal'"),
    ],
)
def test_what_cannot_be_drawn_says_why(choice: Choice, words: str) -> None:
    with pytest.raises(InputError, match=words):
        first(1, choice)


def made_up(name: str, slot: Slot) -> dict[str, Any]:
    truth = {
        "apiVersion": "itbench.io/v1",
        "kind": "GroundTruth",
        "metadata": {"name": name},
        "spec": {
            "groups": [{"id": "a-1", "kind": "Pod", "namespace": "n", "filter": ["^a$"], "root_cause": True}]
        },
        "v2": {
            "entities": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}}]
        },
    }
    difficulty = ("easy", "medium", "hard")[slot.number % 3]
    return dump(
        Scenario(
            metadata=Metadata.model_validate(
                {"name": name, "complexity": difficulty, "class": slot.mechanism[:4]}
            ),
            environment=Environment(backend="world", application=slot.application),
            faults=(FaultSpec(id=slot.mechanism, at=1800),),
            truth=truth,
        )
    )


@pytest.fixture()
def fake(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    done: list[int] = []

    def make(choice: Choice, slot: Slot, name: str, worlds: object, *, full: bool) -> Made:
        done.append(slot.number)
        kept = slot.mechanism != "oom-killed" or slot.number % 2 == 0
        refused = ("no alert in time",) if slot.number % 4 == 1 else ()
        scenario = made_up(name, slot) if kept else None
        return Made(slot.number, slot.mechanism, slot.application, scenario, refused)

    monkeypatch.setattr(generating, "make", make)
    return done


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_suite_is_generated_and_reported(fake: list[int], tmp_path: Path) -> None:
    told: list[str] = []
    wanted = Wanted(Choice(9), 10, "drill")
    report = generate(
        wanted, tmp_path / "a", processes=1, progress=lambda done, total, what: told.append(what)
    )
    assert report.scenarios == 10
    names = sorted(path.name for path in (tmp_path / "a" / "scenarios").iterdir())
    assert len(names) == 10
    assert not any("zero" in name or "pvc" in name for name in names)
    data = json.loads((tmp_path / "a" / ACCEPTANCE).read_bytes())
    assert data["kept"] == 10
    assert data["mechanisms"][COMMON]["rate"] <= 1
    assert sum(sum(row["refused"].values()) for row in data["mechanisms"].values()) > 0
    assert len(told) == len(fake)
    assert generate(wanted, tmp_path / "b", processes=1).scenarios == 10
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_an_interrupted_suite_goes_on(
    fake: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted(Choice(9), 10, "drill")
    generate(wanted, tmp_path / "whole", processes=1)
    worked = vars(generating)["make"]
    fake.clear()

    def dies(*args: Any, **more: Any) -> Made:
        if len(fake) == 5:
            raise KeyboardInterrupt
        made: Made = worked(*args, **more)
        return made

    monkeypatch.setattr(generating, "make", dies)
    with pytest.raises(KeyboardInterrupt):
        generate(wanted, tmp_path / "cut", processes=1)
    done = list(fake)
    fake.clear()
    monkeypatch.setattr(generating, "make", worked)
    with pytest.raises(InputError, match="something else was begun"):
        generate(Wanted(Choice(8), 10, "drill"), tmp_path / "cut", processes=1)
    generate(wanted, tmp_path / "cut", processes=1)
    assert set(done) & set(fake) == set()
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


def test_a_draw_that_keeps_too_little_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(choice: Choice, slot: Slot, name: str, worlds: object, *, full: bool) -> Made:
        return Made(slot.number, slot.mechanism, slot.application, None, ("no alert in time",))

    monkeypatch.setattr(generating, "make", never)
    with pytest.raises(InputError, match=r"only 0 of 3 .* no alert in time"):
        generate(Wanted(Choice(9), 3), tmp_path / "a", processes=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("")
    with pytest.raises(InputError, match="not empty"):
        generate(Wanted(Choice(9), 3), tmp_path / "b", processes=1)


def test_the_small_suite_is_balanced() -> None:
    drawn = [Scenario.model_validate(made_up(f"s-{slot.number}", slot)) for slot in first(90, Choice(1))]
    chosen = choose_lite(drawn)
    assert len(chosen) == 21
    for kind in ("application", "complexity"):
        found = Counter(
            item.environment.application if kind == "application" else item.metadata.complexity
            for item in chosen
        )
        assert max(found.values()) - min(found.values()) <= 3, kind
    assert {item.metadata.name for item in renamed(chosen, "lite")} == {f"lite-{n:03d}" for n in range(1, 22)}


def test_a_scenario_without_traces_is_another_one() -> None:
    one = Scenario.model_validate(made_up("s-1", first(1, Choice(1))[0]))
    one = one.model_copy(
        update={"environment": one.environment.model_copy(update={"modalities": ("logs", "traces")})}
    )
    both = with_and_without_traces([one])
    assert [item.environment.modalities for item in both] == [("logs", "traces"), ("logs",)]
    assert both[1].truth["metadata"]["name"] == both[1].metadata.name == "s-1-without-traces"


@pytest.mark.slow
def test_a_real_one_is_simulated_and_kept(tmp_path: Path) -> None:
    choice = Choice(3, applications=("book-info",), mechanisms=(COMMON,), life=1, red_herrings=1)
    report = generate(Wanted(choice, 1, "drill", full=True), tmp_path / "a", processes=2)
    suite = open_suite(str(tmp_path / "a"))
    assert report.scenarios == len(suite.scenarios) == 1
    scenario = suite.scenarios[0].scenario
    assert scenario.certificate["granted"] is True
    assert scenario.environment.application == "book-info"
    assert scenario.triggers
    assert lint_any(tmp_path / "a").count("error") == 0


@pytest.mark.parametrize(
    ("choice", "mend"),
    [
        (Choice(1, mechanisms=("service-selector-mismatc",)), "service-selector-mismatch"),
        (Choice(1, mechanisms=("qqqqqqqq",)), "docs/faults.md"),
        (Choice(1, applications=("nope",)), "book-info"),
        (Choice(1, difficulty="absurd"), "hard"),
    ],
)
def test_what_cannot_be_drawn_leaves_no_folder(tmp_path: Path, choice: Choice, mend: str) -> None:
    with pytest.raises(InputError) as refused:
        generate(Wanted(choice, 1), tmp_path / "suite", processes=1)
    assert mend in (refused.value.mend or "")
    assert not (tmp_path / "suite").exists()
