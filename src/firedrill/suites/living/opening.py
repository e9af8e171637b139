"""Suites of scenario files: folders of them, and those that come with Firedrill."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.core.truth import parse_truth
from firedrill.suites.assembling import make_suite
from firedrill.suites.living.generating import FOLDER
from firedrill.suites.living.packaged import packaged_folder, packaged_lines
from firedrill.suites.living.writing import case_of, dump, own_truth, scenario_digest, truth_texts
from firedrill.suites.manifest import load_yaml, read_manifest, validate_record
from firedrill.suites.model import Suite, SuiteScenario

SCENARIO_LIMIT = 4 * 1024 * 1024
_MOST = 10_000


def scenario_files(root: Path) -> list[Path]:
    """The scenario files of a folder: those in `scenarios`, by name."""
    folder = root / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())


def open_folder(root: Path, name: str | None = None, version: str | None = None) -> Suite:
    """The suite of the scenario files in a folder.

    Raises:
        InputError: one cannot be used.
    """
    manifest = read_manifest(root)
    found = scenario_files(root)[:_MOST]
    items = [world_scenario(_read(path), root, f"{FOLDER}/{path.name}") for path in found]
    provenance = dict(manifest.provenance)
    if manifest.title:
        provenance["title"] = manifest.title
    return make_suite(
        name=name or manifest.name or root.name,
        version=version or manifest.version or "1",
        root=root,
        scenarios=_distinct(items, root),
        provenance=provenance,
    )


def _read(path: Path) -> Scenario:
    data = load_yaml(path, SCENARIO_LIMIT)
    if not isinstance(data, dict) or data.get("kind") != "Scenario":
        raise InputError("is no scenario file", source=str(path), mend="give it `kind: Scenario`")
    return validate_record(Scenario, data, str(path))


def _distinct(items: Sequence[SuiteScenario], root: Path) -> list[SuiteScenario]:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(f"two scenarios are called {item.id!r}", source=str(root), mend="rename one")
        seen.add(item.id)
    return list(items)


@dataclass(frozen=True)
class WorldScenario(SuiteScenario):
    """A scenario of a world: its truth, which is data there, becomes text when somebody reads that.

    For hundreds of scenarios writing YAML would take most of the time that opening a suite takes.
    """

    truth_text: str = field(init=False)

    def __getattr__(self, name: str) -> str:
        if name != "truth_text":
            raise AttributeError(name)
        text = truth_texts(self.scenario)[0]
        object.__setattr__(self, name, text)
        return text


def world_scenario(scenario: Scenario, root: Path, source: str) -> SuiteScenario:
    """One scenario of a world as a member of a suite.

    Raises:
        InputError: it cannot be simulated, or has no truth.
    """
    case_of(scenario, source)
    if not scenario.truth.get("spec") or not scenario.truth.get("v2"):
        raise InputError("has no truth of both forms", source=source, field="truth", mend="generate it anew")
    named = f"{source}: truth"
    truth, _ = parse_truth(own_truth(scenario), named)
    return WorldScenario(
        id=scenario.metadata.name,
        scenario=scenario,
        folder=root,
        truth_source=named,
        digest=scenario_digest(scenario),
        truth_digest=truth.digest,
        row={"mechanisms": [item.id for item in scenario.faults]},
    )


# -- suites that come with Firedrill ----------------------------------------------------------------


def open_packaged(name: str) -> Suite:
    """A suite that comes with Firedrill.

    Raises:
        InputError: there is none of that name, or its file is not what was packaged.
    """
    first, *lines = packaged_lines(name)
    head, place = json.loads(first), packaged_folder()
    items = [world_scenario(validate_record(Scenario, json.loads(line), name), place, name) for line in lines]
    suite = make_suite(
        name=name,
        version=str(head["version"]),
        root=place,
        scenarios=items,
        provenance={key: item for key, item in head.items() if key not in ("name", "version", "digest")},
    )
    if suite.digest != head["digest"]:
        raise InputError(
            f"the packaged suite {name} has another digest than when it was made", mend="install it anew"
        )
    return suite


def pack(
    name: str, version: str, title: str, scenarios: Iterable[Scenario], about: Mapping[str, Any]
) -> bytes:
    """The file of a packaged suite: a line about it, then one for each scenario. Same input, same bytes.

    Raises:
        InputError: a scenario cannot be used.
    """
    place = Path()
    kept = list(scenarios)
    items = [world_scenario(item, place, item.metadata.name) for item in kept]
    suite = make_suite(name=name, version=version, root=place, scenarios=items)
    head = {
        "name": name,
        "version": version,
        "title": title,
        "digest": suite.digest,
        "scenarios": len(kept),
        **about,
    }
    lines = [json.dumps(item, sort_keys=True, ensure_ascii=False) for item in (head, *map(dump, kept))]
    return gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0)


__all__ = [
    "open_folder",
    "open_packaged",
    "pack",
    "scenario_files",
    "world_scenario",
]
