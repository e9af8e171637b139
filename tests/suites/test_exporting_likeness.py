"""What living incidents look like when they are written down, beside recordings of real clusters."""

from __future__ import annotations

import csv
import json
from ast import literal_eval
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firedrill import faults
from firedrill.suites.exporting import Amount, export_incident
from firedrill.suites.living.observing import Minute, Observer
from firedrill.world.app import load_package
from firedrill.world.living import make_living
from firedrill.world.world import World

csv.field_size_limit(1 << 26)
pytestmark = [pytest.mark.shared, pytest.mark.slow]
DEPTH = 3
OWN = frozenset({"managedFields", "annotations", "labels", "data", "matchLabels", "nodeSelector", "selector"})
"""What is below these keys belongs to one cluster."""


class Watched:
    def __init__(self, world: World, minutes: list[Minute]) -> None:
        self.world, self.minutes = world, minutes


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = make_living(load_package("online-boutique"), 3)
    observer = Observer()
    observer.run(world, world.now + 6 * 60_000)
    found = faults.targets(faults.find("incorrect-image-reference"), world)
    faults.inject(world, faults.find("incorrect-image-reference"), found[0].args)
    observer.run(world, world.now + 5 * 60_000)
    out = tmp_path_factory.mktemp("ours")
    export_incident(Watched(world, observer.minutes), out, amount=Amount(0.05, 60_000, 0.05))
    return out


def rows(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t")


def paths(value: Any, before: str = "", depth: int = 0) -> Iterator[str]:
    if isinstance(value, dict) and value and depth < DEPTH:
        for key, item in value.items():
            if key in OWN:
                yield f"{before}.{key}"
            else:
                yield from paths(item, f"{before}.{key}", depth + 1)
    elif isinstance(value, list) and value and depth < DEPTH:
        for item in value:
            yield from paths(item, f"{before}[]", depth + 1)
    else:
        yield before


def shapes(folders: list[Path]) -> dict[str, tuple[int, Counter[str]]]:
    """By kind of object: how many, and how many have each path."""
    out: dict[str, tuple[int, Counter[str]]] = {}
    for folder in folders:
        for row in rows(folder / "k8s_objects_raw.tsv"):
            obj = json.loads(row["Body"])
            count, seen = out.get(obj["kind"], (0, Counter()))
            seen.update(set(paths(obj)))
            out[obj["kind"]] = count + 1, seen
    return out


@pytest.fixture(scope="module")
def theirs(shared_data: Callable[[str], Path]) -> list[Path]:
    return sorted((shared_data("real-dev") / "sre").iterdir())[::6]


def test_objects_have_what_real_ones_have(ours: Path, theirs: list[Path]) -> None:
    real, own = shapes(theirs), shapes([ours])
    for kind in ("Pod", "Service", "Deployment", "ReplicaSet", "Endpoints", "ServiceAccount"):
        count, seen = real[kind]
        usual = {path for path, number in seen.items() if number > 0.8 * count}
        assert usual - set(own[kind][1]) == set(), kind


def test_events_have_what_real_ones_have(ours: Path, theirs: list[Path]) -> None:
    def seen(folders: list[Path]) -> tuple[Counter[str], dict[str, set[str]]]:
        found: Counter[str] = Counter()
        sources: dict[str, set[str]] = {}
        for folder in folders:
            for row in rows(folder / "k8s_events_raw.tsv"):
                event = json.loads(row["Body"])["object"]
                found.update(set(paths(event)))
                source = (event.get("source") or {}).get("component") or ""
                sources.setdefault(event["reason"], set()).add(source)
        return found, sources

    real, known = seen(theirs)
    own, mine = seen([ours])
    usual = {path for path, number in real.items() if number > 0.8 * max(real.values())}
    assert usual - set(own) == set()
    for reason in set(mine) & set(known):
        named = {source for source in known[reason] if source}
        assert not named or mine[reason] & named, reason


def test_lines_and_spans_say_where_they_come_from(ours: Path, theirs: list[Path]) -> None:
    def keys(folders: list[Path], table: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for folder in folders:
            for number, row in enumerate(rows(folder / f"{table}.tsv")):
                if number < 500:
                    found.update(list(literal_eval(row["ResourceAttributes"])))
        return found

    for table in ("otel_logs_raw", "otel_traces_raw"):
        assert set(keys(theirs, table)) <= set(keys([ours], table)), table


def test_alerts_of_one_name_have_the_same_labels(ours: Path, theirs: list[Path]) -> None:
    def labels(folders: list[Path]) -> dict[str, set[frozenset[str]]]:
        found: dict[str, set[frozenset[str]]] = {}
        for folder in folders:
            for path in sorted((folder / "alerts").glob("*.json")):
                document = json.loads(path.read_text())
                items = document if isinstance(document, list) else document["data"]["alerts"]
                for item in items:
                    found.setdefault(item["labels"]["alertname"], set()).add(frozenset(item["labels"]))
        return found

    real, own = labels(theirs), labels([ours])
    for name in set(real) & set(own):
        both = {"namespace", "severity", "pod", "service_name", "deployment", "container", "node"}
        assert {one & both for one in own[name]} & {one & both for one in real[name]}, name
