"""Programs: image references, catalogue, scripts, and what is learned from manifests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world import World
from firedrill.world.kube import programs
from firedrill.world.kube.programs import catalogue, pulling, scripts
from firedrill.world.kube.programs.launch import Setting, launch
from firedrill.world.kube.programs.reference import parse_reference

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("redis:alpine", "docker.io/library/redis:alpine"),
        ("acme/app:1", "docker.io/acme/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("ghcr.io/a/b/c:v1.2", "ghcr.io/a/b/c:v1.2"),
        ("a@sha256:" + "0" * 64, "docker.io/library/a@sha256:" + "0" * 64),
    ],
)
def test_references_are_completed(text: str, full: str) -> None:
    found = parse_reference(text)
    assert found is not None
    assert found.full == full


@pytest.mark.parametrize("text", ["", "Nginx", "a:", "a b", "a/:x", "-a", "http://x/y", "x" * 600])
def test_what_is_no_reference(text: str) -> None:
    assert parse_reference(text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_not(text: str) -> None:
    found = parse_reference(text)
    assert found is None or found.path


def test_every_public_image_has_a_program_and_tags() -> None:
    world = World(0)
    assert len(catalogue.public()) > 40
    for name, repository in catalogue.public().items():
        found = parse_reference(name)
        assert found is not None
        assert found.repository == name
        catalogue.has_tag(repository, found)
        catalogue.tools_of(repository.program.tools)
        plan = launch(world, Setting(("k",), {"name": "c", "image": name}, {}))
        assert not plan.fails


@pytest.mark.parametrize(
    ("script", "ms", "code", "lines"),
    [
        ("exit 3", 30, 3, []),
        ("echo a; sleep 2; echo b", 2030, 0, ["a", "b"]),
        ("false || echo no && exit 4", 30, 4, ["no"]),
        ("true && sleep 1m", 60_030, 0, []),
        ("tail -f /dev/null", -1, 0, []),
        ("X=5; exit $X", 30, 5, []),
    ],
)
def test_scripts_are_read(script: str, ms: int, code: int, lines: list[str]) -> None:
    got = scripts.simulate(["/bin/sh", "-c", script], {})
    assert got is not None
    assert (got.ms, got.code, [line for _, line in got.lines]) == (ms, code, lines)


def test_an_endless_loop_repeats_its_lines() -> None:
    got = scripts.simulate(["sh", "-c", "while true; do echo tick; sleep 5; done"], {})
    assert got is not None
    assert (got.ms, got.loop, got.loop_ms) == (-1, ("tick",), 5_000)


@given(st.text(alphabet="abc ;|&$(){}'\"\\\n!>123whiletrudon[]=", max_size=120))
def test_no_script_runs_away(text: str) -> None:
    got = scripts.simulate(["sh", "-c", text], {"a": "b"})
    assert got is not None
    assert 0 <= got.code < 256


def shop(**more: Any) -> Obj:
    container = {
        "name": "server",
        "image": "ghcr.io/acme/shop:v1",
        "env": [{"name": "LISTEN_ADDR", "value": ":8080"}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "resources": {"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}},
        **more,
    }
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [container]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}


def test_a_program_is_learned_from_healthy_manifests() -> None:
    world = World(0)
    programs.learn(world, [{"kind": "List", "apiVersion": "v1", "items": [shop()]}])
    reference = parse_reference("ghcr.io/acme/shop:v1")
    assert reference is not None
    program = catalogue.program_of(world, reference)
    assert [(item.port, item.protocol, item.env, item.paths) for item in program.listens] == [
        (8080, "http", "LISTEN_ADDR", ("/", "/ready"))
    ]
    assert 50 * 2**20 < program.memory < 100 * 2**20
    container = {"name": "server", "image": "ghcr.io/acme/shop:v1"}
    moved = launch(world, Setting(("k",), container, {"LISTEN_ADDR": ":9999"}))
    assert [item[0] for item in moved.listens] == [9999]
    killed = launch(world, Setting(("k",), container, {}, limit=32 * 2**20))
    assert (killed.exit_code, killed.exit_reason) == (137, "OOMKilled")
    assert launch(world, Setting(("k",), {**container, "command": ["/other"]}, {})).fails.endswith(
        'exec: "/other": stat /other: no such file or directory: unknown'
    )


def test_the_protocol_follows_services_where_no_probe_tells_it() -> None:
    world = World(0)
    bare = shop()
    del bare["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {"selector": {"app": "shop"}, "ports": [{"name": "grpc", "port": 80, "targetPort": 8080}]},
    }
    programs.learn(world, [bare, service])
    reference = parse_reference("ghcr.io/acme/shop:v1")
    assert reference is not None
    assert catalogue.program_of(world, reference).listens[0].protocol == "grpc"


def test_learned_tags_exist_and_others_do_not() -> None:
    world = World(0)
    programs.learn(world, [shop()])

    def ask(text: str) -> str:
        reference = parse_reference(text)
        assert reference is not None
        return pulling.pull(world, reference, "amd64", frozenset(), "n").error

    assert ask("ghcr.io/acme/shop:v1") == ""
    assert ask("ghcr.io/acme/shop:v2").endswith("ghcr.io/acme/shop:v2: not found")
    assert ask("ghcr.io/acme/shopp:v1").endswith("403 Forbidden")
    programs.set_registry(world, "ghcr.io", "timeout")
    assert ask("ghcr.io/acme/shop:v1").endswith("i/o timeout")
    programs.set_registry(world, "ghcr.io")
    assert ask("ghcr.io/acme/shop:v1") == ""


def test_an_address_in_use_ends_the_program() -> None:
    world = World(0)
    plan = launch(
        world, Setting(("k",), {"name": "c", "image": "nginx"}, {}, ports_taken=frozenset({(80, "tcp")}))
    )
    assert plan.exit_code == 1
    assert "Address already in use" in plan.lines[0][1]


def test_a_missing_variable_ends_the_program() -> None:
    world = World(0)
    bare = launch(world, Setting(("k",), {"name": "c", "image": "postgres:16"}, {}))
    assert bare.exit_code == 1
    assert (
        launch(
            world, Setting(("k",), {"name": "c", "image": "postgres:16"}, {"POSTGRES_PASSWORD": "x"})
        ).exit_after
        == -1
    )


def test_a_fork_keeps_what_was_learned() -> None:
    world = World(0)
    programs.learn(world, [shop()])
    twin = world.fork()
    assert twin.digest() == world.digest()
    programs.set_private(twin, "ghcr.io/acme/shop")
    assert twin.digest() != world.digest()
