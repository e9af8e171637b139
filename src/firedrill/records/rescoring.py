"""Replacing the grades of a run by those of a newer scorer, so that the manifest stays true."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firedrill.core.digest import digest_bytes
from firedrill.core.episode import EpisodeKey
from firedrill.core.errors import InputError
from firedrill.core.grade import Grade
from firedrill.records.files import file_digest, is_plain_file, remove_temporaries, write_atomic
from firedrill.records.folder import EPISODE, GRADE, SUBMISSION, RunFolder
from firedrill.records.lock import RunLock
from firedrill.records.manifest import (
    MANIFEST,
    Manifest,
    Rescoring,
    episode_name,
    manifest_bytes,
    with_digests,
)
from firedrill.records.writer import grade_bytes, written_folders

PENDING = ".rescoring"
"""There while grades are being replaced: a run killed then is mended by scoring it again."""


def check_inputs(folder: RunFolder) -> None:
    """Make sure that what grades are computed from is what was recorded.

    Raises:
        InputError: when a submission, a record or a scenario's file was edited since.
    """
    manifest = folder.manifest
    for scenario, entry in manifest.scenarios.items():
        for name, digest in entry.files.items():
            _same(folder.path / "scenarios" / scenario / name, digest)
    for key in manifest.plan.episodes():
        sealed = manifest.episodes.get(episode_name(key))
        if sealed is None:
            continue
        path = folder.folder(key)
        if SUBMISSION in sealed.files:
            _same(path / SUBMISSION, sealed.files[SUBMISSION])
        elif (path / SUBMISSION).exists():
            raise _edited(path / SUBMISSION)
        if folder.episode(key).outcome.value != sealed.outcome:
            raise _edited(path / EPISODE)


def same_grade(folder: RunFolder, key: EpisodeKey, grade: Grade) -> bool:
    """Whether ``grade`` is what an episode's folder holds, to the byte."""
    return _current(folder.folder(key) / GRADE) == grade_bytes(grade)


def replace_grades(path: Path, grades: Mapping[EpisodeKey, Grade], *, scorer: str) -> Manifest:
    """Write ``grades`` into a run and its manifest, and note the scoring that was there before.

    Nothing changes when every grade is the same as before, so scoring twice is scoring once.

    Raises:
        InputError: when the folder is no run, or another program is writing it.
    """
    with RunLock(path):
        folder = RunFolder(path)
        remove_temporaries(written_folders(path))
        manifest = folder.manifest
        written = {key: grade_bytes(grade) for key, grade in grades.items()}
        changed = {key: data for key, data in written.items() if data != _current(folder.folder(key) / GRADE)}
        listed = {episode_name(key): digest_bytes(data) for key, data in written.items()}
        stale = any(
            manifest.episodes[name].grade != digest
            for name, digest in listed.items()
            if name in manifest.episodes
        )
        if not changed and not stale and manifest.versions.get("scorer") == scorer:
            (path / PENDING).unlink(missing_ok=True)
            return manifest
        write_atomic(path / PENDING, scorer.encode() + b"\n")
        for key, data in changed.items():
            write_atomic(folder.folder(key) / GRADE, data)
        episodes = {
            name: entry.model_copy(update={"grade": listed.get(name, entry.grade)})
            for name, entry in manifest.episodes.items()
        }
        before = Rescoring(scorer=manifest.versions.get("scorer", ""), grades=manifest.digests.grades)
        manifest = with_digests(
            manifest.model_copy(
                update={
                    "episodes": episodes,
                    "versions": {**manifest.versions, "scorer": scorer},
                    "rescorings": (*manifest.rescorings, before),
                }
            )
        )
        write_atomic(path / MANIFEST, manifest_bytes(manifest), durable=True)
        (path / PENDING).unlink(missing_ok=True)
        return manifest


def _current(path: Path) -> bytes | None:
    return path.read_bytes() if is_plain_file(path) else None


def _same(path: Path, digest: str) -> None:
    if not is_plain_file(path) or file_digest(path) != digest:
        raise _edited(path)


def _edited(path: Path) -> InputError:
    return InputError(
        "was edited or removed after the run was sealed",
        source=str(path),
        mend="`firedrill verify` says more",
    )
