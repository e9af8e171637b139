"""Writing a run's folder: an episode is there whole or not at all, whenever the program is killed."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firedrill.core.compliance import ComplianceFacts
from firedrill.core.digest import digest_bytes
from firedrill.core.episode import EpisodeKey, EpisodeRecord
from firedrill.core.errors import InputError
from firedrill.core.grade import Grade
from firedrill.core.living import Facts
from firedrill.core.outcome import Outcome
from firedrill.records.files import (
    digest_without_timing,
    file_digest,
    is_plain_file,
    is_temporary,
    json_bytes,
    read_json,
    remove_temporaries,
    walk,
    write_atomic,
)
from firedrill.records.folder import (
    ARTIFACTS,
    EPISODE,
    GRADE,
    INTERVENTIONS,
    RECEIPT,
    SUBMISSION,
    TIMING,
    RunFolder,
)
from firedrill.records.lock import LOCK, RunLock
from firedrill.records.manifest import (
    MANIFEST,
    EpisodeEntry,
    Manifest,
    ScenarioEntry,
    episode_name,
    manifest_bytes,
    with_digests,
)
from firedrill.records.receipt import ReceiptWriter, check_chain

WORK = ".work"
"""Where episodes are written until they are whole; emptied when a run is resumed."""

SCENARIO_FILES = ("scenario.json", "truth.yaml", "topology.json", "inventory.json")


class EpisodeWriter:
    """Collects one attempt at an episode beside the run, to be moved into it in one step."""

    def __init__(self, folder: Path, key: EpisodeKey) -> None:
        folder.mkdir()
        self.folder = folder
        self.key = key
        self.receipt = ReceiptWriter(folder / RECEIPT, key)

    def artifact(self, name: str, data: bytes) -> None:
        """Keep a file beside the answer. ``name`` is one safe path part."""
        folder = self.folder / ARTIFACTS
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)

    def interventions(self, facts: Facts | ComplianceFacts) -> None:
        """Keep what became of the episode's world."""
        (self.folder / INTERVENTIONS).write_bytes(json_bytes(facts.model_dump(mode="json")))

    def finish(self, record: EpisodeRecord, submission: str | None, grade: Grade | None) -> EpisodeEntry:
        """Write everything but move nothing yet; ``episode.json`` comes last."""
        self.receipt.close()
        files = {RECEIPT: self.receipt.digest}
        if submission is not None:
            data = json_bytes({"text": submission})
            (self.folder / SUBMISSION).write_bytes(data)
            files[SUBMISSION] = digest_bytes(data)
        if (self.folder / INTERVENTIONS).exists():
            files[INTERVENTIONS] = file_digest(self.folder / INTERVENTIONS)
        for path, is_folder in walk(self.folder / ARTIFACTS):
            if not is_folder:
                files[f"{ARTIFACTS}/{path.name}"] = file_digest(path)
        (self.folder / TIMING).write_bytes(json_bytes({"lines": self.receipt.offsets}))
        grade_digest = None
        if grade is not None:
            data = grade_bytes(grade)
            (self.folder / GRADE).write_bytes(data)
            grade_digest = digest_bytes(data)
        document = record.model_dump(mode="json")
        (self.folder / EPISODE).write_bytes(json_bytes(document, pretty=True))
        return EpisodeEntry(
            outcome=record.outcome.value,
            episode=digest_without_timing(document),
            receipt_head=self.receipt.head,
            receipt_lines=self.receipt.lines,
            files=files,
            grade=grade_digest,
        )

    def discard(self) -> None:
        """Forget this attempt."""
        with contextlib.suppress(OSError):  # a full disk does not take the rest of the receipt either
            self.receipt.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def grade_bytes(grade: Grade) -> bytes:
    """``grade.json`` as it is written."""
    return json_bytes(grade.model_dump(mode="json"))


class RunWriter:
    """Owns a run's folder while it is being written. Methods may be called from several threads,
    each for another episode or scenario.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: RunLock) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = lock
        self._entries: dict[str, EpisodeEntry] = dict(manifest.episodes)
        self._scenarios: dict[str, ScenarioEntry] = dict(manifest.scenarios)
        self._count = 0
        work = path / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> RunWriter:
        """Start a run in an empty or absent folder.

        Raises:
            InputError: when the folder holds anything, or another program is writing it.
        """
        refuse_used(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot be made: {error.strerror}", source=str(path), mend="name another folder with --out"
            ) from error
        lock = RunLock(path)
        try:
            refuse_used(path)
            remove_temporaries([path])
            writer = cls(path, manifest, lock)
            writer._write_manifest(with_digests(manifest))
        except BaseException:
            lock.close()
            raise
        return writer

    @classmethod
    def reopen(cls, path: Path) -> RunWriter:
        """Take up a run again: episodes that ended before are kept, half-written ones forgotten.

        Raises:
            InputError: when the folder is no run, or a sealed file of it was edited since.
        """
        folder = RunFolder(path)
        lock = RunLock(path)
        try:
            folder = RunFolder(path)
            remove_temporaries(written_folders(path))
            writer = cls(path, folder.manifest, lock)
            writer._adopt(folder)
            writer._write_manifest(with_digests(_unsealed(folder.manifest)))
        except BaseException:
            lock.close()
            raise
        return writer

    def done(self) -> Mapping[str, EpisodeEntry]:
        """The episodes that have ended, by name."""
        return self._entries

    def write_scenario(self, scenario: str, files: Mapping[str, bytes]) -> None:
        """Keep what grading needs of a scenario; ``files`` has the names of ``SCENARIO_FILES``.

        Raises:
            InputError: when the run keeps other ones already, which earlier episodes were graded with.
        """
        digests = {name: digest_bytes(files[name]) for name in SCENARIO_FILES}
        known = self._scenarios[scenario].files
        if known:
            changed = [name for name in SCENARIO_FILES if known[name] != digests[name]]
            if changed:
                problem = f"{', '.join(changed)} would not be what earlier episodes were graded with"
                raise InputError(problem, source=str(self.path / "scenarios" / scenario))
            return
        folder = self.path / "scenarios" / scenario
        folder.mkdir(parents=True, exist_ok=True)
        for name in SCENARIO_FILES:
            write_atomic(folder / name, files[name])
        self._scenarios[scenario] = self._scenarios[scenario].model_copy(update={"files": digests})

    def start_episode(self, key: EpisodeKey) -> EpisodeWriter:
        """A place to write one attempt at an episode."""
        self._count += 1
        return EpisodeWriter(self.path / WORK / f"{self._count}", key)

    def commit(
        self,
        writer: EpisodeWriter,
        record: EpisodeRecord,
        submission: str | None,
        grade: Grade | None,
    ) -> None:
        """Make a finished attempt part of the run, in one step; it replaces an earlier failure of ours."""
        entry = writer.finish(record, submission, grade)
        target = self.path / writer.key.folder
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            replaced = writer.folder.with_name(f"{writer.folder.name}.replaced")
            target.rename(replaced)
            writer.folder.rename(target)
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            writer.folder.rename(target)
        self._entries[episode_name(writer.key)] = entry

    def seal(self, timing: Mapping[str, Any]) -> Manifest:
        """Write ``run.json`` with the digests of everything that is there, and let go of the folder."""
        planned = [episode_name(key) for key in self.manifest.plan.episodes()]
        entries = {name: self._entries[name] for name in planned if name in self._entries}
        counts = Counter(entry.outcome for entry in entries.values())
        complete = len(entries) == len(planned) and not counts[Outcome.INFRASTRUCTURE_ERROR.value]
        manifest = self.manifest.model_copy(
            update={
                "sealed": True,
                "complete": complete,
                "counts": {"planned": len(planned), "done": len(entries), **counts},
                "scenarios": self._scenarios,
                "episodes": entries,
                "timing": dict(timing),
            }
        )
        manifest = with_digests(manifest)
        shutil.rmtree(self.path / WORK, ignore_errors=True)
        self._write_manifest(manifest)
        self.close()
        return manifest

    def close(self) -> None:
        """Let go of the folder without sealing it. Safe to call twice."""
        self._lock.close()

    def _write_manifest(self, manifest: Manifest) -> None:
        self.manifest = manifest
        write_atomic(self.path / MANIFEST, manifest_bytes(manifest), durable=True)

    def _adopt(self, folder: RunFolder) -> None:
        for name, entry in self._scenarios.items():
            self._scenarios[name] = _scenario_entry(self.path / "scenarios" / name, entry)
        for key in folder.manifest.plan.episodes():
            name = episode_name(key)
            path = folder.folder(key)
            sealed = folder.manifest.episodes.get(name)
            found = read_entry(folder, key)
            if sealed is not None and found != sealed:
                raise InputError(
                    "an episode was edited or removed after the run was sealed",
                    source=str(path),
                    mend=f"`firedrill verify {folder.path}` says what",
                )
            if found is not None:
                self._entries[name] = found
            elif path.exists():
                shutil.rmtree(path)


def _unsealed(manifest: Manifest) -> Manifest:
    # failures of ours are tried again, so their records may change before the next seal
    kept = {
        name: entry
        for name, entry in manifest.episodes.items()
        if entry.outcome != Outcome.INFRASTRUCTURE_ERROR.value
    }
    return manifest.model_copy(update={"sealed": False, "episodes": kept})


def written_folders(path: Path) -> list[Path]:
    """The folders of a run in which files are replaced one by one."""
    return [path, *path.glob("scenarios/*"), *path.glob("episodes/*/*/*")]


def refuse_used(path: Path) -> None:
    """Raise InputError when ``path`` holds anything but what a start that was killed leaves behind."""
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError("expected a folder for the run, found a file", source=str(path))
    if (path / MANIFEST).exists():
        raise InputError(
            "holds a run already",
            source=str(path),
            mend=f"name another folder with --out, or finish it with `firedrill resume {path}`",
        )
    if any(entry.name not in (LOCK, WORK) and not is_temporary(entry.name) for entry in path.iterdir()):
        raise InputError("is not empty", source=str(path), mend="name another folder with --out")


def read_entry(folder: RunFolder, key: EpisodeKey) -> EpisodeEntry | None:
    """The manifest's entry of an episode as its files are now; None when they are not whole."""
    path = folder.folder(key)
    try:
        document = read_json(path / EPISODE)
        record = folder.episode(key)
        folder.submission_text(key)
        grade = folder.grade(key)
        folder.facts(key)
        folder.compliance(key)
    except InputError:
        return None
    if grade is None and record.outcome is not Outcome.INFRASTRUCTURE_ERROR:
        return None
    if not is_plain_file(path / RECEIPT):
        return None
    chain = check_chain(path / RECEIPT, key, RECEIPT)
    if chain.problem is not None:
        return None
    names = [RECEIPT, *(name for name in (SUBMISSION, INTERVENTIONS) if (path / name).exists())]
    files = {name: file_digest(path / name) for name in names}
    for artifact in folder.artifacts(key):
        files[artifact.relative_to(path).as_posix()] = file_digest(artifact)
    return EpisodeEntry(
        outcome=record.outcome.value,
        episode=digest_without_timing(document),
        receipt_head=chain.head,
        receipt_lines=chain.lines,
        files=files,
        grade=file_digest(path / GRADE) if grade is not None else None,
    )


def _scenario_entry(path: Path, entry: ScenarioEntry) -> ScenarioEntry:
    if not all(is_plain_file(path / name) for name in SCENARIO_FILES):
        # a start that was killed before all four were there: written again when needed
        return entry.model_copy(update={"files": {}})
    files = {name: file_digest(path / name) for name in SCENARIO_FILES}
    if entry.files and entry.files != files:
        raise InputError("a scenario's files were edited after the run was sealed", source=str(path))
    return entry.model_copy(update={"files": files})
