"""`firedrill world lint-app` tells what is wrong with a package, and `serve --traffic` wants one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firedrill.cli import main

GRAPH = """
application: tiny
services:
  web: {language: go, port: 8080, protocol: http, operations: {home: {cpu_ms: 1}}}
"""
LOAD = "entries: [{to: web.home, host: 'web:80', protocol: http}]\n"
MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: server, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: loadgenerator}
spec: {template: {spec: {containers: [{name: main, image: c}]}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "graph.yaml").write_text(GRAPH)
    (tmp_path / "load.yaml").write_text(LOAD)
    (tmp_path / "app.yaml").write_text(MANIFESTS)
    return tmp_path


def test_a_package_that_ships_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "lint-app", "online-boutique"]) == 0
    assert capsys.readouterr().out == "online-boutique: 11 services, 38 objects; 0 errors, 0 warnings\n"


def test_a_folder_is_looked_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "lint-app", str(folder)]) == 0
    (folder / "graph.yaml").write_text(
        GRAPH.replace("web:", "web: {container: main, ").replace("{container: main,  {", "{container: main, ")
    )
    assert main(["world", "lint-app", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert [item["where"] for item in told["findings"]] == ["services.web"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"graph.yaml": GRAPH.replace("8080", "0")}, ["graph.yaml", "services.web.port", "from 1 to 65535"]),
        ({"load.yaml": "entries: []"}, ["load.yaml", "entries"]),
        ({"load.yaml": "entries: ["}, ["load.yaml", "no YAML"]),
        ({"app.yaml": "just text"}, ["app.yaml", "apiVersion"]),
    ],
)
def test_mistakes_end_with_a_mend_and_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], words: list[str]
) -> None:
    for name, text in change.items():
        (folder / name).write_text(text)
    assert main(["world", "lint-app", str(folder)]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told


def test_an_application_without_a_graph_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", "lint-app", "nothing"]) == 2
    assert "online-boutique" in capsys.readouterr().err
    assert main(["world", "lint-app", str(tmp_path)]) == 2
    assert "graph.yaml" in capsys.readouterr().err
    assert main(["world", "serve", "--traffic"]) == 2
    assert "one application" in capsys.readouterr().err
