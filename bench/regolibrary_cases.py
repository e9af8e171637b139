"""Public cases of CIS controls for Kubernetes, judged by our own policies in `cis/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from firedrill.world.policy.rego import Module, Rego, Value

CIS = Path(__file__).resolve().parent / "cis"

_FOR_A_PERSON = "Please validate"
"""Alerts that ask somebody to look at a value are no verdict: such cases are left out."""


class Case(NamedTuple):
    """One case: what was wanted and got, as names of objects; `got` is a text where there was an error."""

    test: str
    wanted: frozenset[str]
    got: frozenset[str] | str
    names: bool
    """Whether names can be compared: some alerts are about parts of a file, not about an object."""

    @property
    def verdict(self) -> bool:
        """Whether the verdict is right."""
        return not isinstance(self.got, str) and bool(self.got) is bool(self.wanted)

    @property
    def right(self) -> bool:
        """Whether it also names the same objects."""
        return self.verdict and (not self.names or self.got == self.wanted)


def cases(folder: Path) -> Iterator[Case]:
    """Every case, control by control."""
    table = yaml.safe_load((CIS / "controls.yaml").read_text())
    modules = [Module(path.name, path.read_text()) for path in sorted(CIS.glob("*.rego"))]
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    by_rule: dict[str, list[str]] = {}
    for row in rows:
        if row["suite"] == "regolibrary":
            by_rule.setdefault(row["test"].split("/")[1], []).append(row["test"])
    for rule, tests in sorted(by_rule.items()):
        if rule not in table:
            yield from (Case(test, frozenset(), "no policy of ours", False) for test in tests)
            continue
        inputs = [list(_objects(folder / test / "input")) for test in tests]
        data = {"control": table[rule]}
        outcomes = Rego().evaluate_many(modules, "data.cis.violations", inputs, data)
        for test, outcome in zip(tests, outcomes, strict=True):
            alerts = json.loads((folder / test / "expected.json").read_text() or "[]") or []
            if alerts and all(alert["alertMessage"].startswith(_FOR_A_PERSON) for alert in alerts):
                continue
            wanted, names = _wanted(alerts)
            got = frozenset(outcome.value) if isinstance(outcome, Value) else str(outcome)
            yield Case(test, wanted, got, names)


def _objects(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
                if document:
                    yield json.loads(json.dumps(document, default=str))


def _wanted(alerts: list[Any]) -> tuple[frozenset[str], bool]:
    found, whole = set(), True
    for alert in alerts:
        about = alert["alertObject"]
        for obj in about.get("k8sApiObjects") or [about.get("externalObjects") or {}]:
            name = obj.get("name") or (obj.get("metadata") or {}).get("name") or ""
            whole = whole and obj.get("kind") not in (None, "Policy", "EncryptionConfiguration")
            found.add(f"{obj.get('kind')}/{name}")
    return frozenset(found), whole
