"""Reading application packages: what ships is fine, and mistakes are told with their place."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.core.errors import InputError
from firedrill.world.app import application_names, load_package, read_package
from firedrill.world.app.graph import compile_graph
from firedrill.world.app.reading import read_application

GRAPH: dict[str, Any] = {
    "application": "shop",
    "services": {
        "web": {
            "language": "go",
            "port": 8080,
            "protocol": "http",
            "operations": {
                "home": {"cpu_ms": 2, "calls": [{"to": "db.read", "address": "DB_ADDR", "protocol": "sql"}]}
            },
        },
        "db": {
            "language": "c",
            "port": 5432,
            "protocol": "sql",
            "operations": {"read": {"cpu_ms": 0.5}},
        },
    },
}
LOAD: dict[str, Any] = {"entries": [{"to": "web.home", "host": "web:80", "protocol": "http"}]}


def read(graph: Any = None, load: Any = None) -> Any:
    return read_application(yaml.safe_dump(graph or GRAPH, sort_keys=False), yaml.safe_dump(load or LOAD))


def changed(path: str, value: Any) -> dict[str, Any]:
    graph = deepcopy(GRAPH)
    *parents, last = path.split("/")
    here: Any = graph
    for part in parents:
        here = here[int(part) if part.isdigit() else part]
    here[int(last) if last.isdigit() else last] = value
    return graph


def test_a_small_application_is_read_and_compiled() -> None:
    application = read()
    graph = compile_graph(application)
    assert graph.op_names == (("web", "home"), ("db", "read"))
    assert graph.entries == graph.roots == 1
    assert list(graph.edge_source) == [-1, 0]
    assert graph.depth == 2


@pytest.mark.parametrize("name", application_names())
def test_what_ships_compiles_and_its_workloads_exist(name: str) -> None:
    package = load_package(name)
    compile_graph(package.application)
    names = {
        obj["metadata"]["name"] for obj in package.manifests if obj["kind"] in ("Deployment", "StatefulSet")
    }
    wanted = {item.workload[1] for item in package.application.services}
    assert package.application.load.workload[1] in names
    assert wanted <= names


@pytest.mark.parametrize(
    ("path", "value", "field", "mend"),
    [
        ("services/web/port", 0, "services.web.port", "from 1 to 65535"),
        ("services/web/port", "x", "services.web.port", "write a number"),
        ("services/web/colour", "red", "services.web.colour", "remove it"),
        ("services/web/workload", "job/web", "services.web.workload", "deployment/"),
        ("services/web/operations", [], "services.web.operations", "names and values"),
        (
            "services/web/operations/home/cpu_ms",
            float("nan"),
            "services.web.operations.home.cpu_ms",
            "from 0",
        ),
        (
            "services/web/operations/home/calls/0/to",
            "db",
            "services.web.operations.home.calls[0].to",
            "SERVICE.OPERATION",
        ),
        (
            "services/web/operations/home/calls/0/host",
            "db:1",
            "services.web.operations.home.calls[0].address",
            "either",
        ),
        ("services/db/start_ms", [5, 1], "services.db.start_ms", "shortest"),
        ("services/db/protocol", "smtp", "services.db.protocol", "one of http"),
        ("flags", [{"name": "f", "service": "db", "parameter": "io_ms"}], "flags[0].variable", "either"),
        ("queues", {"q": {"consumers": []}}, "queues.q.consumers", "name a consumer"),
        ("depth", 99, "depth", "from 1 to 24"),
    ],
)
def test_mistakes_are_told_with_their_place(path: str, value: Any, field: str, mend: str) -> None:
    with pytest.raises(InputError) as told:
        read(changed(path, value))
    assert told.value.field == field
    assert told.value.source == "graph.yaml"
    assert mend in str(told.value.mend)


def test_calls_to_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"nothing is called db\.write"):
        compile_graph(read(changed("services/web/operations/home/calls/0/to", "db.write")))
    with pytest.raises(InputError, match="no queue is called"):
        compile_graph(read(changed("services/web/operations/home/calls/0/publishes", "orders")))


def test_a_load_without_requests_is_refused() -> None:
    with pytest.raises(InputError) as told:
        read(load={"entries": []})
    assert (told.value.source, told.value.field) == ("load.yaml", "entries")


def test_graphs_that_explode_are_refused() -> None:
    graph = changed("services/web/operations/home/calls", [{"to": "web.home", "host": "web:80", "times": 60}])
    with pytest.raises(InputError, match="can become"):
        compile_graph(read(graph))


def test_aliases_do_not_explode() -> None:
    text = "application: a\nservices:\n  s: &s {language: go, port: 1, protocol: http, operations: {o: {cpu_ms: 1, calls: &c ["
    text += ", ".join(["{to: s.o, host: 'h:1'}"] * 300) + "]}, "
    text += ", ".join(f"o{number}: {{cpu_ms: 1, calls: *c}}" for number in range(300)) + "}}\n"
    with pytest.raises(InputError, match="aliases expanded"):
        read_application(text, yaml.safe_dump(LOAD))


@pytest.mark.parametrize(
    "text",
    ["{", "&a [*a]", "- 1\n- 2", "9" * 5000, "a: 2024-99-99", "!!python/object:os.system x", "x" * 3_000_000],
)
def test_what_is_no_graph_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_application(text, yaml.safe_dump(LOAD))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_PATHS = st.sampled_from(
    ["application", "services", "services/web", "services/web/memory", "services/web/needs", "services/web/operations/home",
     "services/web/operations/home/calls", "services/web/operations/home/calls/0", "services/db/start_ms", "flags", "queues"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(_PATHS, _VALUES)
def test_any_value_anywhere_is_read_or_refused(path: str, value: Any) -> None:
    try:
        compile_graph(read(changed(path, value)))
    except InputError as told:
        assert told.problem


def test_the_example_of_the_documentation_is_read() -> None:
    page = Path(__file__).parents[2] / "docs" / "applications.md"
    graph, load = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    compiled = compile_graph(read_application(graph, load))
    assert len(compiled.op_names) == 4


def test_a_folder_is_a_package(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(yaml.safe_dump(GRAPH))
    with pytest.raises(InputError, match=r"no load\.yaml"):
        read_package(tmp_path)
    (tmp_path / "load.yaml").write_text(yaml.safe_dump(LOAD))
    with pytest.raises(InputError, match="no manifests"):
        read_package(tmp_path)
    (tmp_path / "all.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    package = read_package(tmp_path)
    assert package.name == "shop"
    assert [obj["kind"] for obj in package.manifests] == ["Service"]
