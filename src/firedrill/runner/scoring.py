"""Computing the grades of a run again, from its folder alone: no agent, model, suite or telemetry."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from firedrill.core.episode import EpisodeKey
from firedrill.core.grade import Grade
from firedrill.records import Manifest, RunFolder, check_inputs, replace_grades, same_grade
from firedrill.runner.attempt import grade_answer
from firedrill.runner.planning import scorer


@dataclass(frozen=True)
class Rescored:
    """What :func:`score` did. ``changed`` names the episodes whose grade is not what it was."""

    path: Path
    manifest: Manifest
    episodes: int
    changed: tuple[EpisodeKey, ...]
    seconds: float


def score(path: Path, *, write: bool = True) -> Rescored:
    """Compute every grade of a run again, and write those that changed unless ``write`` is false.

    The scorer that was there before is kept in ``rescorings``; the digest of the records stays as it was.

    Raises:
        InputError: the folder is no run, is being written, or what grades are computed from was edited.
    """
    started = time.monotonic()
    folder = RunFolder(path)
    check_inputs(folder)
    grades: dict[EpisodeKey, Grade] = {}
    changed: list[EpisodeKey] = []
    living = compliance = False
    for key in folder.ended():
        record = folder.episode(key)
        if not record.outcome.counts:
            continue
        scenario, facts, assessed = folder.scenario(key.scenario), folder.facts(key), folder.compliance(key)
        living, compliance = living or facts is not None, compliance or assessed is not None
        grades[key] = grade_answer(
            folder.submission_text(key),
            scenario.truth,
            scenario.topology,
            scenario.inventory,
            record.outcome,
            facts or assessed,
        )
        if not same_grade(folder, key, grades[key]):
            changed.append(key)
    manifest = (
        replace_grades(path, grades, scorer=scorer(living=living, compliance=compliance))
        if write
        else folder.manifest
    )
    return Rescored(path, manifest, len(grades), tuple(changed), time.monotonic() - started)
