"""``run.json``: what was run, with what, and the digests that make every later edit visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from firedrill.core.digest import digest_of
from firedrill.core.episode import EpisodeKey, Record
from firedrill.core.errors import InputError
from firedrill.records.files import json_bytes, parse_json, read_bytes

MANIFEST = "run.json"

FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=160)]
"""A name that is safe as one part of a path."""

RelativeFile = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=400)
]
"""A path below a folder: no part of it starts with a dot."""


class SuiteEntry(Record):
    """Which suite was run. ``source`` is what opens it again: a registered name or a path."""

    name: str
    version: str
    digest: str
    source: str


class Plan(Record):
    """What was asked for; together with the agents it fixes every episode."""

    scenarios: tuple[FolderName, ...]
    """In the order of the suite."""
    agents: tuple[FolderName, ...]
    """Folder names, in the order they were asked for."""
    repeats: Annotated[int, Field(ge=1, le=10_000)]
    seed: Annotated[int, Field(ge=0)] = 0
    limits: dict[str, Any] = {}
    """The caps that were asked for; where none was, the scenario's own hold."""
    sandbox: dict[str, Any] = {}
    """Kind and bounds."""
    without: tuple[str, ...] = ()
    """Modalities that were withheld."""
    worlds: dict[str, Any] = {}
    """How living worlds are run, where that is not the usual way: `ledger`, `approver`."""

    def episodes(self) -> Iterator[EpisodeKey]:
        """Every episode in the order they are started in."""
        for scenario in self.scenarios:
            for repeat in range(1, self.repeats + 1):
                for agent in self.agents:
                    yield EpisodeKey(scenario=scenario, agent=agent, repeat=repeat)


class AgentEntry(Record):
    """One agent. ``request`` is what the registry builds it from again; empty when it cannot."""

    name: str
    privileged: bool = False
    config: dict[str, Any]
    config_digest: str
    request: dict[str, Any] = {}


class ScenarioEntry(Record):
    """One scenario: digests of its evidence and truth, and of the files kept here (once written)."""

    digest: str
    truth_digest: str
    files: dict[RelativeFile, str] = {}


class EpisodeEntry(Record):
    """One finished episode. ``episode`` is the digest of ``episode.json`` without ``timing``."""

    outcome: str
    episode: str
    receipt_head: str
    receipt_lines: int
    files: dict[RelativeFile, str]
    """Digests of the receipt, the submission and the artifacts."""
    grade: str | None = None
    """Digest of ``grade.json``; None for an episode that was not graded."""


class Rescoring(Record):
    """An earlier scoring of this run: its scorer's version and the digest of its grades."""

    scorer: str
    grades: str


class Digests(Record):
    """``records`` covers everything but the grades, so that it outlives a rescoring; ``run`` all."""

    records: str = ""
    grades: str = ""
    run: str = ""


class Manifest(Record):
    """``run.json``. Everything but ``timing`` is the same for the same seed and calls."""

    apiVersion: Literal["firedrill/v1"] = "firedrill/v1"
    kind: Literal["Run"] = "Run"
    sealed: bool = False
    """Whether ``episodes`` holds every episode of the folder: false while a run goes on."""
    complete: bool = False
    """Every planned episode ended, and none of them by an infrastructure error."""
    counts: dict[str, int] = {}
    """``planned``, ``done``, and the number of episodes by outcome."""
    suite: SuiteEntry
    versions: dict[str, str]
    """Of firedrill, Python, the scorer and the tool root."""
    plan: Plan
    agents: dict[FolderName, AgentEntry]
    scenarios: dict[FolderName, ScenarioEntry]
    episodes: dict[str, EpisodeEntry] = {}
    """By ``scenario/agent/repeat``."""
    rescorings: tuple[Rescoring, ...] = ()
    """Earlier scorings, oldest first."""
    digests: Digests = Digests()
    timing: dict[str, Any] = {}
    """Wall-clock figures of the run: outside every digest."""


def episode_name(key: EpisodeKey) -> str:
    """The name of an episode in the manifest."""
    return f"{key.scenario}/{key.agent}/{key.repeat}"


def digests_of(document: Mapping[str, Any]) -> Digests:
    """The digests that belong to a manifest, computed from its JSON form."""
    body = {name: value for name, value in document.items() if name not in ("timing", "digests")}
    episodes = body.get("episodes", {})
    versions = body.get("versions", {})
    grades = {name: entry.get("grade") for name, entry in episodes.items()}
    records = {
        **{name: value for name, value in body.items() if name != "rescorings"},
        "versions": {name: value for name, value in versions.items() if name != "scorer"},
        "episodes": {
            name: {part: value for part, value in entry.items() if part != "grade"}
            for name, entry in episodes.items()
        },
    }
    return Digests(records=digest_of(records), grades=digest_of(grades), run=digest_of(body))


def with_digests(manifest: Manifest) -> Manifest:
    """``manifest`` with its digests computed."""
    return manifest.model_copy(update={"digests": digests_of(manifest.model_dump(mode="json"))})


def manifest_bytes(manifest: Manifest) -> bytes:
    """``run.json`` as it is written."""
    return json_bytes(manifest.model_dump(mode="json"), pretty=True)


def parse_manifest(data: bytes, source: str) -> Manifest:
    """Read ``run.json``.

    Raises:
        InputError: when it is not the manifest of a run; says the field.
    """
    document = parse_json(data, source)
    try:
        manifest = Manifest.model_validate(document, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(first["msg"], source=source, field=field) from error
    plan = manifest.plan
    for field, planned, described in (
        ("plan.scenarios", plan.scenarios, manifest.scenarios),
        ("plan.agents", plan.agents, manifest.agents),
    ):
        if set(planned) != set(described) or len(set(planned)) != len(planned):
            raise InputError(
                "does not name the same things as run.json describes", source=source, field=field
            )
    return manifest


def read_manifest(run: Path) -> Manifest:
    """The manifest of the run in folder ``run``.

    Raises:
        InputError: when the folder holds no run, or ``run.json`` is damaged.
    """
    path = run / MANIFEST
    if not path.is_file():
        raise InputError("not a run: it has no run.json", source=str(run))
    return parse_manifest(read_bytes(path), str(path))
