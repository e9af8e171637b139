"""What to lint: a suite with its incidents, a folder of truths, or one truth file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firedrill.core.entity import parse_entity
from firedrill.core.errors import Finding, FiredrillError, InputError
from firedrill.core.truth import Truth
from firedrill.suites import registry
from firedrill.suites._names import natural
from firedrill.suites.lint.pairs import compare_generations
from firedrill.suites.lint.patterns import is_component_kind
from firedrill.suites.lint.rules import Subject, check, vocabulary_of
from firedrill.suites.model import Suite, SuiteScenario
from firedrill.suites.opening import open_suite
from firedrill.suites.truths import FoundTruth, parse, read_list, read_truth

OLD_NAMES = ("groundtruth_v1.yaml", "groundtruth_v1.yml")
NEW_NAMES = ("groundtruth.yaml", "groundtruth.yml")
MAX_TRUTHS = 20_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LintReport:
    """What was checked and what was found, in the order of the files."""

    name: str
    checked: int
    findings: tuple[Finding, ...]

    def count(self, severity: str) -> int:
        """How many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)


def lint_any(spec: str | Path, *, incidents: bool = True, progress: Progress | None = None) -> LintReport:
    """Check what ``spec`` names: a suite, a folder of ground truths without evidence, or one truth file.

    Raises:
        InputError: when there is no such thing, or nothing in it could be read.
    """
    path = Path(spec).expanduser()
    registered = isinstance(spec, str) and "/" not in spec and registry.find(spec) is not None
    if not registered and path.is_file() and not _is_scenario_file(path):
        return _lint_files([path], path.parent, path.name)
    if not registered and path.is_dir() and not _has_incidents(path):
        files = sorted(_truth_files(path), key=lambda file: natural(file.relative_to(path).as_posix()))
        if files:
            return _lint_files(files, path, path.resolve().name)
    try:
        suite = open_suite(spec)
    except InputError as error:
        if not path.exists():
            raise
        finding = Finding(
            "error", "unusable-suite", error.problem, error.source or str(spec), error.line, error.field
        )
        return LintReport(str(spec), 0, (finding,))
    findings = lint_suite(suite, incidents=incidents, progress=progress)
    return LintReport(suite.name, len(suite.scenarios), tuple(findings))


def lint_suite(suite: Suite, *, incidents: bool = True, progress: Progress | None = None) -> list[Finding]:
    """All findings about a suite: what opening it showed, its truths, its incidents, and repeats among them.

    With ``incidents`` the evidence is opened as well (once imported, it is remembered), to report on the
    files and on roots that no recorded object lands on.
    """
    findings = list(suite.findings)
    truths = {item.id: parse(item.truth_text, item.truth_source) for item in suite.scenarios}
    spoken: Counter[str] = Counter()
    for found in truths.values():
        spoken.update(vocabulary_of(found.truth))
    for number, item in enumerate(suite.scenarios):
        if progress is not None:
            progress(number, len(suite.scenarios))
        found = truths[item.id]
        names: tuple[str, ...] | None = None
        own: list[Finding] = []
        if incidents and item.scenario.environment.backend == "snapshot":
            names, own = _incident(item, found.truth)
        findings += _truth(found, _with_inventory(spoken, names))
        findings += _other_generation(item, found)
        findings += own
    return findings + _repeats(suite.scenarios)


def _truth(found: FoundTruth, vocabulary: Mapping[str, int]) -> list[Finding]:
    return [*found.findings, *check(Subject(found.truth, found.text, found.source, vocabulary))]


def _with_inventory(spoken: Counter[str], names: Sequence[str] | None) -> Counter[str]:
    if not names:
        return spoken
    parsed = (parse_entity(name) for name in names)
    present = {
        item.name
        for item in parsed
        if item.kind is not None and is_component_kind(item.kind) and item.kind not in _GENERATED_KINDS
    }
    # an object that is there outweighs what truths call it
    return Counter({**spoken, **dict.fromkeys(present, max(spoken.values(), default=0) + 1)})


_GENERATED_KINDS = frozenset({"Pod", "ReplicaSet", "Job"})


def _incident(item: SuiteScenario, truth: Truth) -> tuple[tuple[str, ...] | None, list[Finding]]:
    """The names of the recorded objects (None when they cannot be had), and findings about the evidence."""
    from firedrill.grading import name_roots
    from firedrill.snapshot import open_incident

    shown = item.scenario.environment.path or item.id
    try:
        with open_incident(item.folder) as incident:
            names = incident.inventory()
            findings = [_placed(finding, shown) for finding in incident.findings]
    except FiredrillError as error:
        problem = error.problem if isinstance(error, InputError) else str(error)
        return None, [Finding("error", "unusable-incident", problem, shown)]
    if not names:
        text = "no object is recorded, so roots cannot be checked against the incident"
        return None, [*findings, Finding("info", "no-inventory", text, shown)]
    for missing in name_roots(truth, names).missing:
        text = f"no recorded object lands on the root {missing!r}: naming it needs the truth's own spelling"
        findings.append(Finding("error", "root-not-recorded", text, item.truth_source))
    return names, findings


def _placed(finding: Finding, folder: str) -> Finding:
    source = f"{folder}/{finding.source}" if finding.source else folder
    return Finding(finding.severity, finding.code, finding.message, source, finding.line, finding.field)


def _other_generation(item: SuiteScenario, found: FoundTruth) -> list[Finding]:
    old, new = _beside(item.folder, OLD_NAMES), _beside(item.folder, NEW_NAMES)
    return _generations(old, new, found.source) if old and new else []


def _generations(old: Path, new: Path, source: str) -> list[Finding]:
    try:
        first, second = read_truth(old, old.name).truth, read_truth(new, new.name).truth
    except InputError:
        return []  # reported where that file is read for itself
    if (first.version, second.version) != ("v1", "v2"):
        return []
    return compare_generations(first, second, source)


def _beside(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _repeats(scenarios: Sequence[SuiteScenario]) -> list[Finding]:
    findings = []
    evidence: dict[str, str] = {}
    truths: dict[str, str] = {}
    for item in scenarios:
        twin = evidence.setdefault(item.digest, item.id)
        if twin != item.id:
            text = f"has the same evidence as {twin}"
            findings.append(Finding("warning", "duplicate-evidence", text, item.id))
        twin = truths.setdefault(item.truth_digest, item.id)
        if twin != item.id:
            text = f"has the same ground truth as {twin}"
            findings.append(Finding("info", "duplicate-truth", text, item.id))
    return findings


# -- truths without evidence ------------------------------------------------------------------------


def _is_scenario_file(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            head = handle.read(65536)
    except OSError:
        return False
    return b"firedrill/" in head and b"Scenario" in head


def _has_incidents(path: Path) -> bool:
    from firedrill.snapshot import find_incidents

    return bool(find_incidents(path))


def _truth_files(root: Path) -> Iterable[Path]:
    from firedrill.snapshot import is_truth_name

    found = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if is_truth_name(name) and name != "data.jsonl" and found < MAX_TRUTHS:
                found += 1
                yield Path(folder, name)


def _read_all(path: Path, source: str) -> list[FoundTruth]:
    """The truth of a file, or all of them when it is a list whose items carry ``id``."""
    if not path.name.lower().endswith("truths.json"):
        return [read_truth(path, source)]
    items = read_list(path)
    found = [
        parse(json.dumps(item), f"{source}#{item.get('id', number)}") for number, item in enumerate(items)
    ]
    if not found:
        raise InputError("holds no ground truth", source=source)
    return found


def _lint_files(files: Sequence[Path], root: Path, name: str) -> LintReport:
    findings: list[Finding] = []
    truths: list[FoundTruth] = []
    for path in files:
        shown = path.relative_to(root).as_posix()
        source = shown if "/" in shown else f"{path.resolve().parent.name}/{shown}"
        try:
            truths += _read_all(path, source)
        except InputError as error:
            text = f"{error.field}: {error.problem}" if error.field else error.problem
            findings.append(Finding("error", "truth-unreadable", text, source, error.line))
    spoken: Counter[str] = Counter()
    for found in truths:
        spoken.update(vocabulary_of(found.truth))
    for found in truths:
        findings += _truth(found, spoken)
    for path in files:
        new = _beside(path.parent, NEW_NAMES)
        if path.name in OLD_NAMES and new is not None:
            source = f"{path.resolve().parent.name}/{path.name}"
            findings += _generations(path, new, source)
    return LintReport(name, len(truths), tuple(findings))
