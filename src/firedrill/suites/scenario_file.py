"""Firedrill's own scenario files: one problem, with the folder of its incident beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from firedrill.core.digest import digest_of
from firedrill.core.episode import slug
from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.suites.assembling import make_suite
from firedrill.suites.manifest import load_yaml, validate_record
from firedrill.suites.model import Suite, SuiteScenario
from firedrill.suites.truths import Sources, find_truth, parse

SCENARIO_LIMIT = 4 * 1024 * 1024


def open_scenario_file(path: Path, name: str | None = None, version: str | None = None) -> Suite:
    """A suite of the one scenario that the file defines.

    Raises:
        InputError: when the file, its incident or its truth cannot be used.
    """
    from firedrill.snapshot import evidence_digest, evidence_files

    scenario = _scenario(path)
    if scenario.environment.backend == "world":
        return _of_world(scenario, path, name, version)
    folder = _folder(scenario, path)
    if scenario.truth:
        found = parse(json.dumps(scenario.truth, default=str), f"{path.name}: truth")
    else:
        chosen, findings = find_truth(folder, folder.name, scenario.environment.path or "", Sources())
        if chosen is None:
            problem = findings[0].message if findings else "no ground truth"
            raise InputError(problem, source=str(path), field="truth", mend="write it under `truth`")
        found = chosen
    files, _ = evidence_files(folder)
    if not files:
        raise InputError("the folder holds no evidence", source=str(path), field="environment.path")
    worlds = {"nodes", "start", "life", "red_herrings", "prepare"}
    leave_out: dict[str, Any] = {
        "truth": True,
        "certificate": True,
        "environment": worlds,
        "faults": {"__all__": {"after"}},
    }
    definition = scenario.model_dump(mode="json", by_alias=True, exclude=leave_out)
    item = SuiteScenario(
        id=scenario.metadata.name,
        scenario=scenario,
        folder=folder,
        truth_text=found.text,
        truth_source=found.source,
        digest=digest_of([definition, evidence_digest(folder)]),
        truth_digest=found.truth.digest,
    )
    return make_suite(
        name=name or slug(scenario.metadata.name, 64),
        version=version or scenario.metadata.version,
        root=path.resolve().parent,
        scenarios=[item],
    )


def _of_world(scenario: Scenario, path: Path, name: str | None, version: str | None) -> Suite:
    from firedrill.suites.living.opening import world_scenario

    root = path.resolve().parent
    return make_suite(
        name=name or slug(scenario.metadata.name, 64),
        version=version or scenario.metadata.version,
        root=root,
        scenarios=[world_scenario(scenario, root, path.name)],
    )


def _scenario(path: Path) -> Scenario:
    data = load_yaml(path, SCENARIO_LIMIT)
    if not isinstance(data, dict) or data.get("kind") != "Scenario":
        raise InputError(
            "is neither a folder of incidents nor a scenario file (apiVersion: firedrill/v1, kind: Scenario)",
            source=str(path),
            mend="`firedrill suite lint` checks ground truth files",
        )
    if data.get("apiVersion") != "firedrill/v1":
        problem = f"cannot run scenarios of {data.get('apiVersion')!r}, only of 'firedrill/v1'"
        raise InputError(problem, source=str(path), field="apiVersion")
    return validate_record(Scenario, data, str(path))


def _folder(scenario: Scenario, path: Path) -> Path:
    environment = scenario.environment
    if environment.backend != "snapshot":
        problem = f"the backend {environment.backend!r} is not available; there are 'snapshot' and 'world'"
        raise InputError(problem, source=str(path), field="environment.backend")
    base = path.resolve().parent
    folder = (base / (environment.path or ".")).resolve()
    if not folder.is_relative_to(base):
        problem = f"{environment.path!r} leads out of the folder of the scenario file"
        raise InputError(problem, source=str(path), field="environment.path")
    if not folder.is_dir():
        problem = f"there is no folder {environment.path!r} beside the scenario file"
        raise InputError(problem, source=str(path), field="environment.path")
    return folder
