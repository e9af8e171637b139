"""The linter of packages: what ships is clean, and what would not work is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from firedrill.world.app import application_names, load_package
from firedrill.world.app.lint import lint
from firedrill.world.app.packages import Package
from firedrill.world.app.reading import read_application

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: server, image: a, ports: [{containerPort: 8080}],
  env: [{name: DB_ADDR, value: "db:5432"}, {name: PASSWORD, value: plain}],
  resources: {limits: {memory: 64Mi}}}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec: {template: {spec: {containers: [{name: server, image: b}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: loadgenerator}
spec: {template: {spec: {containers: [{name: main, image: c}]}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {ports: [{port: 5432}]}}
"""
GRAPH = """
application: shop
services:
  web: {language: go, port: 8080, protocol: http, needs: {env: [DB_ADDR]}, memory: {base_mb: 40},
        operations: {home: {cpu_ms: 2, calls: [{to: db.read, address: DB_ADDR, protocol: sql}]}}}
  db: {language: c, port: 5432, protocol: sql, operations: {read: {cpu_ms: 1}}}
"""
LOAD = "entries: [{to: web.home, host: 'web:80', protocol: http}]"


def package(*changes: tuple[str, str], manifests: str = MANIFESTS, load: str = LOAD) -> Package:
    graph = GRAPH
    for old, new in changes:
        assert old in graph
        graph = graph.replace(old, new)
    return Package("shop", read_application(graph, load), tuple(yaml.safe_load_all(manifests)))


@pytest.mark.parametrize("name", application_names())
def test_what_ships_is_clean(name: str) -> None:
    assert lint(load_package(name)) == []


def test_a_small_package_is_clean() -> None:
    assert lint(package()) == []


@pytest.mark.parametrize(
    ("changes", "level", "where", "problem"),
    [
        ([("needs: {env: [DB_ADDR]}", "needs: {env: [OTHER]}")], "error", "services.web.needs", "does not set OTHER"),
        ([("needs: {env: [DB_ADDR]}", "needs: {secrets: [PASSWORD]}")], "warning", "services.web.needs.secrets", "no Secret"),
        ([("port: 8080", "port: 8081")], "warning", "services.web.port", "opens 8080"),
        ([("base_mb: 40", "base_mb: 400")], "error", "services.web.memory", "400 MiB"),
        ([("address: DB_ADDR", "address: DB")], "error", "services.web.operations.home.calls[0]", "does not set DB"),
        ([("address: DB_ADDR", "host: 'db:5433'")], "error", "services.web.operations.home.calls[0]", "no port 5433"),
        ([("address: DB_ADDR", "host: 'data:5432'")], "warning", "services.web.operations.home.calls[0]", "called data"),
        ([("address: DB_ADDR", "host: ':'")], "error", "services.web.operations.home.calls[0]", "names no host"),
        ([("  db: {", "  db: {container: postgres, ")], "error", "services.db", "'postgres'"),
        ([("read: {cpu_ms: 1}", "read: {cpu_ms: 1}, write: {cpu_ms: 1}"), ("db.read", "db.write")], "", "", ""),
        ([("application: shop", "application: shop\ndepth: 2")], "warning", "depth", "cut after 2"),
        ([("application: shop", "application: shop\nqueues: {q: {consumers: [{to: db.read, host: 'db:5432'}]}}")], "warning", "queues.q", "nobody publishes"),
        ([("application: shop", "application: shop\nflags: [{name: f, service: nobody, variable: F, parameter: io_ms}]")], "error", "flags[0]", "'nobody'"),
        ([("application: shop", "application: shop\nflags: [{name: f, service: web.away, variable: F, parameter: io_ms}]")], "error", "flags[0]", "'away'"),
        ([("application: shop", "application: shop\nflags: [{name: f, service: web, variable: F, parameter: unreachable}]")], "error", "flags[0]", "cannot be reached"),
        ([("application: shop", "application: shop\nflags: [{name: f, service: web, provider: db, file: x.json, parameter: io_ms}]")], "warning", "flags[0]", "x.json"),
    ],
)  # fmt: skip
def test_what_would_not_work_is_told(
    changes: list[tuple[str, str]], level: str, where: str, problem: str
) -> None:
    found = lint(package(*changes))
    if not level:
        assert found == []
        return
    told = [item for item in found if item.where == where and problem in item.problem]
    assert [item.level for item in told] == [level]
    assert told[0].mend


def test_a_missing_workload_and_an_unused_service_are_told() -> None:
    found = lint(package(manifests=MANIFESTS.replace("name: loadgenerator", "name: users")))
    assert [(item.level, item.where) for item in found] == [("error", "load")]
    more = (
        GRAPH
        + "  cache: {language: c, port: 6379, protocol: redis, workload: deployment/db, operations: {get: {cpu_ms: 1}}}\n"
    )
    made = replace(package(), application=read_application(more, LOAD))
    assert [(item.level, item.where) for item in lint(made)] == [("warning", "services.cache")]
