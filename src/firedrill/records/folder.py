"""Reading a run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from firedrill.core.compliance import ComplianceFacts
from firedrill.core.episode import EpisodeKey, EpisodeRecord
from firedrill.core.errors import InputError
from firedrill.core.grade import Grade
from firedrill.core.living import Facts
from firedrill.core.topology import Topology
from firedrill.core.truth import Truth
from firedrill.records.files import is_plain_file, read_bytes, read_json, walk
from firedrill.records.manifest import Manifest, read_manifest
from firedrill.records.receipt import ReceiptLine, read_receipt

EPISODE = "episode.json"
RECEIPT = "receipt.jsonl"
SUBMISSION = "submission.json"
INTERVENTIONS = "interventions.json"
GRADE = "grade.json"
TIMING = "timing.json"
ARTIFACTS = "artifacts"

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class ScenarioFiles:
    """What a run keeps of one scenario, so that its grades can be computed without the suite."""

    id: str
    path: Path

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """``scenario.json``: ``id``, ``scenario``, ``split``, ``row``, ``digest``, ``truth_digest``."""
        return _mapping(self.path / "scenario.json")

    @cached_property
    def truth_text(self) -> str:
        """The ground truth as it was read."""
        return read_bytes(self.path / "truth.yaml").decode("utf-8", "replace")

    @cached_property
    def truth(self) -> Truth:
        """The ground truth, parsed."""
        from firedrill.core.truth import parse_truth_text

        return parse_truth_text(self.truth_text, str(self.path / "truth.yaml"))[0]

    @cached_property
    def topology(self) -> Topology:
        """The incident's topology.

        Raises:
            InputError: when the file does not hold one.
        """
        path = self.path / "topology.json"
        try:
            return Topology.from_json(_mapping(path))
        except (TypeError, ValueError) as error:
            raise InputError(f"not a topology: {error}", source=str(path)) from error

    @cached_property
    def inventory(self) -> tuple[str, ...]:
        """Ids of every object present in the incident, sorted."""
        path = self.path / "inventory.json"
        document = read_json(path)
        if not isinstance(document, list) or not all(isinstance(name, str) for name in document):
            raise InputError("expected a list of ids", source=str(path))
        return tuple(document)


class RunFolder:
    """A run on disk. Everything is read when it is asked for; nothing is written.

    Raises:
        InputError: at construction when the folder holds no run; later when a file is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest: Manifest = read_manifest(self.path)
        self._scenarios: dict[str, ScenarioFiles] = {}

    def folder(self, key: EpisodeKey) -> Path:
        """The folder of an episode, whether it exists or not."""
        return self.path / key.folder

    def ended(self) -> Iterator[EpisodeKey]:
        """The planned episodes that have ended, in the plan's order."""
        return (key for key in self.manifest.plan.episodes() if is_plain_file(self.folder(key) / EPISODE))

    def episodes(self) -> Iterator[EpisodeRecord]:
        """The records of the episodes that have ended, in the plan's order."""
        return (self.episode(key) for key in self.ended())

    def episode(self, key: EpisodeKey) -> EpisodeRecord:
        """The record of one episode."""
        path = self.folder(key) / EPISODE
        record = _model(EpisodeRecord, path)
        if record.key != key:
            raise InputError(f"holds the record of {record.key.folder}", source=str(path))
        return record

    def scenario(self, scenario: str) -> ScenarioFiles:
        """What is kept of a scenario; parsed parts are remembered."""
        if scenario not in self._scenarios:
            if scenario not in self.manifest.scenarios:
                raise InputError(f"no scenario {scenario!r} in this run", source=str(self.path))
            path = self.path / "scenarios" / scenario
            self._scenarios[scenario] = ScenarioFiles(scenario, path)
        return self._scenarios[scenario]

    def receipt(self, key: EpisodeKey) -> Iterator[ReceiptLine]:
        """The lines of an episode's receipt."""
        return read_receipt(self.folder(key) / RECEIPT)

    def submission_text(self, key: EpisodeKey) -> str | None:
        """The raw answer; None when there was none."""
        path = self.folder(key) / SUBMISSION
        if not path.exists():
            return None
        text = _mapping(path).get("text")
        if not isinstance(text, str):
            raise InputError("expected a text", source=str(path), field="text")
        return text

    def grade(self, key: EpisodeKey) -> Grade | None:
        """The grade; None when the episode was not graded (an infrastructure error)."""
        path = self.folder(key) / GRADE
        return _model(Grade, path) if path.exists() else None

    def facts(self, key: EpisodeKey) -> Facts | None:
        """What became of the episode's world; None on a recorded incident."""
        path = self.folder(key) / INTERVENTIONS
        return _model(Facts, path) if path.exists() and not _of_compliance(path) else None

    def compliance(self, key: EpisodeKey) -> ComplianceFacts | None:
        """What artefacts of compliance said; None in episodes of other kinds."""
        path = self.folder(key) / INTERVENTIONS
        return _model(ComplianceFacts, path) if path.exists() and _of_compliance(path) else None

    def timing(self, key: EpisodeKey) -> tuple[float, ...]:
        """Seconds after the start at which each line of the receipt was written; empty if unknown."""
        path = self.folder(key) / TIMING
        if not is_plain_file(path):
            return ()
        lines = _mapping(path).get("lines")
        if not isinstance(lines, list):
            return ()
        return tuple(float(value) for value in lines if isinstance(value, int | float))

    def artifacts(self, key: EpisodeKey) -> tuple[Path, ...]:
        """Files that the episode left beside its answer, sorted."""
        root = self.folder(key) / ARTIFACTS
        return tuple(path for path, folder in walk(root) if not folder and is_plain_file(path))

    def results(self) -> list[tuple[EpisodeRecord, Grade | None]]:
        """Every ended episode with its grade, in the plan's order."""
        return [(record, self.grade(record.key)) for record in self.episodes()]


def _of_compliance(path: Path) -> bool:
    return _mapping(path).get("kind") == "compliance"


def _mapping(path: Path) -> Mapping[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise InputError("expected a JSON object", source=str(path))
    return document


def _model(model: type[_Model], path: Path) -> _Model:
    try:
        return model.model_validate(_mapping(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(first["msg"], source=str(path), field=field) from error
