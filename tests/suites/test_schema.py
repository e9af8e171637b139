"""The published schema and the commented example say what the program accepts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from firedrill.suites import lint_any, open_suite
from firedrill.suites.schema import schema_text

REPO = Path(__file__).resolve().parents[2]
SCHEMA = REPO / "schemas" / "scenario.schema.json"
EXAMPLE = REPO / "docs" / "examples" / "scenario-snapshot.yaml"


def test_the_published_schema_is_that_of_the_program() -> None:
    if os.environ.get("FIREDRILL_UPDATE"):
        SCHEMA.write_text(schema_text())
    assert SCHEMA.read_text() == schema_text(), "FIREDRILL_UPDATE=1 writes it anew"


WORLD = REPO / "docs" / "examples" / "scenario-world.yaml"


def test_the_example_of_a_world_fits_opens_and_is_clean() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(yaml.safe_load(WORLD.read_text()), json.loads(SCHEMA.read_text()))
    suite = open_suite(WORLD)
    assert suite.scenarios[0].scenario.certificate["granted"] is True
    assert lint_any(WORLD).findings == ()


def test_the_example_fits_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = yaml.safe_load(EXAMPLE.read_text())
    jsonschema.validate(document, schema)
    for wrong in (
        {"kind": "Suite"},
        {"surprise": 1},
        {"limits": {"turns": 0}},
        {"metadata": {"name": "a b"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document | wrong, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"metadata": {"name": "a"}}, schema)


def test_the_example_opens_and_its_truth_is_clean(tmp_path: Path) -> None:
    path = Path(shutil.copy(EXAMPLE, tmp_path))
    folder = tmp_path / "checkout-without-database"
    folder.mkdir()
    (folder / "otel_logs_raw.tsv").write_text("Timestamp\tBody\n2026-01-01 00:00:00\thello\n")
    suite = open_suite(path)
    assert suite.scenarios[0].scenario.metadata.fault_class == "Configuration"
    assert lint_any(path, incidents=False).findings == ()
